"""From members to the arrays of a problem, and from a placement back to offers and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.member import Ways
from harchos_infra.planner.fleet.pool import Pools
from harchos_infra.planner.fleet.problem import NO_POOL, Candidates, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Assembled:
    """A problem whose jobs are the members in order; `first[j]` is the first candidate of member j."""

    problem: Problem
    first: NDArray[np.int64]
    shift_s: tuple[int, ...]
    """From the problem's beginning to that of each member's own horizon."""

    def candidate(self, job: int, place: int) -> int:
        """Return which of its member's own candidates a candidate of the problem is."""
        return place - int(self.first[job])


def assemble(ways: Sequence[Ways], pools: Pools) -> Assembled:
    """Put the candidates of all members on one clock, with what each takes of the pools."""
    base = min(way.estimates.horizon.base for way in ways)
    shift_s = tuple(_seconds(way.estimates.horizon.base, base) for way in ways)
    intensity, rows = _intensity(ways, shift_s)
    needs = [_needs(way, pools) for way in ways]
    width = max((len(need) for member in needs for need in member), default=0) or 1
    counts = [len(way.index) for way in ways]
    taken_of, units = np.full((sum(counts), width), NO_POOL), np.zeros((sum(counts), width))
    for place, need in enumerate(need for member in needs for need in member):
        for column, (pool, amount) in enumerate(need):
            taken_of[place, column], units[place, column] = pool, amount
    shift = np.repeat(shift_s, counts)
    candidates = Candidates(
        job=np.repeat(np.arange(len(ways)), counts),
        zone=np.array(
            [rows[way.estimates.regions[i].zone or ""] for way in ways for i in way.index.tolist()],
            dtype=np.int64,
        ),
        earliest_s=np.repeat([way.estimates.horizon.earliest_s for way in ways], counts) + shift,
        latest_s=np.concatenate([way.latest_s for way in ways]) + shift,
        duration_s=np.concatenate([way.estimates.duration_s[way.index] for way in ways]),
        fixed=np.concatenate([way.fixed for way in ways]),
        slope=np.concatenate([way.slope for way in ways]),
        most_mean=np.concatenate([way.most_mean for way in ways]),
        pools=taken_of,
        units=units,
    )
    capacity = np.array([pool.quota.limit for pool in pools.pools], dtype=np.float64)
    first = np.cumsum([0, *counts[:-1]])
    alternative = np.array([way.alternative for way in ways])
    return Assembled(Problem(len(ways), candidates, intensity, capacity, alternative), first, shift_s)


def _needs(way: Ways, pools: Pools) -> list[list[tuple[int, float]]]:
    return [pools.needs(offer, way.estimates.nodes) for offer in way.offers]


def _intensity(ways: Sequence[Ways], shift_s: Sequence[int]) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Return one matrix for all zones of all horizons; hours outside a zone's horizons are never read."""
    zones = sorted({zone for way in ways for zone in way.estimates.horizon.rows})
    rows = {zone: row for row, zone in enumerate(zones)}
    hours = max(way.estimates.horizon.hours + shift // 3600 for way, shift in zip(ways, shift_s, strict=True))
    intensity = np.zeros((len(zones), hours))
    for way, shift in zip(ways, shift_s, strict=True):
        horizon = way.estimates.horizon
        mine = [rows[zone] for zone in horizon.rows]
        begin = shift // 3600
        intensity[mine, begin : begin + horizon.hours] = horizon.intensity[list(horizon.rows.values())]
    return intensity, rows


def _seconds(moment: datetime, base: datetime) -> int:
    return round((moment - base).total_seconds())
