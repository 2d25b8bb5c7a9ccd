"""Finding and removing what is ours and has no live owner, by each provider's own listing and the ledger."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from sqlalchemy import RowMapping

from harchos_infra.clouds.cloud import Cloud, Resource, cloud, require_same_account
from harchos_infra.errors import HarchosError
from harchos_infra.runs import recurrence
from harchos_infra.runs.clock import EXPIRY_MARGIN_S
from harchos_infra.runs.ledger import FINAL, Ledger
from harchos_infra.settings import home

NO_HUB = "-"
"""Hub of what belongs to a run as a whole."""
_AT_ONCE = 8
_Key = tuple[str, str | None, str]
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
    cloud: str = "local"

    @property
    def price_usd_hour(self) -> float:
        """What those of its resources cost that have a price."""
        return sum(resource.price_usd_hour or 0.0 for resource in self.resources)


@dataclass(frozen=True, slots=True)
class Survivor:
    """A resource that was to go and is still there, and why as far as the provider said."""

    resource: Resource
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at several providers showed; `refusals` are of those that gave no full answer."""

    leftovers: list[Leftover]
    refusals: list[HarchosError]


def is_ours(resource: Resource) -> bool:
    """Return whether the hub was made from this home directory, not from another one on this machine."""
    return (home() / "mailbox" / resource.run).exists() or (home() / "hubs" / resource.hub).exists()


def find_leftovers(ledger: Ledger, *, foreign: bool = False) -> list[Leftover]:
    """Return every hub on this machine that no live process answers for, and every abandoned run.

    Hubs of other home directories count once they have outlived their TTL by more than it takes a hub to end
    itself, or if `foreign` asks for them.
    """
    return look(ledger, ("local",), foreign=foreign).leftovers


def look(ledger: Ledger, clouds: Sequence[str], *, foreign: bool = False) -> Found:
    """Look at each provider for hubs that no live process answers for, and at the ledger for abandoned runs.

    A rented cloud is looked at in all its regions, and as a whole: one that refuses is a refusal, not empty.
    """
    listed: dict[str, list[Resource]] = {}
    refusals: list[HarchosError] = []
    for name in clouds:
        try:
            listed[name] = cloud(name).list()
        except HarchosError as error:
            if name == "local":
                raise
            refusals.append(error)
    # Read after the listings: a hub is made after its run is recorded, so none is taken for nobody's.
    rows = {row["id"]: row for row in ledger.runs()}
    found = [
        leftover
        for name, resources in listed.items()
        for leftover in _without_owner(ledger, rows, name, resources, foreign=foreign)
    ]
    with_hub = {leftover.run for leftover in found}
    for run, row in rows.items():
        if row["phase"] != FINAL and run not in with_hub and _is_abandoned(ledger, row):
            found += _without_hub(row, clouds, listed)
    return Found(found, [*refusals, *_in_other_accounts(ledger, rows, listed)])


def _is_abandoned(ledger: Ledger, run: RowMapping) -> bool:
    """Return whether a run's owner is dead; a run that was given up is a controller's to take."""
    return run["owner"] is not None and not ledger.is_owned(run["id"])


def _without_hub(row: RowMapping, clouds: Sequence[str], seen: Collection[str]) -> Iterator[Leftover]:
    """Yield an abandoned run no hub of which was seen; where its cloud was not seen, it may have one."""
    provider = _provider(row, 0)
    if provider in seen:
        why = f"abandoned in phase {row['phase']}; no hub is left of it"
    elif provider in clouds or "local" in clouds:
        why = f"abandoned in phase {row['phase']}, on {provider}, which was not looked at"
    else:
        return
    yield Leftover(NO_HUB, row["id"], (), True, why, provider)


def _provider(row: RowMapping, segment: int) -> str:
    """Return where the hub of a run's segment is; a rehearsal's is always here."""
    return "local" if row["rehearsal"] else str(row["segments"][segment]["provider"])


def _without_owner(
    ledger: Ledger,
    rows: Mapping[str, RowMapping],
    name: str,
    listed: Sequence[Resource],
    *,
    foreign: bool,
) -> Iterator[Leftover]:
    """Yield the hubs among what a provider listed that no live process answers for."""
    hubs: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    ended = datetime.now(UTC) - timedelta(seconds=EXPIRY_MARGIN_S)
    for resource in listed:
        expired = resource.expires is not None and resource.expires < ended
        if foreign or expired or resource.run in rows or is_ours(resource):
            hubs[(resource.run, resource.hub)].append(resource)
    for (run, hub), resources in sorted(hubs.items()):
        row = rows.get(run)
        if row is None:
            why, unfinished = "no run of that name in the ledger", False
        elif row["phase"] == FINAL:
            why, unfinished = f"its run has ended ({row['outcome']})", False
        elif _is_abandoned(ledger, row):
            why, unfinished = f"its run was abandoned in phase {row['phase']}", True
        else:
            continue
        yield Leftover(hub, run, tuple(resources), unfinished, why, name)


def _in_other_accounts(
    ledger: Ledger, rows: Mapping[str, RowMapping], seen: Collection[str]
) -> Iterator[HarchosError]:
    """Yield an error for each account but the present one that a hub not known to be gone was made in."""
    recorded = {
        (_provider(rows[hub["run"]], hub["segment"]), hub["identity"])
        for hub in ledger.hubs()
        if hub["gone_at"] is None and hub["run"] in rows
    }
    for name, identity in sorted(recorded):
        if name in seen and name != "local":
            try:
                require_same_account(cloud(name), identity)
            except HarchosError as error:
                yield error


def remove(leftovers: Sequence[Leftover], say: Callable[[Resource], None] = lambda _: None) -> list[Survivor]:
    """Delete the resources of hubs whose runs have ended or are unknown; returns what survived.

    `say` is told of each resource before it is deleted. Raises HarchosError where a provider refuses to show
    what is left.
    """
    survivors = []
    for name in sorted({leftover.cloud for leftover in leftovers}):
        adapter = cloud(name)
        there = [leftover for leftover in leftovers if leftover.cloud == name]
        resources = [resource for leftover in there for resource in leftover.resources]
        reasons: dict[_Key, str] = {}
        # Of one kind several at once: machines take minutes to end, and are billed until then.
        for _, alike in groupby(resources, key=lambda resource: resource.kind):
            with ThreadPoolExecutor(1 if name == "local" else _AT_ONCE) as pool:
                for key, reason in pool.map(partial(_delete, adapter, say), alike):
                    reasons[key] = reason
        hubs = {(leftover.run, leftover.hub) for leftover in there}
        left = [resource for resource in adapter.list() if (resource.run, resource.hub) in hubs]
        survivors += [Survivor(resource, reasons.get(_key(resource), "")) for resource in left]
    return survivors


def _delete(adapter: Cloud, say: Callable[[Resource], None], resource: Resource) -> tuple[_Key, str]:
    """Delete one resource; returns why it could not be, empty where it could."""
    say(resource)
    try:
        adapter.delete(resource)
    except HarchosError as error:
        return _key(resource), error.what
    return _key(resource), ""


def _key(resource: Resource) -> _Key:
    return resource.kind, resource.region, resource.id


def forget_secrets(ledger: Ledger) -> None:
    """Delete secrets staged for what was never recorded (its `apply` was killed in between) or has ended."""
    known = {row["id"] for row in ledger.runs()} | {each.id for each in recurrence.live(ledger.database)}
    for staged in (home() / "mailbox").glob("*/*/secrets.json"):
        if staged.parent.parent.name not in known and time.time() - staged.stat().st_mtime > STAGING_S:
            staged.unlink(missing_ok=True)
