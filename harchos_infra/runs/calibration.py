"""What runs were measured to take, and how far their forecasts were off: read from the ledger.

Which runs count, and for what:

    power       succeeded runs, and services that were stopped, whose hub real meters measured for 90 % of
                its metered time or more: joules / seconds of the measured rows. Modelled rows never count.
    GPU power   the same, where NVML measured the GPUs and only the host had to be modelled
    run time    succeeded runs of one hub and one attempt, no services: the job's start until its outputs were
                stored; a hub of several did a part of the job
    start-up    hubs that one `terraform apply` made: its beginning until the job's start
    throughput  the same runs: the units that the job reported / its run time

A rehearsal runs on this machine whatever was planned, so that its figures are of this machine. The newest 20
runs of a work on a machine count. Figures of this machine count on the host that they were taken on.

A ledger in SQLite is read with sqlite3 itself: every `plan` does it, and SQLAlchemy takes longer to load
than a plan.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harchos_infra.errors import HarchosError
from harchos_infra.planner.measured import Calibration, Figure, Key, Machine, Measures
from harchos_infra.settings import home
from harchos_infra.workload.without_effect import SERVICES

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy import RowMapping

    Row = sqlite3.Row | RowMapping

NEWEST = 20
"""Runs of a work on a machine that count."""
MEASURED_SHARE = 0.9
"""Share of a hub's metered time that real meters must have covered for its watts to count."""

_HUBS = """
    SELECT run.workload, run.work, run.type, run.outcome, run.rehearsal, run.segments, run.units,
           hub.segment, hub.identity, hub.created_at, hub.job_started_at, hub.job_finished_at,
           hub.metered_s, hub.measured_s, hub.measured_joules, hub.meters,
           hub.gpu_measured_s, hub.gpu_measured_joules,
           (SELECT count(*) FROM op WHERE op.run = run.id AND op.phase = 'provision') AS provisions,
           (SELECT count(*) FROM hub AS any_hub WHERE any_hub.run = run.id) AS hubs
    FROM run JOIN hub ON hub.run = run.id
    WHERE run.phase = 'done' AND run.work IS NOT NULL
      AND (CAST(:workload AS VARCHAR) IS NULL OR run.workload = :workload)
    ORDER BY hub.created_at DESC
"""
_ERRORS = """
    SELECT forecast_error.* FROM forecast_error JOIN run ON run.id = forecast_error.run
    WHERE CAST(:workload AS VARCHAR) IS NULL OR run.workload = :workload
    ORDER BY zone, signal, issued_at
"""


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of one work on one machine: the planner's measures, and what only people read.

    `throughput` is in units a second by unit; `unmeasured` counts runs by the meters that modelled their
    watts.
    """

    measures: Measures
    throughput: Mapping[str, Figure] = field(default_factory=dict)
    unmeasured: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForecastError:
    """How far one run's plan was off in one zone: planned against settled intensity, hour by hour.

    `mape` is a share (None where an hour of zero leaves it undefined), `bias` planned - settled in g/kWh.
    `same_figure`: the run was settled with the very figures that its plan had assumed, as of a replay: no
    error can be told.
    """

    run: str
    zone: str
    signal: str
    basis: str
    issued_at: datetime
    lead_h: float
    hours: int
    mape: float | None
    bias_gco2_per_kwh: float | None
    same_figure: bool


def read_calibration(workload: str | None = None) -> Calibration:
    """Return the measures of one workload's runs, or of all, for the planner."""
    return Calibration({key: known.measures for key, known in experiences(workload).items()})


def experiences(workload: str | None = None) -> dict[Key, Experience]:
    """Return what is known of each work on each machine, of one workload or of all."""
    by_key: dict[Key, list[Row]] = defaultdict(list)
    for row in _read(_HUBS, workload):
        machine = _machine(row)
        if machine is not None:
            by_key[Key(row["workload"], row["work"], machine)].append(row)
    return {key: _experience(by_key[key][:NEWEST]) for key in sorted(by_key)}


def forecast_errors(workload: str | None = None) -> list[ForecastError]:
    """Return the error of every settled run's forecast, by zone, signal and time."""
    return [
        ForecastError(
            run=row["run"],
            zone=row["zone"],
            signal=row["signal"],
            basis=row["basis"],
            issued_at=datetime.fromtimestamp(row["issued_at"], UTC),
            lead_h=row["lead_h"],
            hours=row["hours"],
            mape=row["mape"],
            bias_gco2_per_kwh=row["bias_gco2_per_kwh"],
            same_figure=bool(row["same_figure"]),
        )
        for row in _read(_ERRORS, workload)
    ]


def _read(query: str, workload: str | None) -> list[Row]:
    """Return the rows of a query; of a ledger that is not there, none. One of before is migrated first."""
    if os.environ.get("HARCHOS_DATABASE_URL"):
        return _select_shared(query, workload)
    path = home() / "ledger.db"
    if not path.exists():
        return []
    import sqlite3

    try:
        return _select(path, query, workload)
    except sqlite3.Error:
        from harchos_infra.runs.ledger import Ledger

        Ledger.open()
    try:
        return _select(path, query, workload)
    except sqlite3.Error as error:
        raise HarchosError(f"{path}: cannot be read: {error}") from error


