"""A run that has ended, begun once more: its plan and its staged job, under a new name."""

from __future__ import annotations

import json
import os
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from harchos_infra.errors import HarchosError
from harchos_infra.planner.encoding import decode_segment, encode
from harchos_infra.runs.clock import Clock, next_hour
from harchos_infra.runs.items import Items
from harchos_infra.runs.ledger import FINAL, Lease, Ledger
from harchos_infra.runs.mailboxes import job_box
from harchos_infra.runs.replan import Replanner, begun_workload
from harchos_infra.runs.stage import unstage_run
from harchos_infra.runs.submit import ttl_s

_KEPT = (
    *("workload", "type", "plan_hash", "workload_hash", "rehearsal", "speed", "signal", "work"),
    *("priority", "queue"),
)


def submit_again(ledger: Ledger, run: str, *, owner: str | None, clock: Clock) -> Lease:
    """Record a new run of the plan of `run`, owned by `owner`, with the job that was staged for that.

    Raises HarchosError where the run has not ended, its job is not there any more, a secret is not set in the
    environment, or its schedule is over and no other one is feasible.
    """
    row = ledger.run(run)
    if row["phase"] != FINAL:
        raise HarchosError(
            f"run {run} has not ended (phase {row['phase']})", hint="`harchos status` has more"
        )
    items = Items(ledger)
    if row["queue"] is not None:
        _refuse_without_items(items, row["queue"])
    values = _values(ledger, row, clock.now())
    _stage(run, values["id"])
    if row["queue"] is not None:
        items.retry_failed(row["queue"])
    try:
        return ledger.add_run(values, ledger.decision(run), owner=owner)
    except HarchosError:
        unstage_run(values["id"])
        raise


def _refuse_without_items(items: Items, queue: str) -> None:
    counts = items.counts(queue)
    if not counts.waiting and not counts.failed:
        raise HarchosError(f"no item of queue {queue} waits: {counts}", hint="there is nothing to do again")


def _values(ledger: Ledger, row: RowMapping, now: datetime) -> dict[str, Any]:
    plan = ledger.decision(row["id"])
    segments = plan["chosen"]["segments"]
    planned_at, offset_s = datetime.fromisoformat(plan["now"]).timestamp(), 0.0
    start = datetime.fromisoformat(segments[0]["start"])
    if row["rehearsal"]:
        shown = start if row["speed"] == 1.0 else datetime.fromisoformat(plan["now"])
        offset_s = (shown - now).total_seconds()
    elif start < now:
        chosen = Replanner(plan, signal=row["signal"], now=now).next_best()
        segments, planned_at = [encode(s) for s in chosen.segments], now.timestamp()
    return {
        **{column: row[column] for column in _KEPT},
        "id": f"{row['workload']}-{secrets.token_hex(3)}",
        "segments": segments,
        "schedule_offset_s": offset_s,
        "ttl_s": ttl_s(begun_workload(plan, rehearsal=True), decode_segment(segments[0])),
        "phase": "wait",
        "desired": "run",
        "next_at": next_hour(now).timestamp(),
        "planned_at": planned_at,
        "created_at": now.timestamp(),
        "intensities": {},
        "units": {},
        "outputs": [],
    }


def _stage(run: str, again: str) -> None:
    """Copy the staged job of `run`, with the values of its secrets from the environment."""
    source, target = job_box(run), job_box(again)
    job = source.get_json("job.json")
    if job is None:
        raise HarchosError(
            f"the job of run {run} is not staged any more", hint="submit it again: `harchos apply FILE`"
        )
    missing = [name for name in job["secret_names"] if name not in os.environ]
    if missing:
        raise HarchosError(
            f"run {run} has secrets, whose values are not kept: {', '.join(missing)}",
            hint="set these variables in this shell, or submit the job again: `harchos apply FILE`",
        )
    workdir = source.get("workdir.tar.gz")
    if workdir is not None:
        target.put("workdir.tar.gz", workdir)
    if job["secret_names"]:
        values = {name: os.environ[name] for name in job["secret_names"]}
        target.put("secrets.json", json.dumps(values).encode())
    target.put_json("job.json", {**job, "run": again})
