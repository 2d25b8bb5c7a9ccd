"""The plan of a queue: on how many hubs its items are done, where and when each of them is.

Items are independent, so that W hubs take the W-th part of the time; each hub's start is counted on top. More
hubs fit the work into fewer hours, which can be cleaner ones, and take more starts: several numbers of hubs
are planned (budgets and policy hold for all hubs together), and the least score by the workload's objective
is chosen, the fewest hubs where several are as good. Without a deadline nothing is deferred, and the
objective says where, not how many: as many hubs as may be, so that it is done soonest.

What is linear in the number of hubs, and free to take any of them in every hour, has its optimum at all or
none of them in each hour but one. So where no quota is in the way, all hubs have the one place and the same
hours that are best for one of them. Where a quota holds fewer, there are two ways, and the better is taken:
all hubs in the best place that holds them all, and each hub placed by itself (`plan_fleet`), in several
places or after one another. Each has an equal share of the items. When they run, they take what is left from
one queue: a hub that is faster than planned does more, and one whose time is over leaves the rest to others.

The hubs of a budget: each may take what it will as long as all keep it together; where they do not, each is
held to an equal part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harchos_infra.planner.fleet.fleet import plan_fleet
from harchos_infra.planner.fleet.member import Member
from harchos_infra.planner.fleet.quota import Quotas
from harchos_infra.planner.hubs import of_one, peak_usd_hour
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Part, Plan, Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.planner.request import ASSUMED_RESTART_S, Request
from harchos_infra.planner.window import TIE
from harchos_infra.policy.breach import passes
from harchos_infra.workload.document import Budget, Workload
from harchos_infra.workload.public import public_document
from harchos_infra.workload.work import work_sha256

if TYPE_CHECKING:
    from datetime import datetime

    from harchos_infra.catalog import Catalog
    from harchos_infra.grid.signal import Signal
    from harchos_infra.policy.loader import LoadedPolicy

ALL_UP_TO = 4
"""Numbers of hubs that are all tried; above, each is half as many again."""


@dataclass(frozen=True, slots=True)
class _Tried:
    hubs: int
    plan: Plan

    def to_json(self) -> dict[str, Any]:
        chosen = self.plan.chosen
        if chosen is None:
            return {"hubs": self.hubs, "nearestMiss": self.plan.nearest_miss}
        figures = {"costUsd": chosen.cost_usd, "gco2e": chosen.gco2e, "finish": chosen.finish}
        return {"hubs": self.hubs, "places": len({s.offer for s in chosen.segments}), **figures}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a queue is planned from; as of `plan_queue`."""

    workload: Workload
    catalog: Catalog
    signal: Signal
    now: datetime
    source: Mapping[str, str] | None
    measured: Calibration | None
    policy: LoadedPolicy | None
    quotas: Quotas

    def on(self, hubs: int) -> Plan:
        """Return the best plan on so many hubs."""
        held = self._in_one_place(hubs, self.catalog.within(self.quotas.entries))
        held = self._marked(held) if self.quotas.entries else held
        if hubs == 1 or not any(lost.reason == "quota" for lost in held.rejected):
            return held
        free = self._in_one_place(hubs, self.catalog.without_quotas())
        if free.chosen is None or (held.chosen is not None and not self._is_less(free, held)):
            return held
        apart = self._apart(hubs, free)
        if apart is None:
            return self._marked(held)
        apart = self._marked(apart)
        return apart if held.chosen is None or self._is_less(apart, held) else self._marked(held)

    def at_once(self, most: int) -> Schedule | None:
        """Return the cheapest that can start at once within the quotas: on as many hubs as may be."""
        deadline = Request.of(self.workload, self.catalog, self.now).deadline
        wishes = {
            "deadline": None,
            "objective": "cheapest",
            "carbon_price_usd_per_t": None,
            "budget": Budget(),
        }
        hasty = self.workload.model_copy(update={"spec": self.workload.spec.model_copy(update=wishes)})
        asked = replace(self, workload=hasty)
        plans = (asked.on(hubs).chosen for hubs in _numbers(most)[::-1])
        found = next((chosen for chosen in plans if chosen is not None), None)
        return None if found is None or (deadline and found.finish > deadline) else found

    def _in_one_place(self, hubs: int, catalog: Catalog) -> Plan:
        """Plan hubs that are all in one place and the same hours, as so many nodes."""
        share = _share(self.workload, hubs)
        whole = self.workload.spec
        nodes = {"replicas": hubs, "data": whole.data, "budget": whole.budget}
        divided = share.model_copy(update={"spec": share.spec.model_copy(update=nodes)})
        return plan(
            divided,
            catalog=catalog,
            signal=self.signal,
            now=self.now,
            source=self.source,
            measured=_known(self.measured, self.workload, divided),
            policy=self.policy,
        )

    def _apart(self, hubs: int, free: Plan) -> Plan | None:
        """Place each hub by itself; `free` is of all in one place, without quotas. None: there is no room."""
        share = _share(self.workload, hubs)
        whole = share.model_copy(
            update={"spec": share.spec.model_copy(update={"budget": self.workload.spec.budget})}
        )
        for each, policy in ((whole, self.policy), (share, self.policy and self.policy.of_one(hubs))):
            known = _known(self.measured, self.workload, each)
            member = Member(each, self.catalog, free, known, policy, hubs)
            (entry,) = plan_fleet([member], quotas=self.quotas, signal=self.signal).entries
            if entry.plan.chosen is None:
                return None
            if self._is_within_limits(entry.plan.chosen):
                return entry.plan
        return None

    def _is_within_limits(self, chosen: Schedule) -> bool:
        """Tell whether all hubs together keep budget and policy."""
        asked = Request.of(self.workload, self.catalog, self.now, None, self.policy)
        most = self.policy.rules.max_price_usd_hour if self.policy else None
        return not (
            passes(chosen.cost_usd, asked.max_cost_usd)
            or passes(chosen.gco2e, asked.max_carbon_g)
            or (most is not None and passes(peak_usd_hour(chosen), most))
        )

    def _is_less(self, one: Plan, other: Plan) -> bool:
        objective = Objective.of(self.workload.spec)
        score, than = _scores([one, other], objective)
        return score < than * (1 - TIE)

    def _marked(self, made: Plan) -> Plan:
        """Return a plan as one under quotas: its runs stay where they are while they wait."""
        if made.chosen is None:
            return made
        quotas = {"path": self.quotas.path, "sha256": self.quotas.sha256} if self.quotas.path else None
        return replace(made, inputs={**made.inputs, "fleet": {"workloads": 1, "quotas": quotas}})


