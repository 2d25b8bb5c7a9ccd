"""What would give a workload a place that the quotas leave none: more of a quota, or more time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from harchos_infra.catalog import Offer
from harchos_infra.planner.fleet.member import Ways
from harchos_infra.planner.fleet.pool import Pools, Taking, use
from harchos_infra.planner.wording import duration


def nearest_miss(ways: Ways, pools: Pools, taken: Mapping[int, Sequence[Taking]], held: int) -> str:
    """Return which single change would make room, beside what the others take.

    Of a queue: for how many of its hubs there is room, `held`.
    """
    if ways.member.hubs > 1:
        return f"the quotas leave room for {held} of {ways.member.hubs} hubs in time"
    found = [*_more_time(ways, pools, taken), *_more_quota(ways, pools)]
    return "; or ".join(found)


def _more_quota(ways: Ways, pools: Pools) -> list[str]:
    """Return the quota that falls short of a candidate by the least, even with nothing else running."""
    short = []
    for offer in ways.offers:
        needs = pools.needs(offer, ways.estimates.nodes)
        over = [(units - pools.pools[pool].quota.limit, pool, units) for pool, units in needs]
        if len([lack for lack, *_ in over if lack > 0]) == 1:
            short.append((*max(over), offer))
    if not short:
        return []
    _, pool, units, offer = min(short, key=lambda item: (item[0], item[3].price_usd_hour, _name(item[3])))
    quota = pools.pools[pool].quota
    what = f"{pools.pools[pool].to_raise} of {pools.pools[pool].name}"
    return [f"raise {what} from {quota.limit:g} to {units:g}: {_name(offer)}"]


def _more_time(ways: Ways, pools: Pools, taken: Mapping[int, Sequence[Taking]]) -> list[str]:
    """Return by how much later some candidate could be done, after what the others take."""
    horizon = ways.estimates.horizon
    deadline = horizon.moment(horizon.earliest_s if horizon.deadline_s is None else horizon.deadline_s)
    best: tuple[timedelta, str] | None = None
    for index in ways.index.tolist():
        offer = ways.estimates.offers[index]
        needs = pools.needs(offer, ways.estimates.nodes)
        if any(units > pools.pools[pool].quota.limit for pool, units in needs):
            continue
        length = timedelta(seconds=int(ways.estimates.duration_s[index]))
        earliest = horizon.moment(horizon.earliest_s)
        ends = {t.end for pool, _ in needs for t in taken.get(pool, ()) if t.end > earliest}
        for start in sorted({earliest, *ends}):
            mine = {pool: Taking(start, start + length, units) for pool, units in needs}
            if all(
                use([*_during(taken.get(pool, ()), spell), spell], 1).peak <= pools.pools[pool].quota.limit
                for pool, spell in mine.items()
            ):
                late = start - deadline if horizon.deadline_s is None else start + length - deadline
                best = min(best or (late, _name(offer)), (late, _name(offer)))
                break
    if best is None:
        return []
    by = duration(best[0].total_seconds())
    if horizon.deadline_s is None:
        return [f"give it a deadline, so that it can start {by} later: {best[1]}"]
    return [f"finish {by} later and it fits: {best[1]}"]


def _during(taken: Sequence[Taking], spell: Taking) -> list[Taking]:
    return [
        Taking(max(t.start, spell.start), min(t.end, spell.end), t.units)
        for t in taken
        if t.start < spell.end and t.end > spell.start
    ]


def _name(offer: Offer) -> str:
    return f"{offer.provider}/{offer.region} {offer.instance_type} ({offer.market})"
