"""The boundary to a provider: list what carries our marks, delete it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from harchos_infra.catalog.live import LiveOffer as LiveOffer
from harchos_infra.catalog.live import Quota as Quota
from harchos_infra.errors import HarchosError


@dataclass(frozen=True, slots=True)
class Resource:
    """Something on a provider that carries the marks of a hub."""

    provider: str
    kind: str
    """`process`, `container`, `cgroup`; on a rented cloud `instance`, `disk`, `address`…"""
    id: str
    run: str
    hub: str
    expires: datetime | None
    """When the hub ends itself; None where the mark does not say."""
    detail: str
    """What a user recognises it by: a command line, a name."""
    price_usd_hour: float | None
    """None: this resource has no price of its own."""
    region: str | None = None
    """Region on a rented cloud; None for what is global there, and on this machine."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that hubs on a cloud need, and whether it is there."""

    subject: str
    """`credentials`, `mailbox`, `permissions`, `quota`…"""
    ok: bool
    what: str
    """What was found, with names and numbers."""
    hint: str | None = None
    """What to do where it is missing: a command, or the least policy that grants it."""
    required: bool = True
    """False: hubs can be made without it."""


class Cloud(Protocol):
    """One provider, as its own listing shows it; never our ledger."""

    name: str

    def identity(self) -> str:
        """Return the account that listings and deletions act on, to be recorded with each hub."""
        ...

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        """Return what carries our marks, of one run or hub if named, in the order in which to delete it.

        Raises HarchosError when the provider gives no full answer: a partial listing proves nothing.
        """
        ...

    def delete(self, resource: Resource) -> None:
        """Delete one resource; one that is gone already is no error.

        Raises HarchosError when it is still there afterwards.
        """
        ...


class RentedCloud(Cloud, Protocol):
    """A cloud that rents machines. `identity` is `ACCOUNT PRINCIPAL`: the account is its first word.

    Every method raises HarchosError where the cloud refuses, naming the region and the permission.
    """

    def regions(self) -> Sequence[str]:
        """Return the regions that the account may use, by name."""
        ...

    def offers(self, region: str) -> Sequence[LiveOffer]:
        """Return the GPU machines offered in a region, on both markets, with today's prices."""
        ...

    def quotas(self, region: str) -> Sequence[Quota]:
        """Return the quotas that limit GPU machines in a region."""
        ...

    def check(self) -> Sequence[Finding]:
        """Return what hubs here need and whether it is there; what is missing is no error."""
        ...


RENTED: tuple[str, ...] = ("aws", "gcp", "azure")
"""Clouds that rent machines."""
_ADAPTERS = {
    "aws": ("harchos_infra.clouds.aws", "AwsCloud", "boto3"),
    "gcp": ("harchos_infra.clouds.gcp", "GcpCloud", "google.cloud.compute_v1"),
    "azure": ("harchos_infra.clouds.azure", "AzureCloud", "azure.mgmt.compute"),
}


def cloud(name: str) -> Cloud:
    """Return the adapter of a provider; HarchosError where its SDK is not installed."""
    if name == "local":
        from harchos_infra.clouds.local import LocalCloud

        return LocalCloud()
    return rented_cloud(name)


def rented_cloud(name: str) -> RentedCloud:
    """Return the adapter of a cloud that rents machines; HarchosError where its SDK is not installed."""
    if name not in _ADAPTERS:
        raise HarchosError(f"unknown cloud {name!r}", hint=f"known: {', '.join(RENTED)}")
    module, adapter, sdk = _ADAPTERS[name]
    if not _is_installed(sdk):
        raise HarchosError(
            f"{name} needs {sdk}, which is not installed", hint=f"pip install 'harchos-infra[{name}]'"
        )
    made: RentedCloud = getattr(import_module(module), adapter)()
    return made


def require_same_account(adapter: Cloud, recorded: str) -> None:
    """Raise HarchosError unless `adapter` acts on the account of `recorded`, an earlier `identity()`.

    Another user or role of the same account is the same: its listing shows the same hubs.
    """
    present = adapter.identity()
    if present.split(" ")[0] != recorded.split(" ")[0]:
        raise HarchosError(
            f"the hub was made in {adapter.name} account {recorded}, but these credentials are of {present}",
            hint="use credentials of the account that the hub is in; nothing was deleted",
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
