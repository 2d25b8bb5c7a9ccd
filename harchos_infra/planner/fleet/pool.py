"""Pools: what a quota limits in one region, or in all together, and who takes how much of it when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from harchos_infra.catalog import Offer
from harchos_infra.catalog.availability import Availability
from harchos_infra.catalog.live import Quota as LiveQuota
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.plan import Schedule


@dataclass(frozen=True, slots=True)
class Pool:
    """One quota of a file, or of a cloud's own, in one region."""

    quota: Quota | LiveQuota
    provider: str
    region: str

    @property
    def name(self) -> str:
        """Place and what is limited: `aws/eu-north-1 L4`."""
        what = self.quota.unit if isinstance(self.quota, Quota) else self.quota.name
        return f"{self.provider}/{self.region} {what}"

    @property
    def to_raise(self) -> str:
        """What a request to raise it names: the key in the file, the cloud's code."""
        return self.quota.name if isinstance(self.quota, Quota) else self.quota.code


ALL_REGIONS = "all regions"


class Pools:
    """The pools that some offer of a fleet takes from, in the order in which they are met.

    They are of the file's quotas, and of what clouds said that an account may rent.
    """

    def __init__(self, quotas: Quotas, availability: Availability | None = None) -> None:
        self._quotas = quotas.entries
        self._availability = availability or Availability()
        self.pools: list[Pool] = []
        self._number: dict[Pool, int] = {}

    def needs(self, offer: Offer, nodes: int) -> list[tuple[int, float]]:
        """Return (pool, units) for each pool that a hub of `nodes` machines of an offer takes from."""
        found = []
        for pool in self._of(offer):
            if units := pool.quota.need(offer, nodes):
                number = self._number.setdefault(pool, len(self.pools))
                if number == len(self.pools):
                    self.pools.append(pool)
                found.append((number, units))
        return found

    def _of(self, offer: Offer) -> Iterator[Pool]:
        provider, region = offer.provider, offer.region
        yield from (Pool(quota, provider, region) for quota in self._quotas if quota.limits(offer))
        for quota in self._availability.quotas(offer):
            if quota.everywhere:
                yield Pool(replace(quota, region=ALL_REGIONS, used=None), provider, ALL_REGIONS)
            else:
                yield Pool(quota, provider, region)


@dataclass(frozen=True, slots=True)
class Taking:
    """Units that one workload takes of a pool over a time span."""

    start: datetime
    end: datetime
    units: float


def takings(
    pools: Pools, offers: dict[tuple[str, str, str, str], Offer], chosen: Schedule, *, of_queue: bool = False
) -> dict[int, list[Taking]]:
    """Return what the segments of a schedule take of each pool; of a queue each machine is a hub."""
    found: dict[int, list[Taking]] = {}
    for segment in chosen.segments:
        hubs = segment.nodes if of_queue else 1
        for pool, units in pools.needs(offers[segment.offer], segment.nodes // hubs):
            found.setdefault(pool, []).append(Taking(segment.start, segment.end, hubs * units))
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """How a pool is used: the most units at once, and for how long as many as its limit."""

    peak: float
    full: timedelta
    first_full: datetime | None
    last_full: datetime | None


def use(taken: Sequence[Taking], limit: float) -> Use:
    """Add up what is taken, moment by moment: units change only where a taking starts or ends."""
    changes: dict[datetime, float] = {}
    for taking in taken:
        changes[taking.start] = changes.get(taking.start, 0.0) + taking.units
        changes[taking.end] = changes.get(taking.end, 0.0) - taking.units
    moments = sorted(changes)
    level, peak, full = 0.0, 0.0, timedelta()
    spans: list[tuple[datetime, datetime]] = []
    for moment, following in pairwise(moments):
        level += changes[moment]
        peak = max(peak, level)
        if level > 0 and level >= limit - 1e-9:
            full += following - moment
            spans.append((moment, following))
    return Use(peak, full, spans[0][0] if spans else None, spans[-1][1] if spans else None)


def added(taken: Iterable[Mapping[int, Sequence[Taking]]]) -> dict[int, list[Taking]]:
    """Return what several schedules take of each pool together."""
    together: dict[int, list[Taking]] = {}
    for one in taken:
        for pool, spans in one.items():
            together.setdefault(pool, []).extend(spans)
    return together


def keeps(pools: Pools, taken: Iterable[Mapping[int, Sequence[Taking]]]) -> bool:
    """Tell whether what is taken together stays within every pool's limit at every moment."""
    together = added(taken)
    limits = [pool.quota.limit for pool in pools.pools]
    return all(use(spans, limits[pool]).peak <= limits[pool] + 1e-9 for pool, spans in together.items())
