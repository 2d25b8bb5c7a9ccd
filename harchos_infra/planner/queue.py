"""The plan of a queue: on how many hubs its items are done, all of them in the same hours and the same place.

Items are independent, so that W hubs take the W-th part of the time; each hub's start is counted on top. More
hubs fit the work into fewer hours, which can be cleaner ones, and take more starts: each number of hubs is
planned as a workload of so many nodes (quotas, budgets and policy hold for all of them together), and the
least score by the workload's objective is chosen, the fewest hubs where several are as good. Without a
deadline nothing is deferred: as many hubs as may be, so that it is done soonest.

What is linear in the number of hubs, and free to take any of them in every hour, has its optimum at all or
none of them in each hour but one: a schedule that all hubs share loses no more than that hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.planner.request import ASSUMED_RESTART_S
from harchos_infra.planner.window import TIE
from harchos_infra.workload.document import Workload
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
        return {"hubs": self.hubs, **figures}


def plan_queue(
    workload: Workload,
    *,
    catalog: Catalog,
    signal: Signal,
    now: datetime,
    source: Mapping[str, str] | None = None,
    measured: Calibration | None = None,
    policy: LoadedPolicy | None = None,
) -> Plan:
    """Decide on how many hubs a workload with `items` runs, when and where; arguments as of `plan`.

    The plan's segments have as many nodes as there are hubs; `inputs.queue` says what was compared.
    """
    tried = []
    for hubs in _numbers(workload):
        divided = _divided(workload, hubs)
        known = _known(measured, workload, divided)
        made = plan(
            divided,
            catalog=catalog,
            signal=signal,
            now=now,
            source=source,
            measured=known,
            policy=policy,
        )
        tried.append(_Tried(hubs, made))
        if workload.spec.deadline is None and made.chosen is not None:
            break
    best = _best(tried, Objective.of(workload.spec))
    assert workload.spec.items is not None
    queue = {
        "items": workload.spec.items.total,
        "hubs": best.hubs,
        "startS": start_s(workload),
        "considered": [each.to_json() for each in sorted(tried, key=lambda each: each.hubs)],
    }
    document = public_document(workload)
    return replace(best.plan, workload=document, inputs={**best.plan.inputs, "queue": queue})


def hubs_of(made: Plan) -> int | None:
    """Return on how many hubs a queue is planned; None where the plan is not one of a queue."""
    queue = made.inputs.get("queue")
    return None if queue is None else int(queue["hubs"])


def of_one_hub(made: Plan, workload: Workload) -> Plan:
    """Return the part of a queue's plan that each of its hubs has: an equal one, of the whole's figures."""
    hubs = hubs_of(made)
    if hubs is None:
        return made
    share = _divided(workload, hubs)
    budget = share.spec.budget
    part = budget.model_copy(
        update={
            "max_cost_usd": budget.max_cost_usd and budget.max_cost_usd / hubs,
            "max_carbon_kg": budget.max_carbon_kg and budget.max_carbon_kg / hubs,
        }
    )
    alone = share.model_copy(update={"spec": share.spec.model_copy(update={"replicas": 1, "budget": part})})
    return replace(
        made,
        workload=public_document(alone),
        chosen=made.chosen and _part(made.chosen, hubs),
        baselines={name: known and _part(known, hubs) for name, known in made.baselines.items()},
        frontier=tuple(_part(other, hubs) for other in made.frontier),
        rejected=(),
    )


def start_s(workload: Workload) -> int:
    """Return how long a hub is taken to start, in seconds; on this machine that is none worth counting."""
    return 0 if set(workload.spec.placement.providers) == {"local"} else ASSUMED_RESTART_S


def _numbers(workload: Workload) -> list[int]:
    """Return the numbers of hubs that are tried: the fewest first, without a deadline the most."""
    items = workload.spec.items
    assert items is not None
    numbers = sorted(set(_up_to(min(items.max_hubs, items.total))))
    return numbers if workload.spec.deadline is not None else numbers[::-1]


def _up_to(most: int) -> Iterator[int]:
    yield most
    number = 1
    while number < most:
        yield number
        number = number + 1 if number < ALL_UP_TO else number * 3 // 2


def _divided(workload: Workload, hubs: int) -> Workload:
    """Return the work of a queue as that of so many nodes at once."""
    spec, starts_h = workload.spec, start_s(workload) / 3600
    duration = spec.duration and spec.duration.model_copy(
        update={
            "default": None if spec.duration.default is None else spec.duration.default / hubs + starts_h,
            "by_gpu": {gpu: hours / hubs + starts_h for gpu, hours in spec.duration.by_gpu.items()},
        }
    )
    divided = spec.model_copy(update={"replicas": hubs, "duration": duration})
    return workload.model_copy(update={"spec": divided})


def _known(measured: Calibration | None, workload: Workload, divided: Workload) -> Calibration | None:
    """Return what was measured of hubs of this queue as that of its nodes."""
    if measured is None:
        return None
    work, of = work_sha256(workload), work_sha256(divided)
    return Calibration({key._replace(work=of): m for key, m in measured.entries.items() if key.work == work})


def _best(tried: list[_Tried], objective: Objective) -> _Tried:
    best = None
    for each in tried:
        chosen = each.plan.chosen
        if chosen is None:
            continue
        score = objective.usd_weight * chosen.cost_usd + objective.usd_per_g * chosen.gco2e
        if best is None or score < best[0] * (1 - TIE):
            best = score, each
    return tried[0] if best is None else best[1]


def _part(whole: Schedule, hubs: int) -> Schedule:
    return replace(
        whole,
        segments=tuple(
            replace(
                segment,
                nodes=segment.nodes // hubs,
                move_usd=segment.move_usd / hubs,
                move_gco2e=segment.move_gco2e / hubs,
            )
            for segment in whole.segments
        ),
        cost_usd=whole.cost_usd / hubs,
        energy_kwh=whole.energy_kwh / hubs,
        gco2e=whole.gco2e / hubs,
        breakdown={name: value / hubs for name, value in whole.breakdown.items()},
    )
