"""The boundary to a provider: list what carries our marks, delete it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from harchos_infra.errors import HarchosError

WITH_HUBS = frozenset({"local"})
"""Providers that hubs can be made on in this release."""


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


def cloud(name: str) -> Cloud:
    """Return the adapter of a provider."""
    if name == "local":
        from harchos_infra.clouds.local import LocalCloud

        return LocalCloud()
    raise HarchosError(
        f"hubs on {name} come with a later release", hint="run the plan on this machine: add --rehearse"
    )
