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
from harchos_infra.planner.horizon import Horizon
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
    rows = _Rows(ways, shift_s)
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
            [
                of[way.estimates.regions[i].zone or ""]
                for way, of in zip(ways, rows.of, strict=True)
                for i in way.index.tolist()
            ],
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
    problem = Problem(len(ways), candidates, rows.intensity, capacity, alternative, rows.step_s)
    return Assembled(problem, first, shift_s)


def _needs(way: Ways, pools: Pools) -> list[list[tuple[int, float]]]:
    return [pools.needs(offer, way.estimates.nodes) for offer in way.offers]


class _Rows:
    """One row for each series that some member reckons with: members share it as far as they agree.

    On a forecast they need not: how far a forecast is trusted depends on the job (`gate`).
    """

    def __init__(self, ways: Sequence[Ways], shift_s: Sequence[int]) -> None:
        horizons = [way.estimates.horizon for way in ways]
        self.step_s = min(horizon.step_s for horizon in horizons)
        end_s = max(h.hours * HOUR_S + shift for h, shift in zip(horizons, shift_s, strict=True))
        self._steps = end_s // self.step_s
        self._series: list[NDArray[np.float64]] = []
        self._of_zone: dict[str, list[int]] = {}
        self.of = [self._add(horizon, shift) for horizon, shift in zip(horizons, shift_s, strict=True)]

    @property
    def intensity(self) -> NDArray[np.float64]:
        """All rows; times that nobody reads are 0."""
        return np.nan_to_num(np.array(self._series).reshape(-1, self._steps))

    def _add(self, horizon: Horizon, shift_s: int) -> dict[str, int]:
        """Return the row of each zone of a horizon."""
        finer = np.repeat(horizon.intensity, horizon.step_s // self.step_s, axis=1)
        begin = shift_s // self.step_s
        return {zone: self._row(zone, begin, finer[row]) for zone, row in horizon.rows.items()}

    def _row(self, zone: str, begin: int, values: NDArray[np.float64]) -> int:
        span = slice(begin, begin + len(values))
        rows = self._of_zone.setdefault(zone, [])
        for row in rows:
            known = self._series[row][span]
            if (np.isnan(known) | (known == values)).all():
                self._series[row][span] = values
                return row
        rows.append(len(self._series))
        self._series.append(np.full(self._steps, np.nan))
        self._series[-1][span] = values
        return rows[-1]


def _seconds(moment: datetime, base: datetime) -> int:
    return round((moment - base).total_seconds())