def plan_queue(
    workload: Workload,
    *,
    catalog: Catalog,
    signal: Signal,
    now: datetime,
    source: Mapping[str, str] | None = None,
    measured: Calibration | None = None,
    policy: LoadedPolicy | None = None,
    quotas: Quotas | None = None,
) -> Plan:
    """Decide on how many hubs a workload with `items` runs, when and where; arguments as of `plan`.

    `quotas` hold beside what clouds said that may be rented. The plan's segments have as many nodes as there
    are hubs; `parts` says which of them are where, if they are not all in one place; `inputs.queue` what was
    compared.
    """
    asked = _Asked(workload, catalog, signal, now, source, measured, policy, quotas or Quotas())
    items = workload.spec.items
    assert items is not None
    tried = [_Tried(hubs, asked.on(hubs)) for hubs in _numbers(min(items.max_hubs, items.total))]
    best = _best(tried, workload)
    queue = {
        "items": items.total,
        "hubs": best.hubs,
        "startS": start_s(workload),
        **({"quotas": {"path": quotas.path, "sha256": quotas.sha256}} if quotas and quotas.path else {}),
        "considered": [each.to_json() for each in tried],
    }
    made = best.plan
    if "fleet" in made.inputs:
        made = replace(made, baselines={**made.baselines, "runNowCheapest": asked.at_once(best.hubs)})
    return replace(made, workload=public_document(workload), inputs={**made.inputs, "queue": queue})


def hubs_of(made: Plan) -> int | None:
    """Return on how many hubs a queue is planned; None where the plan is not one of a queue."""
    queue = made.inputs.get("queue")
    return None if queue is None else int(queue["hubs"])


def parts_of(made: Plan) -> tuple[Part, ...]:
    """Return which hubs of a queue's plan have which schedule; none where nothing is feasible."""
    hubs = hubs_of(made) or 1
    if made.chosen is None:
        return ()
    return made.parts or (Part(hubs, 1.0, of_one(made.chosen, hubs)),)


def of_each_hub(made: Plan, workload: Workload) -> list[Plan]:
    """Return the plan of each hub of a queue's plan, the first to start first: an equal share of the work.

    Its schedule is that of its part, the baselines are equal parts of those of the whole that have any.
    """
    hubs = hubs_of(made) or 1
    share = _share(workload, hubs)
    baselines = {
        name: None if whole is None or any(s.nodes % hubs for s in whole.segments) else of_one(whole, hubs)
        for name, whole in made.baselines.items()
    }
    plans = []
    for part in parts_of(made):
        zones = {segment.zone for segment in part.chosen.segments}
        one = replace(
            made,
            workload=public_document(_budgeted(share, workload.spec.budget, part.chosen, made)),
            decision="schedule_now" if part.chosen.start == made.now else "defer",
            chosen=part.chosen,
            parts=None,
            baselines=baselines,
            frontier=(),
            rejected=(),
            horizon=made.horizon if made.horizon.get("zone") in zones else {},
        )
        plans += [one] * part.hubs
    return plans


