"""What a job may do beside one window: pause, move, change its node count. More entries of the estimates.

Each schedule minimises gCO2e + theta x USD, theta being what a dollar weighs in grams under the objective.
Beside it stands the one of least carbon (theta = 0), which the Pareto front and a carbon budget may need.

Node counts are chosen without regard to what a pause costs, and then pay for it. The score without it is a
bound.

Where the best schedule of a candidate breaks a budget, theta is searched: every theta gives a schedule that
is best among all that are no dearer (no dirtier), and the least change of theta that keeps to the budget
gives the best that such a search can find. What may be left to gain is bounded by the Lagrangian of the
budget, and stated with the schedule:

    carbon <= G:  score >= (theta0 / theta) x (gCO2e + theta x USD) - (theta0 / theta - 1) x G
    USD <= C:     score >= gCO2e + theta x USD - (theta - theta0) x C
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.planner.course import Course, Leg
from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.moving import Moves, moved
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.pausing import paused, rates
from harchos_infra.planner.policing import is_unsearched
from harchos_infra.planner.request import Request
from harchos_infra.planner.resizing import fixed_counts, resized
from harchos_infra.planner.variants import extended

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_LEAST_USD_PER_G = 1e-12
"""Weight of a gram where the objective has none: it settles ties."""
_LEAST_THETA, _MOST_THETA = 1e-3, 1e12
"""Between them theta is searched, in grams to the dollar, by halving its logarithm."""
_SEARCHES = 30
_MOVES = -1
"""Stands for the candidate of schedules that move."""


def search(
    request: Request, catalog: Catalog, estimates: Estimates, with_embodied: bool
) -> tuple[Estimates, Moves | None, float]:
    """Return the estimates with an entry for each schedule worth a thought, what moves transfer, and the gap.

    The gap is by which share of its score the best entry may miss the least that is possible.
    """
    objective = Objective.of(request.spec)
    theta = objective.usd_weight / max(objective.usd_per_g, _LEAST_USD_PER_G)
    found = _Search(request, catalog, estimates, theta, with_embodied)
    return found.run(), found.moves, found.gap


class _Search:
    """The schedules of one workload."""

    def __init__(
        self,
        request: Request,
        catalog: Catalog,
        estimates: Estimates,
        theta: float,
        with_embodied: bool,
    ) -> None:
        self._request, self._estimates = request, estimates
        self._theta, self._with_embodied = theta, with_embodied
        self._members = np.flatnonzero(estimates.late_s <= 0)
        checkpoint = request.spec.checkpoint
        size_gib = checkpoint.size_gib if checkpoint and request.may_pause else None
        can_move = size_gib is not None and request.scaling is None
        self.moves = Moves(request, catalog, estimates, size_gib) if can_move and size_gib else None
        self.gap, self._bound = 0.0, np.inf

    def run(self) -> Estimates:
        """Return the estimates with all schedules found."""
        estimates, everything = self._estimates, np.arange(len(self._estimates.offers))
        if self._request.scaling is not None:
            estimates = extended(estimates, fixed_counts(self._request.scaling, self._estimates, everything))
        for theta in dict.fromkeys((self._theta, 0.0)):
            best = self._best(estimates, theta)
            estimates = extended(estimates, self._solve(everything, theta, best))
            if self.moves is not None:
                courses = self._move(theta, self._best(estimates, theta))
                estimates = extended(estimates, courses, self.moves)
        request = self._request
        if min(request.max_cost_usd, request.max_carbon_g) < np.inf or request.policy is not None:
            estimates = self._within_budgets(estimates)
        best = self._best(estimates, self._theta)
        self.gap = max(1 - self._bound / best, 0.0) if 0 < best < np.inf else 0.0
        return estimates

    def _solve(self, members: Ints, theta: float, best: float) -> list[Course]:
        """Return the best schedule of each member with pauses or changing node counts."""
        estimates, scaling = self._estimates, self._request.scaling
        found: list[Course] = []
        if self._request.may_pause:
            waiting = np.intersect1d(members, self._members)
            rho = rates(estimates, waiting, theta, self._with_embodied)
            found += paused(self._request, estimates, waiting, rho)
        if scaling is not None and self._request.deadline is not None:
            rho = rates(estimates, members, theta, self._with_embodied)
            fixed = theta * estimates.transfer_usd[members] + estimates.transfer_g[members]
            courses, least = resized(self._request, scaling, estimates, members, rho, best - fixed)
            found += courses
            if theta == self._theta and self._request.save_s + self._request.restart_s > 0:
                self._bound = min(self._bound, float((least + fixed).min(initial=np.inf)))
        return found

    def _move(self, theta: float, best: float) -> list[Course]:
        assert self.moves is not None
        return moved(
            self._request, self._estimates, self._members, self.moves, theta, self._with_embodied, best
        )

    def _score(self, estimates: Estimates, theta: float) -> Floats:
        """Return the score of each entry, infinite where it is late."""
        gco2e = estimates.gco2e(estimates.best_mean, with_embodied=self._with_embodied)
        return np.where(estimates.late_s > 0, np.inf, gco2e + theta * estimates.cost_usd)

    def _best(self, estimates: Estimates, theta: float) -> float:
        """Return the least score within the budgets."""
        score = np.where(self._breaks(estimates).any(axis=0), np.inf, self._score(estimates, theta))
        return float(score.min(initial=np.inf))

    def _breaks(self, estimates: Estimates) -> NDArray[np.bool_]:
        """Tell of each entry whether it breaks carbon budget, cost budget, other limits: (3, entries)."""
        request = self._request
        return np.stack(
            [
                estimates.gco2e(estimates.best_mean) > request.max_carbon_g,
                estimates.cost_usd > request.max_cost_usd,
                is_unsearched(request, estimates),
            ]
        )

    def _within_budgets(self, estimates: Estimates) -> Estimates:
        """Search theta wherever an entry is better than all within the budgets but breaks one of them.

        For the policy's limits of price, intensity and time to live nothing is searched: what such an entry
        scores bounds what its candidate could.
        """
        score, breaks = self._score(estimates, self._theta), self._breaks(estimates)
        best = self._best(estimates, self._theta)
        keeps = _keeps(estimates, breaks[:2]) | (self._request.scaling is not None)
        searched: set[int] = set()
        for entry in np.argsort(score, kind="stable").tolist():
            if not score[entry] < best:
                break
            course = estimates.courses[entry]
            candidates = {entry} if course is None else {leg.candidate for leg in course.legs}
            member = next(iter(candidates)) if len(candidates) == 1 else _MOVES
            if not breaks[:, entry].any() or member in searched or not (member == _MOVES or keeps[member]):
                continue
            searched.add(member)
            if not breaks[:2, entry].any():
                self._bound = min(self._bound, float(score[entry]))
                continue
            solve = partial(self._moved, estimates) if member == _MOVES else self._of_member(member)
            found, least = self._search(bool(breaks[0, entry]), solve)
            self._bound = min(self._bound, least)
            estimates = extended(estimates, found, self.moves)
            best = self._best(estimates, self._theta)
        return estimates

    def _moved(self, estimates: Estimates, theta: float) -> list[Course]:
        """Return the best of all schedules: one with moves, or of those that are known."""
        score = self._score(estimates, theta)
        best = int(score.argmin())
        return self._move(theta, float(score[best])) or [estimates.courses[best] or self._window(best)]

    def _window(self, member: int) -> Course:
        start_s = int(self._estimates.best_start_s[member])
        length_s, nodes = int(self._estimates.duration_s[member]), self._estimates.nodes
        return Course((Leg(member, start_s, start_s + length_s, nodes),))

    def _of_member(self, member: int) -> Callable[[float], list[Course]]:
        def solve(theta: float) -> list[Course]:
            return [self._window(member), *self._solve(np.array([member]), theta, np.inf)]

        return solve

    def _search(
        self, is_too_dirty: bool, solve: Callable[[float], list[Course]]
    ) -> tuple[list[Course], float]:
        """Return the best schedule within the budgets that `solve` gives for any theta, or none.

        Also what any schedule that it chooses from scores at least, if it keeps to the broken budget.
        """
        low, high = (_LEAST_THETA, self._theta) if is_too_dirty else (self._theta, _MOST_THETA)
        low, bound = max(low, _LEAST_THETA), 0.0
        best: tuple[float, list[Course]] = np.inf, []
        theta = 0.0 if is_too_dirty else _MOST_THETA
        for number in range(_SEARCHES):
            courses = solve(theta)
            found = extended(self._estimates, courses, self.moves)
            first = len(self._estimates.offers)
            index = first + int(self._score(found, theta)[first:].argmin())
            usd, score = float(found.cost_usd[index]), float(self._score(found, self._theta)[index])
            bound = max(bound, self._least(is_too_dirty, theta, score, usd))
            breaks = self._breaks(found)[:, index]
            if not number and breaks[0 if is_too_dirty else 1]:
                return [], np.inf
            is_within = not breaks.any()
            if is_within and score < best[0]:
                best = score, [courses[index - first]]
            if number:
                low, high = (theta, high) if is_within == is_too_dirty else (low, theta)
            theta = float(np.sqrt(low * high))
        return best[1], bound

    def _least(self, is_too_dirty: bool, theta: float, score: float, usd: float) -> float:
        """Return what every schedule within the budget scores at least, by the best one under `theta`."""
        most_g, most_usd = self._request.max_carbon_g, self._request.max_cost_usd
        gco2e = score - self._theta * usd
        if is_too_dirty and most_g < np.inf and theta > 0:
            weight = self._theta / theta
            return weight * (gco2e + theta * usd) - (weight - 1) * most_g
        if not is_too_dirty and most_usd < np.inf:
            return gco2e + theta * usd - (theta - self._theta) * most_usd
        return 0.0


def _keeps(estimates: Estimates, breaks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each candidate whether schedules that start on it keep to each of the budgets."""
    first = [
        index if course is None else course.legs[0].candidate
        for index, course in enumerate(estimates.courses)
    ]
    kept = np.zeros(breaks.shape, dtype=bool)
    for budget in range(len(breaks)):
        np.logical_or.at(kept[budget], first, ~breaks[budget])
    return np.asarray(kept.all(axis=0))