def _select_shared(query: str, workload: str | None) -> list[Row]:
    from sqlalchemy import text

    from harchos_infra.runs.database import Database

    with Database.open().read() as db:
        return list(db.execute(text(query), {"workload": workload}).mappings())


def _document(value: Any) -> Any:
    """Return a JSON column's content, which PostgreSQL gives as it is and SQLite as text."""
    return json.loads(value) if isinstance(value, str) else value


def _select(path: Path, query: str, workload: str | None) -> list[Row]:
    import sqlite3

    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        db.row_factory = sqlite3.Row
        return db.execute(query, {"workload": workload}).fetchall()


def _machine(row: Row) -> Machine | None:
    """Return what the hub ran on; None for another host's machine, and for GPUs under a power limit."""
    segment = _document(row["segments"])[row["segment"]]
    if segment.get("gpuLimitWatts") is not None:
        return None
    if not row["rehearsal"] and segment["provider"] != "local":
        return Machine(segment["provider"], segment["instanceType"])
    from harchos_infra.catalog.machine import INSTANCE_TYPE
    from harchos_infra.clouds.cloud import cloud

    host = cloud("local").identity().rpartition(" on ")[2]
    return Machine("local", INSTANCE_TYPE) if row["identity"].endswith(f" on {host}") else None


def _experience(rows: Iterable[Row]) -> Experience:
    watts, gpu_watts, run_s, start_s = [], [], [], []
    rates: dict[str, list[float]] = defaultdict(list)
    unmeasured: dict[str, int] = defaultdict(int)
    for row in rows:
        is_service = row["type"] in SERVICES
        done = row["outcome"] == "succeeded"
        if done or (is_service and row["outcome"] == "stopped"):
            if _is_measured(row, "measured_s"):
                watts.append(row["measured_joules"] / row["measured_s"])
            elif row["metered_s"]:
                unmeasured[row["meters"]] += 1
                if _is_measured(row, "gpu_measured_s"):
                    gpu_watts.append(row["gpu_measured_joules"] / row["gpu_measured_s"])
        if row["job_started_at"] is None:
            continue
        if row["provisions"] == 1:
            start_s.append(row["job_started_at"] - row["created_at"])
        if done and not is_service and row["hubs"] == 1 and row["job_finished_at"] is not None:
            lasted_s = row["job_finished_at"] - row["job_started_at"]
            run_s.append(lasted_s)
            for unit, count in _document(row["units"]).items():
                if lasted_s > 0:
                    rates[unit].append(count / lasted_s)
    return Experience(
        Measures(Figure.of(watts), Figure.of(gpu_watts), Figure.of(run_s), Figure.of(start_s)),
        {unit: figure for unit, values in sorted(rates.items()) if (figure := Figure.of(values))},
        dict(unmeasured),
    )


def _is_measured(row: Row, column: str) -> bool:
    metered_s, measured_s = row["metered_s"] or 0.0, row[column] or 0.0
    return measured_s > 0 and measured_s >= MEASURED_SHARE * metered_s


def hub_figures(
    status: Mapping[str, Any], rows: Iterable[Mapping[Any, Any]], *, comparable: bool = True
) -> dict[str, Any]:
    """Return what a hub took, as columns of its row: from its last status and its measurements.

    Times of a job that was started more than once are left out: they hold what failed before. So are those of
    one that is not `comparable`: with other nodes than estimates are of.
    """
    measurements = list(rows)
    measured = [m for m in measurements if m["basis"] == "measured"]
    gpus = [m for m in measurements if "nvml" in m["by"].split("+") and m["gpu_joules"] is not None]
    once = status.get("attempt") == 1 and comparable
    return {
        "job_started_at": _seconds(status.get("job_started_at")) if once else None,
        "job_finished_at": _seconds(status.get("finished_at")) if once else None,
        "metered_s": sum(m["seconds"] for m in measurements),
        "measured_s": sum(m["seconds"] for m in measured),
        "measured_joules": sum(m["joules"] for m in measured),
        "gpu_measured_s": sum(m["seconds"] for m in gpus),
        "gpu_measured_joules": sum(m["gpu_joules"] for m in gpus),
        "meters": ", ".join(sorted({m["by"] for m in measurements})),
    }


def lifetime(hub: Mapping[Any, Any], measurements: Iterable[Mapping[Any, Any]]) -> dict[str, float]:
    """Return when a hub came and went, as columns of its row: it was there while it was metered.

    The clock by which its row was written may have been set since, the hub's own is not.
    """
    rows = list(measurements)
    begun = min((m["at"] - m["seconds"] for m in rows), default=hub["created_at"])
    ended = max((m["at"] for m in rows), default=hub["gone_at"])
    return {"created_at": min(hub["created_at"], begun), "gone_at": max(hub["gone_at"], ended)}


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
