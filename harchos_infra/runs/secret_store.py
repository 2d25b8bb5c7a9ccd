"""Secrets of a run's hubs on clouds: in the store of the hub's own cloud for as long as the hub is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harchos_infra.clouds.cloud import RENTED
from harchos_infra.clouds.vault import delete_secrets, store_secrets, vault


def by_reference(run: Mapping[Any, Any], hub: Mapping[Any, Any]) -> bool:
    """Return whether a hub reads its secrets from a cloud's store; stand-ins of a rehearsal do not."""
    return hub["place"]["provider"] in RENTED and not run["rehearsal"]


def put_secrets(run: Mapping[Any, Any], hub: Mapping[Any, Any], values: Mapping[str, str]) -> dict[str, str]:
    """Store a hub's secrets and return their references, by name: `secret_refs` of `job.json`.

    The same values again take the place of the first. Raises HarchosError; then none is left.
    """
    place, expires = hub["place"], datetime.fromtimestamp(hub["expires_at"], UTC)
    tags = {
        "harchos:run": run["id"],
        "harchos:workload": run["workload"],
        "harchos:expires": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
    }
    return store_secrets(vault(place["provider"], region=place["region"]), run["id"], values, tags)


def drop_secrets(run: Mapping[Any, Any], hub: Mapping[Any, Any]) -> None:
    """Delete what `put_secrets` stored for a hub that is gone. Raises HarchosError if any is left."""
    if by_reference(run, hub):
        place = hub["place"]
        delete_secrets(vault(place["provider"], region=place["region"]), run["id"])
