"""What a plan was made from: each input with its source, its age and its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from harchos_infra import __version__
from harchos_infra.catalog import Catalog
from harchos_infra.grid.forecast.issues import Forecasting
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.encoding import encode
from harchos_infra.planner.estimate import ASSUMED_CPU_UTILIZATION, ASSUMED_GPU_UTILIZATION, Estimates
from harchos_infra.planner.gate import Verdict
from harchos_infra.planner.horizon import LIMIT_S
from harchos_infra.planner.measured import Machine
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.rank import Ranking
from harchos_infra.planner.request import ASSUMED_RESTART_S, Request
from harchos_infra.planner.slots import Slots
from harchos_infra.planner.wording import duration
from harchos_infra.policy.unknown import unknown_names
from harchos_infra.workload.without_effect import SERVICES


def inputs(
    request: Request,
    document: Mapping[str, Any],
    catalog: Catalog,
    signal: Signal,
    estimates: Estimates,
    ranking: Ranking | None,
    source: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return the plan's `inputs`; `hash` covers everything that the decision depends on.

    `document` is the workload as others may see it.
    """
    objective = Objective.of(request.spec)
    dates = sorted({offer.price_as_of for offer in catalog.offers if offer.provider != "local"})
    described = signal.describe()
    if "fingerprint" not in described:
        described["fingerprint"] = signal.fingerprint()
    low, high = catalog.transfer_energy_kwh_per_gb
    found = {
        "harchos": __version__,
        "workload": dict(source or {}),
        "catalog": {
            "fingerprint": catalog.fingerprint(),
            "prices": {"oldest": dates[0], "newest": dates[-1]} if dates else {},
            "ages": catalog.ages(),
        },
        "signal": described,
        "now": request.now,
        "horizon": {
            "earliestStart": request.earliest,
            "deadline": request.deadline,
            "hours": estimates.horizon.hours,
        },
        "objective": {
            "name": objective.name,
            "carbonPriceUsdPerT": objective.carbon_price_usd_per_t,
            "carbonPriceSource": objective.carbon_price_source,
            "carbon": "operational, transfer and embodied"
            if ranking and ranking.with_embodied
            else "operational and transfer",
        },
        **({"policy": request.policy.record()} if request.policy else {}),
        "transferKwhPerGb": {"low": low, "high": high},
        **({"measured": request.measured.describe()} if request.measured.machines else {}),
        "warnings": [
            *(sentence for _, sentence in request.unknown),
            *request.untold,
            *(unknown_names(request.policy, catalog) if request.policy else ()),
            *described.get("warnings", ()),
        ],
        "assumptions": [*_assumptions(request, estimates, ranking)],
    }
    if isinstance(signal, Forecasting):
        found["forecast"] = [_worth(verdict) for verdict in estimates.horizon.verdicts]
    return {**found, "hash": _hash(document, found)}


def _worth(verdict: Verdict) -> dict[str, Any]:
    """Return what waiting on the forecast was worth in a zone, for this job."""
    found = verdict.backtest
    return {
        "zone": verdict.zone,
        "method": verdict.method,
        "issues": found.issues,
        "mape": found.mape,
        "saving": found.saving,
        "promised": found.promised,
        "attainable": found.attainable,
        "shareKept": found.share_kept,
        "trust": found.trust,
        "mayWait": verdict.may_wait,
        "reason": verdict.reason,
    }


