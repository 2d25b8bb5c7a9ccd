"""Finding and removing what is ours and has no live owner, by the machine's own listing and the ledger."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping

from harchos_infra.clouds.cloud import Resource, cloud
from harchos_infra.errors import HarchosError
from harchos_infra.runs.clock import EXPIRY_MARGIN_S
from harchos_infra.runs.ledger import FINAL, Ledger
from harchos_infra.settings import home

STAGING_S = 60.0
"""How long a submission may take between staging and recording."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A hub without a live owner: its resources as listed, and the unfinished run it belongs to, if any."""

    hub: str
    run: str
    resources: tuple[Resource, ...]
    unfinished: bool
    why: str


def is_ours(resource: Resource) -> bool:
    """Return whether the hub was made from this home directory, not from another one on this machine."""
    return (home() / "mailbox" / resource.run).exists() or (home() / "hubs" / resource.hub).exists()


def find_leftovers(ledger: Ledger, *, foreign: bool = False) -> list[Leftover]:
    """Return every hub on this machine that no live process answers for, and every abandoned run.

    Hubs of other home directories count once they have outlived their TTL by more than it takes a hub to end
    itself, or if `foreign` asks for them.
    """
    listed: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    ended = datetime.now(UTC) - timedelta(seconds=EXPIRY_MARGIN_S)
    for resource in cloud("local").list():
        expired = resource.expires is not None and resource.expires < ended
        if foreign or expired or is_ours(resource):
            listed[(resource.run, resource.hub)].append(resource)
    rows = {row["id"]: row for row in ledger.runs()}
    found = []
    for (run, hub), resources in sorted(listed.items()):
        row = rows.get(run)
        if row is None:
            found.append(Leftover(hub, run, tuple(resources), False, "no run of that name in the ledger"))
        elif row["phase"] == FINAL:
            found.append(Leftover(hub, run, tuple(resources), False, f"its run has ended ({row['outcome']})"))
        elif _is_abandoned(ledger, row):
            found.append(
                Leftover(hub, run, tuple(resources), True, f"its run was abandoned in phase {row['phase']}")
            )
    with_hub = {leftover.run for leftover in found}
    for run, row in rows.items():
        if row["phase"] != FINAL and run not in with_hub and _is_abandoned(ledger, row):
            found.append(
                Leftover("-", run, (), True, f"abandoned in phase {row['phase']}; no hub is left of it")
            )
    return found


def _is_abandoned(ledger: Ledger, run: RowMapping) -> bool:
    """Return whether a run's owner is dead; a run that was given up is a controller's to take."""
    return run["owner"] is not None and not ledger.is_owned(run["id"])


def remove(leftovers: Sequence[Leftover]) -> list[Resource]:
    """Delete the resources of hubs whose runs have ended or are unknown; returns what survived."""
    local = cloud("local")
    survivors = []
    for leftover in leftovers:
        for resource in leftover.resources:
            try:
                local.delete(resource)
            except HarchosError:
                survivors.append(resource)
        survivors += [r for r in local.list(hub=leftover.hub) if r not in survivors]
    return survivors


def forget_secrets(ledger: Ledger) -> None:
    """Delete secrets staged for a run that was never recorded (its `apply` was killed in between)."""
    known = {row["id"] for row in ledger.runs()}
    for staged in (home() / "mailbox").glob("*/*/secrets.json"):
        if staged.parent.parent.name not in known and time.time() - staged.stat().st_mtime > STAGING_S:
            staged.unlink(missing_ok=True)
