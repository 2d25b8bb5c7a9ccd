"""The boundary to a cloud's store of secrets: a run's values go there, and only references go on.

A run's secrets are written before its first hub is made and deleted when its last one is gone. Each carries
the marks of the run, and is named so that a hub's role can be held to its own run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from harchos_infra.clouds.cloud import RENTED, rented_cloud
from harchos_infra.errors import HarchosError


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret of ours in a store; `run` and `expires` are its marks, None where they do not say."""

    reference: str
    run: str | None
    expires: datetime | None


class Vault(Protocol):
    """One cloud's store of secrets. Errors are HarchosErrors and never hold a value."""

    name: str

    def put(self, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
        """Store a value, in the place of what is there, and return its reference.

        `tags` are the marks (`harchos:run`, `harchos:expires`…) in AWS's spelling; each store spells them as
        it can.
        """
        ...

    def delete(self, reference: str) -> None:
        """Delete one secret; one that is gone already is no error."""
        ...

    def list(self, *, run: str | None = None) -> list[StoredSecret]:
        """Return our secrets, of one run if named, as the store itself lists them."""
        ...


def store_secrets(
    vault: Vault, run: str, values: Mapping[str, str], tags: Mapping[str, str]
) -> dict[str, str]:
    """Store a run's secrets and return the reference of each name: `secret_refs` of `job.json`.

    Where one cannot be stored, none is left; what a store does not let go of then, a sweep finds. Raises
    HarchosError.
    """
    references: dict[str, str] = {}
    try:
        for name, value in values.items():
            reference = _put(vault, run, name, value, tags)
            if reference.lower() in {other.lower() for other in references.values()}:
                raise HarchosError(
                    f"secret {name} would take the place of another in {vault.name}",
                    hint="give it a name that differs by more than letter case",
                )
            references[name] = reference
    except BaseException:
        with suppress(HarchosError):
            delete_secrets(vault, run)
        raise
    return references


def _put(vault: Vault, run: str, name: str, value: str, tags: Mapping[str, str]) -> str:
    """Store one value; what a store says against it may repeat the value, and is then cut out."""
    try:
        return vault.put(run, name, value, tags)
    except HarchosError as error:
        if not value or value not in error.what:
            raise
        raise HarchosError(error.what.replace(value, "***"), hint=error.hint) from None


def delete_secrets(vault: Vault, run: str) -> None:
    """Delete all secrets of a run, as the store lists them. Raises HarchosError if one is left."""
    for secret in vault.list(run=run):
        vault.delete(secret.reference)


def vault(provider: str, *, region: str) -> Vault:
    """Return the store that hubs of a cloud in `region` read from.

    Raises HarchosError where none is set, or the cloud's SDK is not installed.
    """
    if provider in RENTED:
        rented_cloud(provider)
    if provider == "aws":
        from harchos_infra.clouds.vault_aws import ParameterStore

        return ParameterStore(region)
    if provider == "gcp":
        from harchos_infra.clouds.vault_gcp import SecretManager

        return SecretManager(region)
    if provider == "azure":
        from harchos_infra.clouds.vault_azure import KeyVault

        return KeyVault()
    raise HarchosError(f"{provider} has no store of secrets", hint="its hubs are sent theirs by mailbox")


def secret_name(run: str, name: str) -> str:
    """Return the name of a secret in Secret Manager and in Key Vault, as the hub modules have it."""
    return re.sub(r"[._]", "-", f"harchos-{run}-{name}")


def expiry(tags: Mapping[str, str]) -> datetime | None:
    """Return the time that `harchos:expires` names; None where there is none."""
    try:
        time = datetime.fromisoformat(tags.get("harchos:expires", ""))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
