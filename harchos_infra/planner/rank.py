"""Which candidates are feasible, which of them is best, and in which order the others follow.

Of one uninterrupted run only the carbon depends on the start: the greenest window is its best under every
objective, and a carbon budget that this window breaks is broken by all. Other schedules of an offer are
entries of their own; the offer is as good as the best of them. Candidates are compared with embodied carbon
only if somebody has published it for all of them: an unknown share is not a share of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.fit import Miss, Misses
from harchos_infra.planner.objective import Objective, best, dominated, pareto_front
from harchos_infra.planner.request import Request
from harchos_infra.planner.window import HOUR_S, TIE
from harchos_infra.planner.wording import duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

DELTAS = "%+.3g USD (price %+.3g, egress %+.3g), %+.3g gCO2e, done %+.3g h"
"""How a candidate that lost compares: USD in all, of the price, of egress, gCO2e, hours."""


def limits(request: Request, estimates: Estimates) -> list[Misses]:
    """Return which of deadline, budgets and the policy's limits each entry fails at its best."""
    budget = request.spec.budget
    late_s = estimates.late_s.tolist()
    usd = estimates.cost_usd.tolist()
    grams = estimates.gco2e(estimates.best_mean).tolist()
    max_usd = budget.max_cost_usd if budget.max_cost_usd is not None else np.inf
    max_g = budget.max_carbon_kg * 1000 if budget.max_carbon_kg is not None else np.inf
    found: list[Misses] = []
    for late, cost, gco2e in zip(late_s, usd, grams, strict=True):
        misses: Misses = ()
        if late > 0:
            misses += (Miss("deadline", f"finishes {duration(late)} after the deadline at the earliest"),)
        if cost > max_usd:
            misses += (Miss("budget-cost", f"{cost:.4g} USD; budget.maxCost is {max_usd:g}"),)
        if gco2e > max_g:
            misses += (
                Miss(
                    "budget-carbon",
                    f"{gco2e / 1000:.4g} kgCO2e at the least; budget.maxCarbon is {max_g / 1000:g}",
                ),
            )
        found.append(misses)
    if request.policy is None:
        return found
    from harchos_infra.planner.policing import of_entries

    refused = of_entries(request, request.policy, estimates)
    return [misses + more for misses, more in zip(found, refused, strict=True)]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Feasible candidates, best first. `members` are their indices in the estimates.

    `usd` and `gco2e` (as compared) follow `members`; `front` and `is_dominated` are about them, too.
    """

    members: NDArray[np.int64]
    usd: NDArray[np.float64]
    gco2e: NDArray[np.float64]
    front: tuple[int, ...]
    is_dominated: NDArray[np.bool_]
    with_embodied: bool


def counts_embodied(estimates: Estimates, feasible: list[int]) -> bool:
    """Tell whether somebody has published embodied carbon for all of these entries."""
    return not bool(np.isnan(estimates.embodied_g[feasible]).any())


def rank(objective: Objective, estimates: Estimates, feasible: list[int]) -> Ranking:
    """Order the feasible candidates (at least one) by the objective.

    Equal scores are settled by carbon, USD, the earlier start, then the order of the candidates.
    """
    chosen = np.array(feasible, dtype=np.int64)
    with_embodied = counts_embodied(estimates, feasible)
    usd = estimates.cost_usd[chosen]
    gco2e = estimates.gco2e(estimates.best_mean, with_embodied=with_embodied)[chosen]
    score, start_s = objective.score(usd, gco2e), estimates.best_start_s[chosen].astype(float)
    winner = best([score, gco2e, usd, start_s])
    order = np.lexsort((np.arange(len(chosen)), start_s, usd, gco2e, score))
    order = np.concatenate([[winner], order[order != winner]])
    front = pareto_front(usd[order], gco2e[order])
    return Ranking(
        members=chosen[order],
        usd=usd[order],
        gco2e=gco2e[order],
        front=tuple(front),
        is_dominated=dominated(usd[order], gco2e[order], front),
        with_embodied=with_embodied,
    )


def explain(estimates: Estimates, ranking: Ranking) -> list[tuple[int, Miss]]:
    """Return why each feasible offer but the winner's lost: its best entry, and its deltas to the winner's.

    In order of rank.
    """
    places = np.arange(1, len(ranking.members))
    if estimates.has_several_entries:
        places = np.sort(np.unique(estimates.offer_of[ranking.members], return_index=True)[1])[1:]
    winner, losers = ranking.members[0], ranking.members[places]
    finish_s = estimates.best_start_s + estimates.duration_s
    compute_usd = estimates.compute_usd[losers] - estimates.compute_usd[winner]
    transfer_usd = estimates.transfer_usd[losers] - estimates.transfer_usd[winner]
    figures = (
        compute_usd + transfer_usd,
        compute_usd,
        transfer_usd,
        ranking.gco2e[places] - ranking.gco2e[0],
        (finish_s[losers] - finish_s[winner]) / HOUR_S,
    )
    noise = (*[TIE * float(estimates.cost_usd[winner])] * 3, TIE * float(ranking.gco2e[0]), 0.0)
    exact = (
        np.where(abs(values) <= least, 0.0, values) for values, least in zip(figures, noise, strict=True)
    )
    deltas = zip(*(values.tolist() for values in exact), strict=True)
    is_worse = ranking.is_dominated[places].tolist()
    return [
        (index, Miss("dominated" if worse else "ranked-lower", DELTAS % delta))
        for index, worse, delta in zip(losers.tolist(), is_worse, deltas, strict=True)
    ]
