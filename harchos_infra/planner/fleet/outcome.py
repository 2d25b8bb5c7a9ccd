"""A member's plan with what the fleet chose in place of what it would do alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harchos_infra.planner.fleet.member import Member, Ways
from harchos_infra.planner.hubs import joined
from harchos_infra.planner.plan import Part, Plan, Rejection, Schedule, summary
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


def queue_plan(ways: Ways, places: Sequence[tuple[int, int]], inputs: Mapping[str, Any]) -> Plan:
    """Return the plan of a queue with a candidate and a start chosen for each hub.

    What was compared is what all hubs in one place would take, whether or not the quotas hold them.
    """
    own, hubs = ways.member.plan, len(places)
    found = [Part(n, n / hubs, ways.schedule(*place)) for place, n in Counter(places).items()]
    parts = sorted(found, key=lambda part: (part.chosen.start, part.chosen.segments[0].offer))
    chosen = joined(parts)
    rejected = tuple(_all_in_one_place(ways.member, chosen))
    return replace(
        own,
        decision="schedule_now" if chosen.start == own.now else "defer",
        chosen=chosen,
        frontier=(),
        rejected=rejected,
        inputs={**own.inputs, "fleet": dict(inputs)},
        summary=summary(own.summary["considered"], own.summary["feasible"], rejected),
        horizon=ways.estimates.horizon.shown(chosen.segments[0].zone),
        parts=tuple(parts) if len(parts) > 1 else None,
    )


def _all_in_one_place(member: Member, chosen: Schedule) -> Iterator[Rejection]:
    """Yield every offer that no hub is on, with what it would take if all hubs were there."""
    (per_usd, per_g), counted_g = member.weights, member.counted_g(chosen)
    for lost in (*_own_best(member), *member.plan.rejected):
        if lost.cost_usd is None or lost.gco2e is None:
            yield lost
        elif lost.offer not in chosen.offers:
            usd, gco2e = lost.cost_usd - chosen.cost_usd, lost.gco2e - counted_g
            worse = "dominated" if usd >= 0 and gco2e >= 0 else "ranked-lower"
            reason = QUOTA if per_usd * usd + per_g * gco2e < 0 else worse
            detail = f"{usd:+.3g} USD, {gco2e:+.3g} gCO2e with all {member.hubs} hubs there"
            yield replace(lost, reason=reason, detail=detail)


def _own_best(member: Member) -> Iterator[Rejection]:
    best = member.plan.chosen
    if best is not None and len(best.offers) == 1:
        yield Rejection(*best.offers[0], QUOTA, "", best.cost_usd, member.counted_g(best), best.start)


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
