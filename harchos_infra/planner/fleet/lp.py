"""The exact choice among the options that can still be part of an optimum: a mixed-integer linear programme.

Variables x_o in {0, 1}, an option each; for every job the x of its options sum to 1 (with a variable for
having no place, where not all have one); for every pool and every mark at which an option starts, the units
of the options that run there sum to at most its capacity: use of a pool rises only where a job starts.

Only options that can win are written down. With bound L and prices p of the decomposition and a plan of score
U, an option whose reduced cost exceeds its job's least by more than U - L is in no better plan than that one.
The linear relaxation is mostly integral; where it is not HiGHS branches, up to a number of nodes, never of
seconds, so that the same fleet gives the same plan on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.marks import Marks
from harchos_infra.planner.fleet.problem import Options, Problem
from harchos_infra.planner.fleet.repair import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MOST_VARIABLES = 30_000
MOST_ENTRIES = 600_000
_NODES = 2_000
_SCALE = 1e4


@dataclass(frozen=True, slots=True)
class Branched:
    """The best placement on the marks that was found; `proven` if there is no better one on them."""

    placement: Placement
    proven: bool


def branch(problem: Problem, marks: Marks, found: Options, *, all_placed: bool) -> Branched | None:
    """Choose among `found`, sorted by job; None where the programme is too large or gives no plan.

    `all_placed`: every job is known to have a place.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array, hstack

    job = problem.candidates.job[found.candidate]
    jobs = np.unique(job)
    rows, columns, units, limits = _use(problem, marks, found)
    if len(found) > MOST_VARIABLES or len(rows) > MOST_ENTRIES or not len(found):
        return None
    cost = found.score - (_least(problem, job, found)[job] if all_placed else 0.0)
    cost = cost * (_SCALE / max(float(np.abs(cost).max()), 1e-300))
    one: csr_array = coo_array(
        (np.ones(len(found)), (np.searchsorted(jobs, job), np.arange(len(found)))),
        shape=(len(jobs), len(found)),
    ).tocsr()
    use: csr_array = coo_array((units, (rows, columns)), shape=(len(limits), len(found))).tocsr()
    if not all_placed:
        nowhere = len(jobs) * _SCALE + 1.0 - 1e-3 * np.arange(len(jobs)) / len(jobs)
        cost = np.concatenate([cost, nowhere])
        one = hstack([one, coo_array((np.ones(len(jobs)), (np.arange(len(jobs)),) * 2))]).tocsr()
        use = hstack([use, coo_array((len(limits), len(jobs)))]).tocsr()
    constraints = [LinearConstraint(one, 1, 1)]
    if len(limits):
        constraints.append(LinearConstraint(use, -np.inf, limits))
    done = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0, "node_limit": _NODES},
    )
    if done.x is None:
        return None
    return Branched(_placement(problem, found, done.x[: len(found)]), done.status == 0)


def _least(problem: Problem, job: Ints, found: Options) -> Floats:
    least = np.full(problem.jobs, np.inf)
    np.minimum.at(least, job, found.score)
    return least


def _use(problem: Problem, marks: Marks, found: Options) -> tuple[Ints, Ints, Floats, Floats]:
    """Return the entries (row, option, units) of the capacity constraints, and their limits."""
    candidates = problem.candidates
    first, after = marks.span(found.start_s, found.start_s + candidates.duration_s[found.candidate])
    parts: list[tuple[Ints, Ints, Floats]] = []
    limits: list[Floats] = []
    begun = 0
    for pool, capacity in enumerate(problem.capacity.tolist()):
        hit = candidates.pools[found.candidate] == pool
        mine = np.flatnonzero(hit.any(axis=1))
        units = (candidates.units[found.candidate[mine]] * hit[mine]).sum(axis=1)
        most = np.zeros(problem.jobs)
        np.maximum.at(most, candidates.job[found.candidate[mine]], units)
        if most.sum() <= capacity:
            continue
        starts = np.unique(first[mine])
        low, high = np.searchsorted(starts, first[mine]), np.searchsorted(starts, after[mine])
        counts = high - low
        owner = np.repeat(np.arange(len(mine)), counts)
        row = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + low[owner]
        parts.append((begun + row, mine[owner], units[owner]))
        limits.append(np.full(len(starts), capacity))
        begun += len(starts)
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0), np.zeros(0)
    rows, columns, units = (np.concatenate(list(part)) for part in zip(*parts, strict=True))
    return rows, columns, units, np.concatenate(limits)


def _placement(problem: Problem, found: Options, x: Floats) -> Placement:
    made = Placement.empty(problem.jobs)
    chosen = np.flatnonzero(x > 0.5)
    candidate = found.candidate[chosen]
    job = problem.candidates.job[candidate]
    made.candidate[job], made.start_s[job], made.score[job] = (
        candidate,
        found.start_s[chosen],
        found.score[chosen],
    )
    return made
