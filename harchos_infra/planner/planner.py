"""The plan of one workload: a pure function of workload, catalogue, signal, measurements and time.

Every offer is a candidate at each of its start times within the deadline, and with each other schedule that
the workload allows. The steps, in order: what each offer fails of place and machine; estimates of the rest;
the baselines, frozen before anything is optimised; other schedules than a window; deadline and budgets;
ranking; reasons for all that lost, or the nearest miss if all of them did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.grid.signal import Signal
from harchos_infra.planner import baseline
from harchos_infra.planner.estimate import Estimates, estimate
from harchos_infra.planner.fit import Miss, Misses, fit
from harchos_infra.planner.inputs import inputs
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.nearest import nearest_miss
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.options import options
from harchos_infra.planner.plan import Plan, Rejection, Schedule, summary
from harchos_infra.planner.rank import Ranking, explain, rank
from harchos_infra.planner.request import Request
from harchos_infra.planner.schedule import schedule
from harchos_infra.workload.document import Workload
from harchos_infra.workload.public import public_document

if TYPE_CHECKING:
    from harchos_infra.planner.moving import Moves
    from harchos_infra.policy.loader import LoadedPolicy


def plan(
    workload: Workload,
    *,
    catalog: Catalog,
    signal: Signal,
    now: datetime,
    source: Mapping[str, str] | None = None,
    measured: Calibration | None = None,
    policy: LoadedPolicy | None = None,
) -> Plan:
    """Decide when and where a workload runs.

    `now` is an aware time; `source` says where the workload came from (`path`, `sha256`) and goes into the
    plan's inputs; `measured` is what earlier runs took, and replaces model and estimate; `policy` holds
    beside the workload's own constraints. Where nothing fits, the decision is `reject` and `nearest_miss`
    says what would help.
    """
    request = Request.of(workload, catalog, now, measured, policy)
    verdicts = fit(request, catalog)
    fitting = sorted(
        (o for o, m in zip(catalog.offers, verdicts, strict=True) if not m), key=lambda offer: offer.key
    )
    estimates, unknown = estimate(request, catalog, signal, fitting)
    baselines = baseline.baselines(request, catalog, signal, estimates, verdicts)
    found = options(request, catalog, estimates)
    estimates, broken, moves = found.estimates, found.broken, found.moves
    feasible = [index for index, misses in enumerate(broken) if not misses]
    ranking = rank(Objective.of(request.spec), estimates, feasible) if feasible else None
    failed = [
        *_broken(estimates, broken),
        *unknown,
        *((offer, misses[0]) for offer, misses in zip(catalog.offers, verdicts, strict=True) if misses),
    ]
    rejected = (*(_compared(estimates, ranking) if ranking else ()), *(_failed(o, m) for o, m in failed))
    chosen = schedule(estimates, int(ranking.members[0]), moves=moves, gap=found.gap) if ranking else None
    document = public_document(workload)
    return Plan(
        workload=document,
        now=request.now,
        decision="reject" if chosen is None else "schedule_now" if chosen.start == request.now else "defer",
        chosen=chosen,
        baselines=baselines,
        frontier=_front(estimates, ranking, chosen, moves) if ranking and chosen else (),
        rejected=rejected,
        inputs=inputs(request, document, catalog, signal, estimates, ranking, source),
        nearest_miss=None if ranking else nearest_miss(request, catalog, signal, verdicts),
        summary=summary(len(catalog.offers), len(set(estimates.offer_of[feasible].tolist())), rejected),
        horizon=estimates.horizon.shown(chosen.segments[0].zone) if chosen else {},
    )


def _front(
    estimates: Estimates, ranking: Ranking, chosen: Schedule, moves: Moves | None
) -> tuple[Schedule, ...]:
    return tuple(
        schedule(estimates, int(ranking.members[place]), moves=moves) if place else chosen
        for place in ranking.front
    )


def _compared(estimates: Estimates, ranking: Ranking) -> Iterator[Rejection]:
    """Yield the feasible candidates but the first in order of rank, with the figures compared."""
    usd = estimates.cost_usd.tolist()
    gco2e = estimates.gco2e(estimates.best_mean, with_embodied=ranking.with_embodied).tolist()
    start_s = estimates.best_start_s.tolist()
    moments = {offset_s: estimates.horizon.moment(offset_s) for offset_s in set(start_s)}
    for index, miss in explain(estimates, ranking):
        figures = usd[index], gco2e[index], moments[start_s[index]]
        yield Rejection(*estimates.offers[index].key, miss.reason, miss.detail, *figures)


def _broken(estimates: Estimates, broken: Sequence[Misses]) -> Iterator[tuple[Offer, Miss]]:
    """Yield each offer without a feasible entry, with what the entry that comes nearest fails."""
    if not estimates.has_several_entries:
        yield from ((o, misses[0]) for o, misses in zip(estimates.offers, broken, strict=True) if misses)
        return
    nearest: dict[int, tuple[int, int, int]] = {}
    for index, (offer, late_s) in enumerate(
        zip(estimates.offer_of.tolist(), estimates.late_s.tolist(), strict=True)
    ):
        key = len(broken[index]), late_s, index
        nearest[offer] = min(nearest.get(offer, key), key)
    for offer, (count, _, index) in nearest.items():
        if count:
            yield estimates.offers[offer], broken[index][0]


def _failed(offer: Offer, miss: Miss) -> Rejection:
    return Rejection(*offer.key, miss.reason, miss.detail)
