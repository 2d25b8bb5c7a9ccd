"""Many jobs that share capacity: the mathematics of a fleet, as arrays.

Problem. Each job j runs once, uninterrupted, on one of its candidates c (an offer) from a start s within
[earliest_c, latest_c]. Its score is

    score(c, s) = fixed_c + slope_c x M_z(s, d),    M: mean intensity of the zone over [s, s + d)

and while it runs it takes units_c of each pool that c belongs to. Place as many jobs as possible, and of all
ways to place as many, take one with the least sum of scores, such that at every second the units taken of a
pool are at most its capacity.

Starts. Price the pools by the step of the signal, an hour or less (`decomposition`): then both M and the
price of a window are linear in s between those starts at which the window begins or ends with a step, so that
these breakpoints (`window`) and the two ends of [earliest, latest] are all the starts that need pricing. To
*place* jobs one after the other, starts that follow another job's end are needed, too: `marks`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import HOUR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

NO_POOL = -1
_RIVALS = 2
_MULTIPLIER = 0x5DEECE66D
"""Makes one number of several: the same one of equal rows, and almost never the same one of others."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """One entry a candidate in every array, sorted by job. Times are seconds from the first step's beginning.

    `pools` and `units` have shape (candidates, width): the pools that a candidate takes from, filled up with
    NO_POOL and 0. Scores are in USD; `slope` is per g/kWh.
    """

    job: Ints
    zone: Ints
    earliest_s: Ints
    latest_s: Ints
    duration_s: Ints
    fixed: Floats
    slope: Floats
    most_mean: Floats
    """Mean intensity above which the job's own carbon budget is spent, g/kWh; inf without one."""
    pools: Ints
    units: Floats

    def __len__(self) -> int:
        return len(self.job)

    def take(self, places: Ints | Bools) -> Candidates:
        """Return those candidates alone."""
        return Candidates(*(getattr(self, f.name)[places] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Problem:
    """`intensity` has shape (zones, steps), g/kWh; `capacity` (pools,) is in the pools' own units."""

    jobs: int
    candidates: Candidates
    intensity: Floats
    capacity: Floats
    alternative: Floats
    """Score of what each job could do besides, (jobs,): another schedule than a window; inf without one."""
    step_s: int = HOUR_S

    @property
    def steps(self) -> int:
        """Steps of the intensity looked at."""
        return int(self.intensity.shape[1])

    @property
    def end_s(self) -> int:
        """The end of the time looked at."""
        return self.steps * self.step_s


@dataclass(frozen=True, slots=True)
class Options:
    """Candidates with a start, sorted by candidate, then by start; `allowed`: within the carbon budget."""

    candidate: Ints
    start_s: Ints
    score: Floats
    allowed: Bools

    def __len__(self) -> int:
        return len(self.candidate)

    def take(self, places: Ints | Bools) -> Options:
        """Return those options alone."""
        return Options(*(getattr(self, f.name)[places] for f in fields(self)))


class Means:
    """Mean intensity of any window of any zone, by prefix sums of the deviation from the zone's own mean."""

    def __init__(self, problem: Problem) -> None:
        intensity, self._step_s = problem.intensity, problem.step_s
        self.level = intensity.mean(axis=1)
        self.lowest = intensity.min(axis=1)
        self._value = np.zeros((intensity.shape[0], intensity.shape[1] + 1))
        self._value[:, :-1] = intensity - self.level[:, None]
        self._prefix = np.zeros_like(self._value)
        np.cumsum(self._value[:, :-1], axis=1, out=self._prefix[:, 1:])

    def of(self, zone: Ints, start_s: Ints, duration_s: Ints) -> Floats:
        """Return the mean over [start, start + duration) of each entry, g/kWh."""
        gained = self._integral(zone, start_s + duration_s) - self._integral(zone, start_s)
        means: Floats = self.level[zone] + gained * (self._step_s / duration_s)
        return means

    def _integral(self, zone: Ints, at_s: Ints) -> Floats:
        step, second = np.divmod(at_s, self._step_s)
        integral: Floats = self._prefix[zone, step] + self._value[zone, step] * (second / self._step_s)
        return integral


def options(problem: Problem, means: Means, places: Ints, marks: Ints | None = None) -> Options:
    """Return the candidates at `places` at all their breakpoints and, where given, at `marks` (rising)."""
    all_candidates = problem.candidates
    earliest, latest = all_candidates.earliest_s[places], all_candidates.latest_s[places]
    duration = all_candidates.duration_s[places]
    owners, starts = [np.arange(len(places))] * 2, [earliest, latest]
    owner, step = _ragged(-(-earliest // problem.step_s), latest // problem.step_s)
    owners, starts = [*owners, owner], [*starts, step * problem.step_s]
    owner, step = _ragged(-(-(earliest + duration) // problem.step_s), (latest + duration) // problem.step_s)
    owners, starts = [*owners, owner], [*starts, step * problem.step_s - duration[owner]]
    if marks is not None:
        owner, mark = _ragged(np.searchsorted(marks, earliest), np.searchsorted(marks, latest, "right") - 1)
        owners, starts = [*owners, owner], [*starts, marks[mark]]
    span = problem.end_s + 1
    coded = np.sort(np.concatenate(owners) * span + np.concatenate(starts))
    coded = coded[np.diff(coded, prepend=-1) > 0]
    candidate, start_s = places[coded // span], coded % span
    mean = means.of(all_candidates.zone[candidate], start_s, all_candidates.duration_s[candidate])
    score = all_candidates.fixed[candidate] + all_candidates.slope[candidate] * mean
    return Options(candidate, start_s, score, mean <= all_candidates.most_mean[candidate])


def undominated(candidates: Candidates) -> Bools:
    """Tell which candidates no other of the same job, pools, zone and times beats in everything else.

    Of equal ones the first stays. Each is compared with the few of its kind that cost least to begin with, so
    that some that are beaten may stay: they cost time, never the optimum.
    """
    alike = [candidates.job, candidates.zone, candidates.earliest_s, candidates.latest_s,
    candidates.duration_s,
             *candidates.pools.T]  # fmt: skip
    code = np.zeros(len(candidates), dtype=np.int64)
    for column in alike:
        code = code * _MULTIPLIER + column
    order = np.lexsort((candidates.fixed, code))
    is_new = np.diff(code[order], prepend=code[order[:1]] - 1) != 0
    begin = np.flatnonzero(is_new)[np.cumsum(is_new) - 1]
    columns = [candidates.fixed, candidates.slope, -candidates.most_mean, *candidates.units.T]
    kept = np.ones(len(order), dtype=np.bool_)
    place = np.arange(len(order))
    for rival in range(_RIVALS):
        at = np.minimum(begin + rival, len(order) - 1)
        tested = np.flatnonzero((at < place) & (begin[at] == begin))
        mine, other = order[tested], order[at[tested]]
        beaten = np.ones(len(tested), dtype=np.bool_)
        for column in alike:
            beaten &= column[other] == column[mine]
        for column in columns:
            beaten &= column[other] <= column[mine]
        kept[tested[beaten]] = False
    undominated = np.empty_like(kept)
    undominated[order] = kept
    return undominated


def _ragged(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return, for each entry, the whole numbers from `first` to `last`, if any, and whose they are."""
    counts = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, first[owner] + within