def _hash(document: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    decisive = {key: found[key] for key in ("harchos", "now")}
    decisive["workload"] = document
    decisive["catalog"] = found["catalog"]["fingerprint"]
    decisive["signal"] = found["signal"]["fingerprint"]
    if "policy" in found:
        decisive["policy"] = found["policy"]["sha256"]
    if "measured" in found:
        decisive["measured"] = found["measured"]["fingerprint"]
    return sha256(json.dumps(encode(decisive), sort_keys=True).encode()).hexdigest()


def _assumptions(request: Request, estimates: Estimates, ranking: Ranking | None) -> list[str]:
    spec = request.spec
    found = [*_measured_times(request, estimates)]
    is_modelled = any(e.basis.startswith("modelled") for e in estimates.power)
    if spec.utilization is None and is_modelled:
        load = ASSUMED_GPU_UTILIZATION if spec.resources.gpu else ASSUMED_CPU_UTILIZATION
        found.append(
            f"spec.utilization is not given: {'GPUs' if spec.resources.gpu else 'the processor'} "
            f"at {load:.0%} while the job runs"
        )
    if spec.resources.gpu:
        found.append(f"the processors of a GPU machine at {ASSUMED_CPU_UTILIZATION:.0%}")
    found += _schedule_assumptions(request, estimates)
    if spec.schedule is not None and spec.deadline is None:
        found.append("schedule.doneWithin is not given: nothing is deferred beyond the tick")
    elif spec.deadline is None:
        found.append("no deadline is given: nothing is deferred")
    elif request.deadline is not None and (request.deadline - request.earliest).total_seconds() > LIMIT_S:
        found.append(f"starts later than {LIMIT_S // 86400} days from the earliest one are not looked at")
    if spec.type in SERVICES and spec.ttl_h is not None:
        found.append(f"a service runs for its ttl, {spec.ttl_h:g} h")
    if ranking is not None and not ranking.with_embodied:
        offers = np.unique(estimates.offer_of[ranking.members])
        known = int((~np.isnan(estimates.embodied_g[offers])).sum())
        found.append(
            f"embodied carbon is published for {known} of {len(offers)} feasible candidates: "
            "they are compared without it"
        )
    return found


def _measured_times(request: Request, estimates: Estimates) -> Iterator[str]:
    """Say of each candidate machine for how long it is taken where runs were measured."""
    machines = {Machine(offer.provider, offer.instance_type): offer for offer in estimates.offers}
    for machine, measures in request.measured.machines.items():
        if machine not in machines:
            continue
        where = f"{machine.provider} {machine.instance_type}"
        estimated_s = request.duration_s(machines[machine].gpu_model)
        is_service = request.spec.type in SERVICES and request.spec.ttl_h is not None
        if measures.run_s is not None and not is_service:
            run_s = measures.run_s
            instead = f", in place of {duration(estimated_s)}" if estimated_s is not None else ""
            yield f"{where}: run time {run_s.mean:.3g} s ({run_s.words('s')}){instead}"
        if measures.start_s is not None and not is_service:
            start_s = measures.start_s
            yield f"{where}: start-up {start_s.mean:.3g} s ({start_s.words('s')}) on top of the run time"


def _schedule_assumptions(request: Request, estimates: Estimates) -> Iterator[str]:
    if request.scaling is not None:
        yield "changing the number of nodes takes no time and costs nothing"
    if not request.may_pause:
        return
    checkpoint = request.spec.checkpoint
    if checkpoint is not None and checkpoint.restart_h is None:
        yield (
            f"checkpoint.restart is not given: {ASSUMED_RESTART_S // 60} min from the start of a hub until a "
            "paused job goes on"
        )
    yield (
        f"a pause takes {request.save_s} s to save (checkpoint.grace) and {request.restart_s} s to restart, "
        "paid and metered"
    )
    windows = [course is None for course in estimates.courses]
    lengths = np.unique(estimates.duration_s[windows]).tolist()
    steps = sorted({Slots.of(estimates.horizon, duration_s).step_s for duration_s in lengths})
    marks = " or ".join(f"{step // 60}" for step in steps)
    yield f"paused work goes on at marks of {marks} min"
    if checkpoint is None or checkpoint.size_gib is None:
        yield "checkpoint.sizeGiB is not given: a paused job is not moved"
    elif request.scaling is not None:
        yield "a job whose number of nodes changes is not moved"
    else:
        yield (
            "a move is looked at between regions with a known egress price and a measured throughput "
            "(2022, one machine to another)"
        )
