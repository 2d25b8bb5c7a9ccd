"""Everything that may be done: the windows, and every other schedule that the workload allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harchos_infra.catalog import Catalog
from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.fit import Misses
from harchos_infra.planner.rank import counts_embodied, limits
from harchos_infra.planner.request import Request

if TYPE_CHECKING:
    from harchos_infra.planner.moving import Moves


@dataclass(frozen=True, slots=True)
class Options:
    """The estimates with an entry for each schedule worth a thought, and what each entry fails.

    `moves` says what moves transfer, where the job may move; `gap` by which share of its score the best entry
    may miss the least that is possible: under a budget, or with pauses between changing node counts.
    """

    estimates: Estimates
    broken: list[Misses]
    moves: Moves | None = None
    gap: float = 0.0


def options(request: Request, catalog: Catalog, estimates: Estimates) -> Options:
    """Return what can be done.

    Whether embodied carbon counts depends on which candidates are feasible, and so on the schedules: they are
    made anew where it turned out otherwise.
    """
    broken = limits(request, estimates)
    if not (request.may_pause or request.scaling):
        return Options(estimates, broken)
    from harchos_infra.planner.flexible import search

    counts = _counts(estimates, broken)
    for _ in range(2):
        found, moves, gap = search(request, catalog, estimates, counts)
        broken = limits(request, found)
        counted, counts = counts, _counts(found, broken)
        if counts == counted:
            break
    return Options(found, broken, moves, gap)


def _counts(estimates: Estimates, broken: list[Misses]) -> bool:
    return counts_embodied(estimates, [index for index, misses in enumerate(broken) if not misses])
