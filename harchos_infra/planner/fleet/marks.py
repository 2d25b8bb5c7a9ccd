"""The seconds at which use of a pool may change: the starts at which jobs are placed, and the cells between.

Exact marks. Let g be the greatest span that divides a step of the signal and every duration. Take an optimal
plan and a set of jobs that follow one another without a gap; together they can be moved, all else fixed, in
whichever direction costs nothing until one of them starts or ends with a step, meets its earliest or latest
start, or meets a job outside the set, which then joins it. In the end each start is congruent, modulo g, to 0
or to some job's earliest or latest start: these marks hold an optimum. (A carbon budget of one's own is a
limit that is met between marks; then no such claim is made.)

Where they are too many, coarser marks take their place and a job counts, for capacity, from the mark before
its start to the mark after its end. The plan then still keeps every quota at every second; only the claim to
have looked at all starts is given up, never the bound, which needs no marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.problem import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CELLS = 4_000_000
"""Pools x cells that are looked at one by one."""
COARSE_S = (300, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Marks:
    """Rising seconds; cell i reaches from `at_s[i]` to `at_s[i + 1]`. `exact`: an optimum starts on them."""

    at_s: NDArray[np.int64]
    exact: bool

    @property
    def cells(self) -> int:
        """Spans between neighbouring marks."""
        return len(self.at_s) - 1

    def span(
        self, start_s: NDArray[np.int64], end_s: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first cell that each window touches, and the cell after its last."""
        return np.searchsorted(self.at_s, start_s, "right") - 1, np.searchsorted(self.at_s, end_s)

    @classmethod
    def of(cls, problem: Problem) -> Marks:
        """Return the exact marks of a problem, or coarser ones where they are too many."""
        limited = problem.candidates.take(
            np.flatnonzero(problem.candidates.units.max(axis=1, initial=0.0) > 0)
        )
        end_s = problem.end_s
        step_s = gcd(problem.step_s, *np.unique(limited.duration_s).tolist())
        phases = np.unique(np.concatenate([[0], limited.earliest_s % step_s, limited.latest_s % step_s]))
        most = MOST_CELLS // max(len(problem.capacity), 1)
        if len(phases) * (end_s // step_s) <= most:
            at_s = (np.arange(0, end_s, step_s)[:, None] + phases[None, :]).ravel()
            return cls(np.append(at_s[at_s < end_s], end_s), exact=True)
        step_s = next((s for s in COARSE_S if end_s // s <= most), COARSE_S[-1])
        return cls(np.append(np.arange(0, end_s, step_s), end_s), exact=False)
