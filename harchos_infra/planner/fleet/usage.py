"""What of each pool is taken, cell by cell, and what still fits.

Whether a window fits is one subtraction: for every pool and every number of units that some candidate takes
of it there is a row that counts the cells, up to each, in which so many units are not free any more. A window
fits where that count is the same at its two ends. Placing a job renews the rows of the pools that it takes
from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.marks import Marks
from harchos_infra.planner.fleet.problem import NO_POOL, Options, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the windows of options begin and end in the flattened rows: shape (pools of one, options)."""

    begin: Ints
    end: Ints


class Levels:
    """The rows: pairs of a pool and a number of units, sorted; `row` has the shape of a problem's `pools`.

    The last row stands for no pool at all: it is always free.
    """

    def __init__(self, problem: Problem, marks: Marks) -> None:
        candidates = problem.candidates
        self.marks = marks
        self.capacity = problem.capacity + _SLACK
        self.duration_s = candidates.duration_s
        self.pools, self.units = candidates.pools, candidates.units
        pairs = np.stack([self.pools.ravel().astype(np.float64), self.units.ravel()], axis=1)
        levels, row = np.unique(pairs[pairs[:, 0] != NO_POOL], axis=0, return_inverse=True)
        self.level = levels[:, 1]
        every = np.full(pairs.shape[0], len(levels), dtype=np.int64)
        every[pairs[:, 0] != NO_POOL] = row.ravel()
        self.row: Ints = every.reshape(self.pools.shape)
        self.first = np.searchsorted(levels[:, 0], np.arange(len(self.capacity) + 1))

    def spans(self, found: Options) -> Spans:
        """Return where the windows of options lie."""
        begin, end = self.marks.span(found.start_s, found.start_s + self.duration_s[found.candidate])
        offset = self.row[found.candidate].T * len(self.marks.at_s)
        return Spans(offset + begin, offset + end)


class Usage:
    """Units taken of each pool in each cell, (pools, cells), and the cells in which no more fit."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self.taken = np.zeros((len(levels.capacity), levels.marks.cells))
        self._full = np.zeros((len(levels.level) + 1, levels.marks.cells + 1), dtype=np.int32)
        self._flat = self._full.ravel()
        for pool in range(len(levels.capacity)):
            self._renew(pool)

    def fits(self, candidate: int, start_s: int) -> bool:
        """Tell whether a candidate can run from `start_s` beside what is placed already."""
        first, after = self._cells(candidate, start_s)
        rows = self._levels.row[candidate]
        return bool((self._full[rows, first] == self._full[rows, after]).all())

    def free(self, spans: Spans, options: slice = slice(None)) -> Bools:
        """Tell of each option whether it fits beside what is placed already."""
        same = self._flat[spans.begin[:, options]] == self._flat[spans.end[:, options]]
        free: Bools = same.all(axis=0)
        return free

    def place(self, candidate: int, start_s: int) -> None:
        """Take what a candidate needs."""
        self._change(candidate, start_s, 1.0)

    def remove(self, candidate: int, start_s: int) -> None:
        """Give back what a placed candidate took."""
        self._change(candidate, start_s, -1.0)

    def _cells(self, candidate: int, start_s: int) -> tuple[int, int]:
        marks = self._levels.marks.at_s
        first = int(marks.searchsorted(start_s, "right")) - 1
        return first, int(marks.searchsorted(start_s + int(self._levels.duration_s[candidate])))

    def _change(self, candidate: int, start_s: int, sign: float) -> None:
        first, after = self._cells(candidate, start_s)
        units = self._levels.units[candidate].tolist()
        for pool, unit in zip(self._levels.pools[candidate].tolist(), units, strict=True):
            if pool != NO_POOL:
                self.taken[pool, first:after] += sign * unit
                self._renew(pool)

    def _renew(self, pool: int) -> None:
        levels = self._levels
        rows = slice(levels.first[pool], levels.first[pool + 1])
        full = self.taken[pool] + levels.level[rows, None] > levels.capacity[pool]
        np.cumsum(full, axis=1, out=self._full[rows, 1:])
