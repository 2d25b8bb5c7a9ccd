"""The report as JSON: `harchos.report/1` (docs/reports.md). camelCase keys, UTC times with `Z`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harchos_infra.report.account import Account, HubAccount, intensities
from harchos_infra.report.carbon import Carbon, Cost
from harchos_infra.report.energy import Gap, IntensitySeries
from harchos_infra.report.interval import Interval
from harchos_infra.report.method import caveats, method, rehearsal_label
from harchos_infra.report.planned import Planned
from harchos_infra.report.saving import Comparison, Saving
from harchos_infra.runs.record import RunRecord

SCHEMA = "harchos.report/1"


def document(record: RunRecord, account: Account) -> dict[str, Any]:
    """Return the report as a JSON object."""
    sci = account.sci
    return {
        "schema": SCHEMA,
        "run": {
            "id": record.id,
            "workload": record.workload,
            "type": record.type,
            "phase": record.phase,
            "outcome": record.outcome,
            "reason": record.reason,
            "rehearsal": record.rehearsal,
            "label": rehearsal_label(record),
            "createdAt": _time(record.created_at),
            "finishedAt": _time(record.finished_at),
        },
        "asOf": _time(account.as_of),
        "alive": account.alive,
        "planned": {**_planned(account.planned), "waitS": account.wait_s},
        "realised": _realised(account),
        "baselines": [_comparison(c) for c in account.comparisons],
        "sci": {
            "standard": "ISO/IEC 21031:2024",
            "r": sci.r,
            "count": sci.count,
            "gco2ePerR": sci.gco2e_per_r,
            "includesEmbodied": sci.includes_embodied,
            "reason": sci.reason,
        },
        "settled": bool(record.intensities),
        "intensities": {zone: _series(series) for zone, series in intensities(record).items()},
        "hubs": [_hub(hub) for hub in account.hubs],
        "units": record.units,
        "outputs": list(record.outputs),
        "metrics": {
            name: [[_time(at), value] for at, value in points] for name, points in record.metrics.items()
        },
        "events": [{"at": _time(e.at), "kind": e.kind, "detail": e.detail} for e in record.events],
        "rejected": record.plan["rejected"],
        "inputs": record.plan["inputs"],
        "caveats": caveats(record, account),
        "method": method(record, account),
    }


def _planned(p: Planned) -> dict[str, Any]:
    return {
        "places": list(p.places),
        "zones": list(p.zones),
        "start": _time(p.start),
        "finish": _time(p.finish),
        "durationS": p.duration_s,
        "energyKwh": p.kwh,
        "gco2PerKwh": p.gco2_per_kwh,
        "carbon": _carbon(p.carbon),
        "cost": _cost(p.cost),
    }


def _realised(account: Account) -> dict[str, Any]:
    r = account.realised
    return {
        "start": _time(r.start),
        "finish": _time(r.finish),
        "durationS": r.duration_s,
        "startDelayS": account.start_delay_s,
        "finishDelayS": account.finish_delay_s,
        "energyKwh": r.kwh,
        "energyBeforePueKwh": r.kwh_before_pue,
        "energyWithoutIntensityKwh": r.kwh_without_intensity,
        "gco2PerKwh": r.gco2_per_kwh,
        "carbon": _carbon(r.carbon),
        "cost": _cost(r.cost),
        "meters": [{"basis": m.basis, "by": m.by, "kwh": m.kwh, "seconds": m.seconds} for m in r.meters],
        "coverage": {
            "livedS": r.hub_s,
            "meteredS": r.metered_s,
            "share": r.coverage,
            "gaps": [_gap(gap) for gap in r.gaps],
        },
    }


def _hub(h: HubAccount) -> dict[str, Any]:
    span = h.span
    return {
        "hub": span.hub,
        "provider": span.provider,
        "region": span.region,
        "zone": span.zone,
        "instanceType": span.instance_type,
        "market": span.market,
        "nodes": span.nodes,
        "priceUsdHour": span.price_usd_hour,
        "pue": span.pue,
        "embodiedGco2eHour": span.embodied_gco2e_hour,
        "createdAt": _time(span.created_at),
        "goneAt": _time(span.gone_at),
        "scheduleOffsetS": span.schedule_offset_s,
        "speed": span.speed,
        "rehearsal": span.rehearsal,
        "livedS": h.lived_s,
        "meteredS": h.metered_s,
        "energyKwh": h.emission.kwh if h.measured_any else None,
        "operationalGco2e": h.emission.gco2e if h.measured_any else None,
        "embodiedGco2e": h.embodied_gco2e,
        "computeUsd": h.usd,
    }


def _series(series: IntensitySeries) -> dict[str, Any]:
    return {
        "start": _time(series.start),
        "gco2PerKwh": list(series.gco2_per_kwh),
        "basis": series.basis,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "hub": gap.hub,
        "start": _time(gap.start),
        "end": _time(gap.end),
        "seconds": gap.seconds,
        "where": gap.where,
    }


def _comparison(c: Comparison) -> dict[str, Any]:
    return {
        "name": c.key,
        "schedule": c.baseline and _planned(c.baseline),
        "plannedSaving": c.planned and _saving(c.planned),
        "realisedSaving": c.realised and _saving(c.realised),
        "realisedReason": c.realised_reason,
        "planFinishesLaterS": c.later_s,
    }


def _saving(s: Saving) -> dict[str, Any]:
    return {
        "gco2e": _interval(s.gco2e),
        "gco2eShare": s.gco2e_share and _interval(s.gco2e_share),
        "baselineGco2e": _interval(s.baseline_gco2e),
        "embodiedIncluded": s.embodied_included,
        "usd": s.usd,
        "usdShare": s.usd_share,
        "baselineUsd": s.baseline_usd,
    }


def _carbon(c: Carbon) -> dict[str, Any]:
    total = c.total()
    return {
        "operationalGco2e": c.operational,
        "embodiedGco2e": c.embodied,
        "embodiedUnpublished": list(c.embodied_unpublished),
        "transferGco2e": _interval(c.transfer),
        "totalGco2e": total and _interval(total),
    }


def _cost(c: Cost) -> dict[str, float]:
    return {"computeUsd": c.compute, "transferUsd": c.transfer, "totalUsd": c.total}


def _interval(i: Interval) -> dict[str, float]:
    return {"low": i.low, "high": i.high}


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
