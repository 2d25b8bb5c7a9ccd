"""From what the jobs choose at some prices to a plan that keeps every quota: insertion, then improvement.

Jobs that take most go first. One whose choice still fits gets it; the others get the option that costs least
at the prices among those that fit. Then, while it helps, each job that has less than its best is taken out
and put back where its score is least. A job for which nothing fits is tried at every mark of every candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.marks import Marks
from harchos_infra.planner.fleet.pricing import Priced, Pricing
from harchos_infra.planner.fleet.problem import NO_POOL, Options
from harchos_infra.planner.fleet.usage import Levels, Spans, Usage
from harchos_infra.planner.window import TIE

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOWHERE = -1
_ROUNDS = 3


@dataclass(slots=True)
class Placement:
    """Where each job runs: its candidate (NOWHERE: nowhere), start and score (inf)."""

    candidate: NDArray[np.int64]
    start_s: NDArray[np.int64]
    score: NDArray[np.float64]

    @classmethod
    def empty(cls, jobs: int) -> Placement:
        """Return the placement of nothing."""
        return cls(np.full(jobs, NOWHERE), np.zeros(jobs, dtype=np.int64), np.full(jobs, np.inf))

    @property
    def key(self) -> tuple[int, float]:
        """What the best placement has least of: jobs without a place, then the sum of scores."""
        placed = self.candidate != NOWHERE
        return int((~placed).sum()), float(self.score[placed].sum())


class Repair:
    """Builds placements from priced choices, on given marks."""

    def __init__(self, pricing: Pricing, marks: Marks) -> None:
        self._pricing = pricing
        self._marks = marks
        self._levels = Levels(pricing.problem, marks)
        self._spans_of: Options | None = None
        self._spans: Spans | None = None
        candidates = pricing.problem.candidates
        needs = candidates.units.sum(axis=1) * candidates.duration_s
        size = np.zeros(pricing.problem.jobs)
        np.maximum.at(size, candidates.job, needs)
        self._order = np.argsort(-size, kind="stable").tolist()

    def place(self, priced: Priced, *, thorough: bool) -> Placement:
        """Return a placement that keeps every quota; a `thorough` one is improved while that helps."""
        usage = Usage(self._levels)
        self._look_up()
        made = Placement.empty(self._pricing.problem.jobs)
        left = [job for job in self._order if not self._as_chosen(usage, made, priced, job)]
        for job in left:
            self._insert(usage, made, job, priced.reduced)
        for _ in range(_ROUNDS if thorough else 0):
            if not self._improve(usage, made):
                break
        return made

    def settle(self, made: Placement) -> None:
        """Of equal options, give each job the earliest that fits, then the first candidate."""
        usage = Usage(self._levels)
        placed = np.flatnonzero(made.candidate != NOWHERE)
        for job in placed.tolist():
            usage.place(int(made.candidate[job]), int(made.start_s[job]))
        self._look_up()
        assert self._spans is not None
        found = self._pricing.found
        for job in placed[np.argsort(made.start_s[placed], kind="stable")].tolist():
            was = int(made.candidate[job]), int(made.start_s[job]), float(made.score[job])
            usage.remove(*was[:2])
            near = slice(self._pricing.first[job], self._pricing.first[job + 1])
            equal = found.allowed[near] & (found.score[near] <= was[2] + TIE * abs(was[2]))
            place = _cheapest(usage.free(self._spans, near) & equal, found.start_s[near])
            if place != NOWHERE and found.start_s[place + near.start] <= was[1]:
                _put(usage, made, job, found, place + near.start)
            else:
                _set(usage, made, job, *was)

    def _look_up(self) -> None:
        if self._spans_of is not self._pricing.found:
            self._spans_of, self._spans = self._pricing.found, self._levels.spans(self._pricing.found)

    def _as_chosen(self, usage: Usage, made: Placement, priced: Priced, job: int) -> bool:
        place = int(priced.choice[job])
        found = self._pricing.found
        if place == NO_POOL or not found.allowed[place]:
            return False
        candidate, start_s = int(found.candidate[place]), int(found.start_s[place])
        if not usage.fits(candidate, start_s):
            return False
        _put(usage, made, job, found, place)
        return True

    def _insert(
        self, usage: Usage, made: Placement, job: int, reduced: NDArray[np.float64] | None = None
    ) -> None:
        """Place a job where it costs least at the prices, or by its score alone."""
        found = self._pricing.found
        place = self._in_hand(usage, job, found.score if reduced is None else reduced)
        if place != NOWHERE:
            _put(usage, made, job, found, place)
            return
        found = self._pricing.every_option(job, self._marks.at_s)
        place = _cheapest(usage.free(self._levels.spans(found)) & found.allowed, found.score)
        if place != NOWHERE:
            _put(usage, made, job, found, place)

    def _in_hand(self, usage: Usage, job: int, cost: NDArray[np.float64]) -> int:
        """Return the place of the option in hand that costs least among those that fit, or NOWHERE."""
        assert self._spans is not None
        near = slice(self._pricing.first[job], self._pricing.first[job + 1])
        free = usage.free(self._spans, near) & self._pricing.found.allowed[near]
        place = _cheapest(free, cost[near])
        return place + int(near.start) if place != NOWHERE else NOWHERE

    def _improve(self, usage: Usage, made: Placement) -> bool:
        """Move each job to where its score is least; tell whether any moved."""
        least = self._pricing.least_score
        regret = np.where(made.candidate == NOWHERE, np.inf, made.score) - np.where(
            np.isfinite(least), least, 0.0
        )
        worse = np.flatnonzero(regret > 1e-12 * np.abs(least))
        before = made.key
        for job in worse[np.argsort(-regret[worse], kind="stable")].tolist():
            was = int(made.candidate[job]), int(made.start_s[job]), float(made.score[job])
            if was[0] != NOWHERE:
                usage.remove(*was[:2])
                place = self._in_hand(usage, job, self._pricing.found.score)
                if place != NOWHERE and self._pricing.found.score[place] < was[2]:
                    _put(usage, made, job, self._pricing.found, place)
                else:
                    _set(usage, made, job, *was)
            else:
                self._insert(usage, made, job)
        return made.key < before


def _cheapest(free: NDArray[np.bool_], cost: NDArray[np.float64] | NDArray[np.int64]) -> int:
    return int(np.argmin(np.where(free, cost, np.inf))) if free.any() else NOWHERE


def _put(usage: Usage, made: Placement, job: int, found: Options, place: int) -> None:
    _set(usage, made, job, int(found.candidate[place]), int(found.start_s[place]), float(found.score[place]))


def _set(usage: Usage, made: Placement, job: int, candidate: int, start_s: int, score: float) -> None:
    usage.place(candidate, start_s)
    made.candidate[job], made.start_s[job], made.score[job] = candidate, start_s, score
