"""What of each pool is taken, cell by cell, and what still fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.marks import Marks
from harchos_infra.planner.fleet.problem import NO_POOL, Options, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLACK = 1e-9


class Usage:
    """Units taken of each pool in each cell of `marks`: shape (pools, cells)."""

    def __init__(self, problem: Problem, marks: Marks) -> None:
        self._marks = marks
        self._capacity = problem.capacity + _SLACK
        self._candidates = problem.candidates
        self.taken = np.zeros((len(problem.capacity), marks.cells))

    def fits(self, candidate: int, start_s: int) -> bool:
        """Tell whether a candidate can run from `start_s` beside what is placed already."""
        first, after = self._cells(candidate, start_s)
        return all(
            self.taken[pool, first:after].max() + units <= self._capacity[pool]
            for pool, units in self._needs(candidate)
        )

    def place(self, candidate: int, start_s: int) -> None:
        """Take what a candidate needs."""
        self._change(candidate, start_s, 1.0)

    def remove(self, candidate: int, start_s: int) -> None:
        """Give back what a placed candidate took."""
        self._change(candidate, start_s, -1.0)

    def free(self, found: Options) -> NDArray[np.bool_]:
        """Tell of each option whether it fits beside what is placed already."""
        candidates = self._candidates
        first, after = self._marks.span(found.start_s, found.start_s + candidates.duration_s[found.candidate])
        low = int(first.min()) if len(found) else 0
        high = int(after.max()) if len(found) else 0
        free = np.ones(len(found), dtype=np.bool_)
        for column in range(candidates.pools.shape[1]):
            pools, units = (
                candidates.pools[found.candidate, column],
                candidates.units[found.candidate, column],
            )
            for pool, unit in sorted({*zip(pools.tolist(), units.tolist(), strict=True)}):
                if pool == NO_POOL:
                    continue
                blocked = np.zeros(high - low + 1, dtype=np.int64)
                np.cumsum(self.taken[pool, low:high] + unit > self._capacity[pool], out=blocked[1:])
                mine = (pools == pool) & (units == unit)
                free[mine] &= blocked[after[mine] - low] == blocked[first[mine] - low]
        return free

    def _cells(self, candidate: int, start_s: int) -> tuple[int, int]:
        end_s = start_s + int(self._candidates.duration_s[candidate])
        marks = self._marks.at_s
        return int(np.searchsorted(marks, start_s, "right")) - 1, int(np.searchsorted(marks, end_s))

    def _needs(self, candidate: int) -> list[tuple[int, float]]:
        pools = self._candidates.pools[candidate].tolist()
        units = self._candidates.units[candidate].tolist()
        return [(pool, unit) for pool, unit in zip(pools, units, strict=True) if pool != NO_POOL]

    def _change(self, candidate: int, start_s: int, sign: float) -> None:
        first, after = self._cells(candidate, start_s)
        for pool, units in self._needs(candidate):
            self.taken[pool, first:after] += sign * units
