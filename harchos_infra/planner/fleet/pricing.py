"""Each job's best option at given prices of the pools: the inner problem of the decomposition.

Given prices p (USD per unit and step of a pool), job j minimises over its options

    score(c, s) + units_c x integral of p over [s, s + d).

Options are priced only where they can win. Prices are not negative, so an option never costs less than its
score: with all options of a score up to `ceiling_j` in hand, the least of them is j's best if it is not above
`ceiling_j`, and `ceiling_j` is a lower bound on it if it is. `widen` raises the ceilings
of jobs that met them.

What a job could do besides is taken to need nothing of any pool: that keeps the bound a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.problem import NO_POOL, Means, Options, Problem, options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

FEW_OPTIONS = 300_000
"""Up to this many, all options are in hand from the start."""
_FIRST_CANDIDATES = 3
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Priced:
    """What the jobs do at some prices. `value` and `choice` have an entry a job; `reduced` one an option.

    `value` is a lower bound on the job's best; `choice` the place of its best option in hand, NO_POOL where
    it may have a better one.
    """

    value: Floats
    choice: Ints
    reduced: Floats


class Pricing:
    """Options in hand, sorted by job, and their prices. `first[j]:first[j + 1]` are those of job j."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.means = Means(problem)
        candidates = problem.candidates
        self._most = 2 * ((candidates.latest_s - candidates.earliest_s) // problem.step_s) + 4
        self._all = int(self._most.sum()) <= FEW_OPTIONS
        zone_mean, zone_least = self.means.level[candidates.zone], self.means.lowest[candidates.zone]
        self._least = candidates.fixed + candidates.slope * zone_least
        typical = candidates.fixed + candidates.slope * zone_mean
        self._order = np.lexsort((typical, candidates.job))
        self._typical = typical[self._order]
        self._begin = np.searchsorted(candidates.job, np.arange(problem.jobs + 1))
        self._wide = np.full(problem.jobs, _FIRST_CANDIDATES)
        self.ceiling = np.full(problem.jobs, np.inf)
        nothing = np.zeros(0, dtype=np.int64)
        self.found = options(problem, self.means, nothing)
        self._gather(np.ones(problem.jobs, dtype=np.bool_))

    def widen(self, jobs: Bools) -> None:
        """Take more options in hand for those jobs: those of three times as many candidates."""
        self._wide[jobs] *= 2
        self._gather(jobs)

    def capped(self, priced: Priced) -> Bools:
        """Tell which jobs met their ceiling, so that their best may not be in hand."""
        met: Bools = (priced.value >= self.ceiling) & np.isfinite(self.ceiling)
        return met

    def price(self, prices: Floats) -> Priced:
        """Price every option in hand: `prices` has shape (pools, steps)."""
        reduced = _reduced(self.found, self._needs, prices)
        least = np.full(self.problem.jobs, np.inf)
        some = np.flatnonzero(np.diff(self.first))
        choice = np.full(self.problem.jobs, NO_POOL)
        if len(some):
            least[some] = np.minimum.reduceat(reduced, self.first[some])
            hits = np.flatnonzero(reduced == least[self.job])
            jobs = self.job[hits]
            firsts = np.flatnonzero(np.diff(jobs, prepend=-1))
            choice[jobs[firsts]] = hits[firsts]
        most = np.minimum(self.ceiling, self.problem.alternative)
        choice[least > most] = NO_POOL
        return Priced(np.minimum(least, most), choice, reduced)

    def taken(self, choice: Ints) -> Floats:
        """Return what chosen options take of each pool in each step, in units and steps: (pools, steps)."""
        chosen = choice[choice != NO_POOL]
        rows, columns = len(self.problem.capacity) + 1, self.problem.steps + 1
        change = np.zeros(rows * (columns + 1))
        for need in self._needs:
            units = need.units[chosen]
            for at, share, sign in ((need.start, need.start_share, 1), (need.end, need.end_share, -1)):
                begins = at[chosen] + at[chosen] // columns
                later = share[chosen] * units
                change += sign * np.bincount(begins, units - later, len(change))
                change += sign * np.bincount(begins + 1, later, len(change))
        taken: Floats = change.reshape(rows, columns + 1).cumsum(axis=1)[:-1, : self.problem.steps]
        return taken

    def reduced(self, found: Options, prices: Floats) -> Floats:
        """Return what any options of the problem cost at the prices: score and use of the pools."""
        return _reduced(found, _needs(self.problem, found), prices)

    def every_option(self, job: int, marks: Ints) -> Options:
        """Return all options of one job, also those that begin on `marks`."""
        return options(self.problem, self.means, np.arange(self._begin[job], self._begin[job + 1]), marks)

    def _gather(self, jobs: Bools) -> None:
        """Take in hand all options of those jobs whose score is not above the job's ceiling."""
        candidates = self.problem.candidates
        self.ceiling[jobs] = np.inf
        if not self._all:
            bounded = jobs & (self._wide < np.diff(self._begin))
            self.ceiling[bounded] = self._typical[(self._begin[:-1] + self._wide)[bounded]]
        places = np.flatnonzero(jobs[candidates.job] & (self._least <= self.ceiling[candidates.job]))
        kept = self.found.take(~jobs[candidates.job[self.found.candidate]])
        self.found = _merged([kept, *self._below(places)])
        self.job = candidates.job[self.found.candidate]
        self.first = np.searchsorted(self.job, np.arange(self.problem.jobs + 1))
        self._needs = _needs(self.problem, self.found)
        self.least_score = self.price(np.zeros((len(self.problem.capacity), self.problem.steps))).value

    def _below(self, places: Ints) -> Iterator[Options]:
        candidates = self.problem.candidates
        most = np.cumsum(self._most[places])
        cuts = np.arange(_CHUNK, most[-1] if len(most) else 0, _CHUNK)
        for chunk in np.split(places, np.searchsorted(most, cuts)):
            part = options(self.problem, self.means, chunk)
            yield part.take(part.score <= self.ceiling[candidates.job[part.candidate]])


@dataclass(frozen=True, slots=True)
class _Need:
    """What options take of one pool: places of their windows' ends in the flattened (pools, steps)."""

    units: Floats
    start: Ints
    start_share: Floats
    """How far into its step a window begins, from 0 to 1."""
    end: Ints
    end_share: Floats
    is_uneven: bool


def _merged(parts: list[Options]) -> Options:
    every = Options(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Options)))
    return every.take(np.argsort(every.candidate, kind="stable"))


