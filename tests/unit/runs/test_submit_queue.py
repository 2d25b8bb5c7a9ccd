"""A queue is recorded whole, items and runs, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.queue import plan_queue
from harchos_infra.runs import schema
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import RealClock
from harchos_infra.runs.database import LedgerUnwritableError
from harchos_infra.runs.items import Items
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.mailboxes import job_box
from harchos_infra.runs.submit import REHEARSAL_SPEED, Submission, plan_hash, submit_queue
from harchos_infra.workload.loader import LoadedWorkload, load

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def planned(loaded: LoadedWorkload, quotas: Quotas | None = None) -> Plan:
    return plan_queue(
        loaded.workload,
        catalog=catalog_for(loaded.workload),
        signal=builtin_replay(),
        now=NOW,
        source={"path": str(loaded.path), "sha256": loaded.sha256},
        quotas=quotas,
    )


@pytest.fixture
def submission(ledger: Ledger, tmp_path: Path) -> Submission:
    path = tmp_path / "job.yaml"
    spec = {
        "type": "batch",
        "command": "true",
        "duration": "1h",
        "items": {"count": 5, "maxHubs": 3},
        "placement": {"providers": ["local"]},
    }
    document = {"apiVersion": "harchos.dev/v1", "kind": "Workload", "metadata": {"name": "job"}, "spec": spec}
    path.write_text(json.dumps(document))
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.yaml").write_text("local.zone: DE\n")
    loaded = load(path)
    return Submission(planned(loaded), loaded, {}, False, None)


def test_items_and_runs_are_recorded_together(ledger: Ledger, submission: Submission) -> None:
    leases = submit_queue(ledger, submission, owner="me", clock=RealClock())
    runs = [ledger.run(lease.run) for lease in leases]
    (queue,) = {run["queue"] for run in runs}
    assert len(runs) == 3
    assert Items(ledger).counts(queue).waiting == 5
    assert all(job_box(run["id"]).get("job.json") for run in runs)


def test_where_one_run_cannot_be_recorded_nothing_is(
    ledger: Ledger, submission: Submission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, inserted = Ledger._insert, []

    def full(*arguments: Any) -> None:
        if len(inserted) == 2:
            raise LedgerUnwritableError("the disk is full")
        inserted.append(insert(*arguments))

    monkeypatch.setattr(Ledger, "_insert", full)
    with pytest.raises(LedgerUnwritableError):
        submit_queue(ledger, submission, owner="me", clock=RealClock())
    assert ledger.runs() == []
    with ledger.database.read() as db:
        for table in (schema.queue, schema.item):
            assert db.execute(select(func.count()).select_from(table)).scalar_one() == 0
    staged = [path for path in (tmp_path / "home" / "mailbox").rglob("*") if path.is_file()]
    assert staged == []


@pytest.fixture
def apart(submission: Submission, tmp_path: Path) -> Submission:
    """A rehearsal of two hubs, each in a region of its own."""
    path = tmp_path / "job.yaml"
    document = json.loads(path.read_text())
    document["spec"]["placement"] = {"regions": ["gcp/europe-west1", "gcp/europe-west3"]}
    document["spec"]["resources"] = {"gpu": {"count": 1, "type": "L4"}}
    path.write_text(json.dumps(document))
    loaded = load(path)
    made = planned(loaded, Quotas((Quota("gcp", None, "L4", 1, counts_gpus=True),)))
    return replace(submission, plan=made, loaded=loaded, rehearsal=True)


def test_each_run_has_the_place_of_its_hub(ledger: Ledger, apart: Submission) -> None:
    leases = submit_queue(ledger, apart, owner="me", clock=RealClock())
    runs = [ledger.run(lease.run) for lease in leases]
    assert sorted(run["segments"][0]["region"] for run in runs) == ["europe-west1", "europe-west3"]
    assert {(len(run["segments"]), run["segments"][0]["nodes"]) for run in runs} == {(1, 1)}
    assert {run["plan_hash"] for run in runs} == {plan_hash(apart.plan)}
    assert {run["speed"] for run in runs} == {1.0}


def test_a_rehearsal_of_hubs_at_several_times_has_a_fast_clock(ledger: Ledger, apart: Submission) -> None:
    first, second = apart.plan.parts or ()
    (segment,) = second.chosen.segments
    hour = timedelta(hours=1)
    later = replace(segment, start=segment.start + hour, end=segment.end + hour)
    after = replace(second, chosen=replace(second.chosen, segments=(later,)))
    waits = replace(apart, plan=replace(apart.plan, parts=(first, after)))
    runs = [ledger.run(lease.run) for lease in submit_queue(ledger, waits, owner="me", clock=RealClock())]
    assert {run["speed"] for run in runs} == {REHEARSAL_SPEED}
    assert runs[0]["schedule_offset_s"] == pytest.approx(runs[1]["schedule_offset_s"], abs=60)
