"""Run records for tests of the report: one place that knows the shape of a plan document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from harchos_infra.runs.record import Event, HubSpan, Measurement, RunRecord

NOW = datetime(2026, 11, 23, 9, 40, tzinfo=UTC)
"""When the plan was made, on the run's own clock."""
START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
"""When the chosen segment starts."""
HORIZON = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""First hour of the recorded intensity."""
KWH = 3_600_000.0
"""Joules."""


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def segment(**changes: Any) -> dict[str, Any]:
    return {
        "provider": "aws",
        "region": "eu-north-1",
        "zone": "SE-SE3",
        "instanceType": "g6.xlarge",
        "market": "on-demand",
        "nodes": 1,
        "start": iso(START),
        "end": iso(START + timedelta(hours=2)),
        "gpuModel": "L4",
        "gpuCount": 1.0,
        "priceUsdHour": 0.8048,
        "priceAsOf": "2026-11-01",
        "powerWatts": 110.0,
        "powerBasis": "modelled: board 72 W x 0.9 + host 45 W",
        "pue": 1.1,
        "pueBasis": "provider average 2025",
        "embodiedGco2eHour": 10.0,
        "intensityGco2PerKwh": [20.0, 30.0],
        "intensityBasis": "replay of 2022, scaled to 2025",
        "intensityStepS": 3600,
        "gpuLimitWatts": None,
        "restartS": 0,
        "saveS": 0,
        "moveUsd": 0.0,
        "moveGco2e": 0.0,
        **changes,
    }


def schedule(*segments: dict[str, Any], transfer: tuple[float, float] = (0.0, 0.0), usd: float = 0.0) -> Any:
    """Return a schedule with the totals of its whole-hour segments; `transfer` in gCO2e, `usd` for it."""
    kwh = operational = embodied = compute = 0.0
    for s in segments:
        hourly = s["intensityGco2PerKwh"]
        each = s["powerWatts"] * s["pue"] * s["nodes"] / 1000
        kwh += each * len(hourly)
        operational += each * sum(hourly)
        embodied += (s["embodiedGco2eHour"] or 0.0) * s["nodes"] * len(hourly)
        compute += s["priceUsdHour"] * s["nodes"] * len(hourly)
    return {
        "segments": list(segments),
        "costUsd": compute + usd,
        "energyKwh": kwh,
        "gco2e": operational + embodied + transfer[0],
        "finish": segments[-1]["end"],
        "breakdown": {
            "computeUsd": compute,
            "transferUsd": usd,
            "operationalGco2e": operational,
            "embodiedGco2e": embodied,
            "transferGco2e": transfer[0],
            "transferGco2eHigh": transfer[1],
        },
        "gap": 0.0,
    }


def home(**changes: Any) -> dict[str, Any]:
    """Return a segment at home (Frankfurt), starting when the plan was made."""
    values: dict[str, Any] = {
        "region": "eu-central-1",
        "zone": "DE",
        "start": iso(NOW),
        "end": iso(NOW + timedelta(hours=2)),
        "priceUsdHour": 1.006,
        "intensityGco2PerKwh": [400.0, 380.0],
        **changes,
    }
    return segment(**values)


def cheap() -> dict[str, Any]:
    """Return the cheapest segment that could start at once: cheaper and dirtier."""
    return home(
        region="us-east-1",
        zone="US-MIDA-PJM",
        instanceType="g4dn.xlarge",
        gpuModel="T4",
        priceUsdHour=0.526,
        intensityGco2PerKwh=[450.0, 440.0],
    )


def plan(**changes: Any) -> dict[str, Any]:
    chosen = schedule(segment())
    return {
        "schema": "harchos.plan/1",
        "workload": {"metadata": {"name": "digits"}, "spec": {"type": "training"}},
        "now": iso(NOW),
        "decision": "defer",
        "chosen": chosen,
        "baselines": {
            "runNowCheapest": schedule(cheap()),
            "runNowHome": schedule(home()),
        },
        "frontier": [chosen, schedule(cheap())],
        "rejected": [
            {
                "provider": "aws",
                "region": "eu-west-1",
                "instanceType": "g6.xlarge",
                "market": "on-demand",
                "reason": "dominated",
                "detail": "+0.10 USD, +31 gCO2e",
            },
            {
                "provider": "gcp",
                "region": "us-central1",
                "instanceType": "g2-standard-4",
                "market": "spot",
                "reason": "market",
                "detail": "spot is not allowed",
            },
        ],
        "inputs": {
            "workload": {"path": "digits.yaml", "sha256": "d161"},
            "catalog": {"fingerprint": "c0ffee"},
            "signal": {"name": "replay", "year": 2022, "fingerprint": "5ea"},
            "objective": {"name": "balanced", "carbon": "operational, transfer and embodied"},
        },
        "nearestMiss": None,
        "summary": {"considered": 40, "feasible": 38, "dominated": 37, "market": 2},
        "horizon": {
            "zone": "SE-SE3",
            "start": iso(HORIZON),
            "gco2PerKwh": [35.0, 34.0, 33.0, 30.0, 25.0, 20.0, 30.0, 28.0, 29.0, 31.0, 36.0, 40.0],
        },
        **changes,
    }


def hub(**changes: Any) -> HubSpan:
    """Return a hub that lived two hours from the planned start."""
    values: dict[str, Any] = {
        "hub": "digits-1a2b3c-h1",
        "provider": "aws",
        "region": "eu-north-1",
        "zone": "SE-SE3",
        "instance_type": "g6.xlarge",
        "market": "on-demand",
        "nodes": 1,
        "price_usd_hour": 0.8,
        "pue": 1.1,
        "embodied_gco2e_hour": 10.0,
        "created_at": START,
        "gone_at": START + timedelta(hours=2),
        "schedule_offset_s": 0.0,
        "rehearsal": False,
        **changes,
    }
    return HubSpan(**values)


def measurement(end: datetime, seconds: float, kwh: float, **changes: Any) -> Measurement:
    """Return `kwh` metered over `seconds` ending at `end`."""
    values: dict[str, Any] = {"hub": "digits-1a2b3c-h1", "basis": "measured", "by": "nvml", **changes}
    return Measurement(at=end, seconds=seconds, joules=kwh * KWH, **values)


def record(**changes: Any) -> RunRecord:
    """Return a finished run: two hours, a quarter kWh in each, on a grid of 20 then 30 g/kWh."""
    values: dict[str, Any] = {
        "id": "digits-1a2b3c",
        "workload": "digits",
        "type": "training",
        "plan": plan(),
        "phase": "done",
        "outcome": "succeeded",
        "reason": None,
        "rehearsal": False,
        "created_at": NOW,
        "finished_at": START + timedelta(hours=2),
        "hubs": (hub(),),
        "measurements": (
            measurement(START + timedelta(hours=1), 3600, 0.25),
            measurement(START + timedelta(hours=2), 3600, 0.25),
        ),
        "intensities": {
            "SE-SE3": {
                "start": iso(HORIZON),
                "gco2_per_kwh": [35.0, 34.0, 33.0, 30.0, 25.0, 20.0, 30.0, 28.0, 29.0, 31.0, 36.0, 40.0],
                "basis": "replay of 2022, scaled to 2025",
            }
        },
        "units": {},
        "outputs": (),
        "events": (Event(NOW, "phase", "wait until 14:00 for a cleaner grid"),),
        **changes,
    }
    return RunRecord(**values)
