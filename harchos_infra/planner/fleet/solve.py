"""A fleet's placement and how good it is: decomposition first, then exact choice where it is small.

1. Prices, bound and a plan by `decomposition` and `repair`.
2. Where bound and plan differ and the options that can still win are few, the exact choice among them (`lp`).
3. Where jobs have no place, bound and plan of the others, which all have one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from harchos_infra.planner.fleet.decomposition import CLOSE, Ascent, ascend
from harchos_infra.planner.fleet.lp import branch
from harchos_infra.planner.fleet.marks import Marks
from harchos_infra.planner.fleet.pricing import Priced, Pricing
from harchos_infra.planner.fleet.problem import Options, Problem, options, undominated
from harchos_infra.planner.fleet.repair import NOWHERE, Placement, Repair
from harchos_infra.planner.fleet.usage import Levels, Usage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_OPTIONS = 400_000
"""Options on marks that are looked at one by one before those that cannot win are left out."""

Method = Literal["decomposition", "decomposition and branching"]


@dataclass(frozen=True, slots=True)
class Solution:
    """Where each job runs, and the proof.

    `bound` is at most the sum of scores of any plan, of starts at any second, that places the same jobs.
    `prices` (pools, steps) are USD per unit and step of `step_s` seconds. `exact`: the plan is known to be an
    optimum.
    """

    placement: Placement
    score: float
    bound: float
    prices: NDArray[np.float64]
    step_s: int
    method: Method
    exact: bool

    @property
    def gap(self) -> float:
        """(score - bound) as a share of the score."""
        return (self.score - self.bound) / abs(self.score) if self.score else 0.0


def solve(problem: Problem, *, branching: bool = True) -> Solution:
    """Place the jobs of a problem. Without `branching` the decomposition stands alone."""
    usable = _usable(problem)
    able = np.unique(problem.candidates.job[usable])
    asked = replace(problem, candidates=problem.candidates.take(usable))
    run = _Run(_only(asked, able))
    run.work(branching)
    placed = np.flatnonzero(run.best.candidate != NOWHERE)
    if len(placed) < len(able) and len(placed):
        kept = _Run(_only(run.problem, placed))
        kept.best = _renumbered(run.best, placed, run.problem)
        kept.work(branching)
        usable = usable[np.isin(run.problem.candidates.job, placed)]
        run, able = kept, able[placed]
    return run.solution(usable, able, problem.jobs)


class _Run:
    """One problem on its way: the best placement so far, the ascent's bound and prices, what is proven."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.marks = Marks.of(problem)
        self.pricing = Pricing(problem)
        self.repair = Repair(self.pricing, self.marks)
        self.best = Placement.empty(problem.jobs)
        self.ascent = Ascent(-np.inf, np.zeros((len(problem.capacity), problem.steps)))
        self.bound = -np.inf
        self.method: Method = "decomposition"

    def work(self, branching: bool) -> None:
        """Find prices, bound and plan, then choose exactly where that is asked for and small enough."""
        if not self.problem.jobs:
            return
        self.ascent = ascend(self.pricing, self._plan)
        self.bound = self.ascent.bound
        if branching:
            self._branch()

    def _plan(self, priced: Priced, thorough: bool) -> float:
        self._keep(self.repair.place(priced, thorough=thorough))
        without_place, score = self.best.key
        return score if not without_place else np.inf

    def _keep(self, made: Placement) -> None:
        if made.key < self.best.key:
            self.best = made

    def _branch(self) -> None:
        """Choose exactly among the options that can still win, where they are few enough."""
        without_place, score = self.best.key
        if not without_place and score - self.bound <= CLOSE * abs(score):
            return
        found = self._survivors(score - self.bound if not without_place else np.inf)
        if found is None:
            return
        allowed = found.take(found.allowed)
        done = branch(self.problem, self.marks, allowed, all_placed=not without_place)
        if done is None or not _keeps_quotas(self.problem, self.marks, done.placement):
            return
        self.method = "decomposition and branching"
        self._keep(done.placement)
        if done.proven and self._claims(found) and not self.best.key[0]:
            self.bound = self.best.key[1]

    def _claims(self, found: Options) -> bool:
        """Tell whether the best on the marks is the best of all (`marks`)."""
        windows_only = not np.isfinite(self.problem.alternative).any()
        budgets = np.isfinite(self.problem.candidates.most_mean[found.candidate]).any()
        return self.marks.exact and windows_only and not budgets

    def _survivors(self, room: float) -> Options | None:
        candidates = self.problem.candidates
        per_mark = np.searchsorted(self.marks.at_s, candidates.latest_s, "right") - np.searchsorted(
            self.marks.at_s, candidates.earliest_s
        )
        if int(per_mark.sum()) > MOST_OPTIONS:
            return None
        every = np.arange(len(candidates))
        found = options(self.problem, self.pricing.means, every, self.marks.at_s)
        if not np.isfinite(room):
            return found
        value = self.pricing.price(self.ascent.prices).value
        reduced = self.pricing.reduced(found, self.ascent.prices)
        slack = 1e-9 * abs(self.bound) + 1e-12
        return found.take(reduced - value[candidates.job[found.candidate]] <= room + slack)

    def solution(self, usable: NDArray[np.int64], able: NDArray[np.int64], jobs: int) -> Solution:
        """Return the outcome in the numbers of the problem asked: its candidates `usable`, jobs `able`."""
        self.repair.settle(self.best)
        made = Placement.empty(jobs)
        placed = self.best.candidate != NOWHERE
        made.candidate[able[placed]] = usable[self.best.candidate[placed]]
        made.start_s[able], made.score[able] = self.best.start_s, self.best.score
        score = made.key[1]
        bound = min(self.bound, score) if placed.any() else 0.0
        exact = score - bound <= CLOSE * abs(score)
        return Solution(made, score, bound, self.ascent.prices, self.problem.step_s, self.method, exact)


def _usable(problem: Problem) -> NDArray[np.int64]:
    """Return the candidates that their pools could ever hold, in time, and that no other makes needless."""
    candidates = problem.candidates
    capacity = np.append(problem.capacity, np.inf)
    fits = (candidates.units <= capacity[candidates.pools] + 1e-9).all(axis=1)
    places = np.flatnonzero(fits & (candidates.latest_s >= candidates.earliest_s))
    return places[undominated(candidates.take(places))]


def _only(problem: Problem, jobs: NDArray[np.int64]) -> Problem:
    """Return the problem of some jobs alone; their numbers are in rising order."""
    kept = problem.candidates.take(np.isin(problem.candidates.job, jobs))
    return replace(
        problem,
        jobs=len(jobs),
        candidates=replace(kept, job=np.searchsorted(jobs, kept.job)),
        alternative=problem.alternative[jobs],
    )


def _renumbered(placement: Placement, jobs: NDArray[np.int64], problem: Problem) -> Placement:
    places = np.cumsum(np.isin(problem.candidates.job, jobs)) - 1
    return Placement(places[placement.candidate[jobs]], placement.start_s[jobs], placement.score[jobs])


def _keeps_quotas(problem: Problem, marks: Marks, placement: Placement) -> bool:
    usage = Usage(Levels(problem, marks))
    for candidate, start_s in zip(placement.candidate.tolist(), placement.start_s.tolist(), strict=True):
        if candidate == NOWHERE:
            continue
        if not usage.fits(candidate, start_s):
            return False
        usage.place(candidate, start_s)
    return True
