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
from harchos_infra.planner.window import HOUR_S

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
    intensity, rows, step_s = _intensity(ways, shift_s)
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
    problem = Problem(len(ways), candidates, intensity, capacity, alternative, step_s)
    return Assembled(problem, first, shift_s)


def _needs(way: Ways, pools: Pools) -> list[list[tuple[int, float]]]:
    return [pools.needs(offer, way.estimates.nodes) for offer in way.offers]


def _intensity(
    ways: Sequence[Ways], shift_s: Sequence[int]
) -> tuple[NDArray[np.float64], dict[str, int], int]:
    """Return one matrix for all zones of all horizons, their rows, and its step, the finest that there is.

    Times outside a zone's horizons are never read.
    """
    horizons = [way.estimates.horizon for way in ways]
    zones = sorted({zone for horizon in horizons for zone in horizon.rows})
    rows = {zone: row for row, zone in enumerate(zones)}
    step_s = min(horizon.step_s for horizon in horizons)
    end_s = max(h.hours * HOUR_S + shift for h, shift in zip(horizons, shift_s, strict=True))
    intensity = np.zeros((len(zones), end_s // step_s))
    for horizon, shift in zip(horizons, shift_s, strict=True):
        mine, theirs = [rows[zone] for zone in horizon.rows], list(horizon.rows.values())
        begin, steps = shift // step_s, horizon.hours * HOUR_S // step_s
        finer = np.repeat(horizon.intensity[theirs], horizon.step_s // step_s, axis=1)
        intensity[mine, begin : begin + steps] = finer
    return intensity, rows, step_s


def _seconds(moment: datetime, base: datetime) -> int:
    return round((moment - base).total_seconds())
