"""What a hub on a cloud needs that one on this machine does not: agent, secrets, account, open ports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from harchos_infra.clouds.vault import delete_secrets, store_secrets, vault
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.runs.obstore_wheel import obstore_wheel
from harchos_infra.settings import Settings

SPOT_CEILING = 1.25
"""The most that a spot machine may cost, as a multiple of the price that was accepted."""
PASSED_ON = "HARCHOS_HUB_ENV_"
"""Variables of this environment that hubs on clouds get, without this beginning: a proxy, an endpoint."""
_ARM = ("g5g.",)
"""Beginnings of the machine types of the catalogue that have Arm processors."""


def is_rented(run: Mapping[Any, Any], place: Mapping[str, Any]) -> bool:
    """Tell whether the hub of a run's segment is on a cloud, not on this machine."""
    return not run["rehearsal"] and place["provider"] != "local"


def spec_of(hub: Mapping[Any, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `HubSpec` that only a rented hub has. `job` is the run's job document."""
    place, settings = hub["place"], Settings.load()
    service = job["service"]
    world = ("0.0.0.0/0",)
    return {
        "account": hub["identity"].split(" ")[0],
        "ingress": ((service["port"], world),) if service and service["expose"] else (),
        "environment": _passed_on(),
        "max_price_usd_hour": place["priceUsdHour"] * SPOT_CEILING if place["market"] == "spot" else None,
        "secret_names": tuple(job["secret_names"]),
        "key_vault": settings.azure_key_vault if place["provider"] == "azure" else None,
    }


def stage_agent(box: Mailbox, spec: HubSpec) -> None:
    """Put the agent, and what it needs besides Python, beside the job. Raises MailboxError, HarchosError."""
    box.put_file("agent.pyz", spec.agent)
    box.put_file("obstore.whl", obstore_wheel(_machine(spec.instance_type)))


def store_run_secrets(spec: HubSpec, values: Mapping[str, str]) -> dict[str, str]:
    """Put a run's secrets into the store of its hub's cloud; return their references, for `job.json`."""
    if not values:
        return {}
    return store_secrets(vault(spec.provider, region=spec.region), spec.run, values, spec.tags)


def forget_run_secrets(run: str, places: Iterable[Mapping[str, Any]]) -> None:
    """Delete a run's secrets from the stores of the clouds that its hubs were on."""
    for provider, region in sorted({(place["provider"], place["region"]) for place in places}):
        delete_secrets(vault(provider, region=region), run)


def _passed_on() -> dict[str, str]:
    return {
        name.removeprefix(PASSED_ON): value
        for name, value in sorted(os.environ.items())
        if name.startswith(PASSED_ON)
    }


def _machine(instance_type: str) -> str:
    return "aarch64" if instance_type.startswith(_ARM) else "x86_64"