def _needs(problem: Problem, found: Options) -> list[_Need]:
    candidates, columns = problem.candidates, problem.steps + 1
    end_s = found.start_s + candidates.duration_s[found.candidate]
    step_s = problem.step_s
    start, end = found.start_s // step_s, end_s // step_s
    start_in, end_in = found.start_s - start * step_s, end_s - end * step_s
    is_uneven = bool(start_in.any() or end_in.any())
    start_share = start_in / step_s
    end_share = end_in / step_s if is_uneven else start_share
    first = np.where(candidates.pools == NO_POOL, len(problem.capacity), candidates.pools) * columns
    needs = []
    for column in range(candidates.pools.shape[1]):
        row, units = first[found.candidate, column], candidates.units[found.candidate, column]
        needs.append(_Need(units, row + start, start_share, row + end, end_share, is_uneven))
    return needs


def _reduced(found: Options, needs: list[_Need], prices: Floats) -> Floats:
    value = np.zeros((prices.shape[0] + 1, prices.shape[1] + 1))
    value[:-1, :-1] = prices
    paid = np.zeros_like(value)
    np.cumsum(value[:, :-1], axis=1, out=paid[:, 1:])
    value, paid = value.ravel(), paid.ravel()
    reduced = found.score.copy()
    for need in needs:
        due = paid[need.end] - paid[need.start]
        if need.is_uneven:
            due += value[need.end] * need.end_share - value[need.start] * need.start_share
        reduced += need.units * due
    return reduced
