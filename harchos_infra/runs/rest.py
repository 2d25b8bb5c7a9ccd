"""What is left of a run's work once it has begun, as a workload that can be planned.

    share left = 1 - sum over its hubs of (time worked / time that the whole work is estimated to take there)

with, of a hub that has other nodes than the estimate is of, the time worked times the ratio of their
throughputs.

Time is that of the run's own clock, from the job's start (without restarting) to the checkpoint that the next
hub goes on from: what was done after it is done again. Progress is taken to be even over the run time.

The checkpoint, and what data the job reads, lie where it ran last; of the budget, what its hubs have cost by
their plan is spent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harchos_infra.catalog import Catalog
from harchos_infra.hub.checkpoints import generations, manifest_name
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.planner.measured import Calibration, Figure, Key, Measures
from harchos_infra.planner.request import Request
from harchos_infra.runs.mailboxes import hub_box
from harchos_infra.workload.document import Budget, Data, Workload
from harchos_infra.workload.work import work_sha256

LEAST_SHARE = 0.02
"""A job that should have ended is taken to have this much of its work left."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What one hub has done: where, and for how many seconds of the run's own clock the job got on there."""

    place: Mapping[str, Any]
    seconds: float
    lived_s: float
    """For how long the hub was rented."""


def left_share(
    workload: Workload, catalog: Catalog, measured: Calibration, worked: Sequence[Worked], now: datetime
) -> float:
    """Return the share of the work that is still to be done, at least `LEAST_SHARE`."""
    request = Request.of(workload, catalog, now, measured)
    offers = {offer.key: offer for offer in catalog.offers}
    share = 1.0
    for part in worked:
        offer = offers.get(_key(part.place))
        whole_s = None if offer is None else request.reserved_s(offer)
        if whole_s:
            share -= part.seconds * _faster(workload, part.place["nodes"]) / whole_s
    return max(share, LEAST_SHARE)


def _faster(workload: Workload, nodes: int) -> float:
    """Return by what factor so many nodes do more than the least number, which estimates are of."""
    scaling = workload.spec.scaling
    if scaling is None or not scaling.throughput:
        return 1.0
    at = min(max(nodes - scaling.min_nodes, 0), len(scaling.throughput) - 1)
    return scaling.throughput[at] / scaling.throughput[0]


def rest(
    workload: Workload,
    catalog: Catalog,
    measured: Calibration,
    worked: Sequence[Worked],
    now: datetime,
    *,
    runs: bool,
    share: float | None = None,
) -> tuple[Workload, Calibration]:
    """Return the rest of a workload, and its measures for that.

    `runs`: the job is under way in the last of `worked`, so that it need not be restarted there. `share` of
    the work is left; None: as `left_share` has it.
    """
    if share is None:
        share = left_share(workload, catalog, measured, worked, now)
    share = max(share, LEAST_SHARE)
    spec = workload.spec
    restart_h = 0.0 if runs or not worked else Request.of(workload, catalog, now).restart_s / 3600
    duration = spec.duration and spec.duration.model_copy(
        update={
            "default": None if spec.duration.default is None else spec.duration.default * share + restart_h,
            "by_gpu": {gpu: h * share + restart_h for gpu, h in spec.duration.by_gpu.items()},
        }
    )
    left = workload.model_copy(
        update={
            "spec": spec.model_copy(
                update={
                    "duration": duration,
                    "earliest_start": None,
                    "data": _data(workload, worked),
                    "budget": _budget(spec.budget, worked),
                }
            )
        }
    )
    return left, _scaled(measured, workload, left, share, restart_h * 3600)


def _data(workload: Workload, worked: Sequence[Worked]) -> tuple[Data, ...]:
    spec = workload.spec
    if not worked:
        return spec.data
    place = worked[-1].place
    here = f"{place['provider']}/{place['region']}"
    lying = tuple(data.model_copy(update={"region": here}) for data in spec.data)
    if spec.checkpoint is None or spec.checkpoint.size_gib is None:
        return lying
    return (*lying, Data(uri="checkpoint", region=here, size_gib=spec.checkpoint.size_gib))


def spent(worked: Sequence[Worked]) -> tuple[float, float]:
    """Return USD and kgCO2e that hubs have cost by their plan."""
    usd = sum(p.place["nodes"] * p.place["priceUsdHour"] * p.lived_s / 3600 for p in worked)
    return usd, sum(_planned_g_hour(p.place) * p.lived_s / 3600 for p in worked) / 1000


def _budget(budget: Budget, worked: Sequence[Worked]) -> Budget:
    usd, kg = spent(worked)
    least = 1e-9
    return budget.model_copy(
        update={
            "max_cost_usd": budget.max_cost_usd and max(budget.max_cost_usd - usd, least),
            "max_carbon_kg": budget.max_carbon_kg and max(budget.max_carbon_kg - kg, least),
        }
    )


def _planned_g_hour(place: Mapping[str, Any]) -> float:
    """Return what a place emits in an hour by its plan, at the mean intensity of its segment."""
    values: list[float] = place["intensityGco2PerKwh"]
    kw = place["nodes"] * place["powerWatts"] * place["pue"] / 1000
    return float(kw * sum(values) / len(values) + place["nodes"] * (place["embodiedGco2eHour"] or 0.0))


def _scaled(
    measured: Calibration, workload: Workload, left: Workload, share: float, restart_s: float
) -> Calibration:
    name, work, of = workload.metadata.name, work_sha256(workload), work_sha256(left)
    return Calibration(
        {
            Key(name, of, key.machine): _of_the_rest(measures, share, restart_s)
            for key, measures in measured.entries.items()
            if (key.workload, key.work) == (name, work)
        }
    )


def _of_the_rest(measures: Measures, share: float, restart_s: float) -> Measures:
    run_s = measures.run_s
    if run_s is None:
        return measures
    deviation = run_s.deviation and run_s.deviation * share
    least, mean, most = (s * share + restart_s for s in (run_s.least, run_s.mean, run_s.most))
    return replace(measures, run_s=Figure(run_s.n, mean, deviation, least, most))


def worked(
    run: Mapping[Any, Any],
    hub: Mapping[Any, Any],
    status: Mapping[str, Any] | None,
    now: datetime,
    *,
    resumed: bool,
) -> Worked:
    """Return what a hub of a run has done by `now`, real time.

    `status` is that of a hub whose job is under way: all of it counts. Else what it saved last does, as its
    mailbox says. `resumed`: it went on from another hub's work. Raises MailboxError.
    """
    box = hub_box(hub)
    known = status or box.get_json("status.json") or {}
    started = known.get("job_started_at")
    until = now if status else saved_at(box)
    ended = now if hub["gone_at"] is None else datetime.fromtimestamp(hub["gone_at"], UTC)
    seconds = 0.0
    if started is not None and until is not None:
        seconds = run["speed"] * (until - datetime.fromisoformat(started)).total_seconds()
        seconds -= hub["place"].get("restartS", 0) if resumed else 0
    lived_s = run["speed"] * (ended.timestamp() - hub["created_at"])
    return Worked(hub["place"], max(seconds, 0.0), max(lived_s, 0.0))


def saved_at(box: Mailbox) -> datetime | None:
    """Return when a hub's newest whole checkpoint was stored; None where there is none."""
    for number in generations(box):
        with suppress(ValueError, TypeError, KeyError):  # a manifest that was torn
            return datetime.fromisoformat(json.loads(box.get(manifest_name(number)) or b"")["at"])
    return None


def _key(place: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return place["provider"], place["region"], place["instanceType"], place["market"]