def member_of(
    made: Plan,
    workload: Workload,
    catalog: Catalog,
    measured: Calibration | None = None,
    policy: LoadedPolicy | None = None,
) -> Member:
    """Return a queue as one of a fleet: as many hubs as it is planned on, each placed by itself.

    Where the fleet moves them, each is held to an equal part of budget and policy.
    """
    hubs = hubs_of(made) or 1
    share = _share(workload, hubs)
    known = _known(measured, workload, share)
    return Member(share, catalog, made, known, policy and policy.of_one(hubs), hubs)


def _budgeted(share: Workload, whole: Budget, mine: Schedule, made: Plan) -> Workload:
    """Return the work of a hub with what its schedule takes of the budget of all."""
    every = made.chosen
    if made.parts is None or every is None or not every.cost_usd or not every.gco2e:
        return share
    part = whole.model_copy(
        update={
            "max_cost_usd": whole.max_cost_usd and whole.max_cost_usd * mine.cost_usd / every.cost_usd,
            "max_carbon_kg": whole.max_carbon_kg and whole.max_carbon_kg * mine.gco2e / every.gco2e,
        }
    )
    return share.model_copy(update={"spec": share.spec.model_copy(update={"budget": part})})


def start_s(workload: Workload) -> int:
    """Return how long a hub is taken to start, in seconds; on this machine that is none worth counting."""
    return 0 if set(workload.spec.placement.providers) == {"local"} else ASSUMED_RESTART_S


def _numbers(most: int) -> list[int]:
    """Return the numbers of hubs that are tried, the fewest first."""
    numbers = [1]
    while numbers[-1] < most:
        last = numbers[-1]
        numbers.append(min(last + 1 if last < ALL_UP_TO else last * 3 // 2, most))
    return numbers


def _share(workload: Workload, hubs: int) -> Workload:
    """Return what one of so many hubs does of a queue: an equal share of work, data and budget."""
    spec, starts_h = workload.spec, start_s(workload) / 3600
    duration = spec.duration and spec.duration.model_copy(
        update={
            "default": None if spec.duration.default is None else spec.duration.default / hubs + starts_h,
            "by_gpu": {gpu: hours / hubs + starts_h for gpu, hours in spec.duration.by_gpu.items()},
        }
    )
    budget = spec.budget.model_copy(
        update={
            "max_cost_usd": spec.budget.max_cost_usd and spec.budget.max_cost_usd / hubs,
            "max_carbon_kg": spec.budget.max_carbon_kg and spec.budget.max_carbon_kg / hubs,
        }
    )
    data = tuple(d.model_copy(update={"size_gib": d.size_gib and d.size_gib / hubs}) for d in spec.data)
    part = {"duration": duration, "budget": budget, "data": data}
    return workload.model_copy(update={"spec": spec.model_copy(update=part)})


def _known(measured: Calibration | None, workload: Workload, divided: Workload) -> Calibration | None:
    """Return what was measured of hubs of this queue as that of its nodes."""
    if measured is None:
        return None
    work, of = work_sha256(workload), work_sha256(divided)
    return Calibration({key._replace(work=of): m for key, m in measured.entries.items() if key.work == work})


def _best(tried: list[_Tried], workload: Workload) -> _Tried:
    """Return the number of hubs to take, of those tried, the fewest first."""
    found = [each for each in tried if each.plan.chosen is not None]
    if not found:
        return tried[0] if workload.spec.deadline is not None else tried[-1]
    if workload.spec.deadline is None:
        return found[-1]
    scores = _scores([each.plan for each in found], Objective.of(workload.spec))
    least = min(scores)
    return next(each for each, score in zip(found, scores, strict=True) if score <= least * (1 + TIE))


def _scores(plans: Sequence[Plan], objective: Objective) -> list[float]:
    """Return the objective of each; embodied carbon counts only where it is known of all of them."""
    known = all("embodied" in made.inputs["objective"]["carbon"] for made in plans)
    chosen = [made.chosen for made in plans if made.chosen is not None]
    grams = [c.gco2e if known else c.gco2e - c.breakdown["embodiedGco2e"] for c in chosen]
    return [
        objective.usd_weight * c.cost_usd + objective.usd_per_g * g
        for c, g in zip(chosen, grams, strict=True)
    ]
