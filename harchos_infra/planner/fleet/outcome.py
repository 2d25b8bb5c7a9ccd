"""A member's plan with what the fleet chose in place of what it would do alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harchos_infra.planner.fleet.member import Ways
from harchos_infra.planner.plan import Plan, Rejection, summary
from harchos_infra.planner.rank import DELTAS
from harchos_infra.planner.window import HOUR_S, TIE

QUOTA = "quota"


def in_fleet(own: Plan, inputs: Mapping[str, Any]) -> Plan:
    """Return a member's own plan as one of a fleet: a run of it stays where it is while it waits."""
    return replace(own, inputs={**own.inputs, "fleet": dict(inputs)})


def chosen_plan(ways: Ways, candidate: int, start_s: int, inputs: Mapping[str, Any]) -> Plan:
    """Return the member's plan with one of its candidates chosen, `inputs` being what the fleet adds."""
    own, index = ways.member.plan, int(ways.index[candidate])
    chosen = ways.schedule(candidate, start_s)
    compared = {lost.offer: lost for lost in reversed(list(_compared(ways, candidate, start_s)))}
    compared.pop(ways.estimates.offers[index].key, None)
    lost = tuple(reversed(compared.values()))
    known = {*compared, ways.estimates.offers[index].key}
    rejected = (*lost, *(rejection for rejection in own.rejected if rejection.offer not in known))
    return replace(
        own,
        decision="schedule_now" if chosen.start == own.now else "defer",
        chosen=chosen,
        rejected=rejected,
        inputs={**own.inputs, "fleet": dict(inputs)},
        summary=summary(own.summary["considered"], own.summary["feasible"], rejected),
        horizon=ways.estimates.horizon.shown(ways.estimates.regions[index].zone or ""),
    )


def placeless_plan(ways: Ways, nearest_miss: str, inputs: Mapping[str, Any]) -> Plan:
    """Return the member's plan where the quotas leave no place for it."""
    own = ways.member.plan
    feasible = {offer.key for offer in ways.offers}
    lost = [Rejection(*offer, QUOTA, "taken by others, or more than the quota") for offer in sorted(feasible)]
    rejected = (*lost, *(rejection for rejection in own.rejected if rejection.offer not in feasible))
    return replace(
        own,
        decision="reject",
        chosen=None,
        frontier=(),
        rejected=rejected,
        inputs={**own.inputs, "fleet": dict(inputs)},
        nearest_miss=nearest_miss,
        summary=summary(own.summary["considered"], 0, rejected),
        horizon={},
    )


def _compared(ways: Ways, candidate: int, start_s: int) -> Iterator[Rejection]:
    """Yield the other feasible candidates at their best, best first, with their deltas to the chosen one.

    What is better than the chosen one was lost to a quota.
    """
    found, index = ways.at(candidate, start_s), ways.index
    per_g = ways.member.weights[1]
    score = ways.fixed + ways.slope * found.best_mean[index]
    mine = int(index[candidate])
    usd, finish_s = found.cost_usd, found.best_start_s + found.duration_s
    gco2e = found.gco2e(found.best_mean, with_embodied=ways.member.counts_embodied)
    tie = TIE * max(abs(float(score[candidate])), per_g)
    for other in np.argsort(score, kind="stable").tolist():
        place = int(index[other])
        if place == mine:
            continue
        cheaper, cleaner = usd[place] - usd[mine], gco2e[place] - gco2e[mine]
        is_worse = cheaper >= 0 and cleaner >= 0 and (cheaper > 0 or cleaner > 0)
        reason = (
            QUOTA if score[other] < score[candidate] - tie else "dominated" if is_worse else "ranked-lower"
        )
        price = found.compute_usd[place] - found.compute_usd[mine]
        egress = found.transfer_usd[place] - found.transfer_usd[mine]
        yield Rejection(
            *found.offers[place].key,
            reason,
            DELTAS % (cheaper, price, egress, cleaner, (finish_s[place] - finish_s[mine]) / HOUR_S),
            float(usd[place]),
            float(gco2e[place]),
            ways.moment(int(found.best_start_s[place])),
        )
