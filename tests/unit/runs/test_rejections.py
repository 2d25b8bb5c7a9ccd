"""Rejected candidates are stored once for all runs of a plan, and read back as the plan had them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.runs import schema
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import RealClock
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.rejections import pack, unpack
from harchos_infra.runs.submit import Submission, plan_hash, submit
from harchos_infra.workload.loader import LoadedWorkload, load

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def planned(tmp_path: Path, name: str = "job") -> tuple[Plan, LoadedWorkload]:
    """Plan a job with a GPU for any cloud: hundreds of offers are compared, thousands do not fit."""
    path = tmp_path / f"{name}.yaml"
    spec = {"type": "batch", "command": "true", "duration": "1h", "resources": {"gpu": {"type": "T4"}}}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "harchos.dev/v1",
                "kind": "Workload",
                "metadata": {"name": name},
                "spec": spec,
            }
        )
    )
    loaded = load(path)
    made = plan(
        loaded.workload,
        catalog=catalog_for(loaded.workload),
        signal=builtin_replay(),
        now=NOW,
        source={"path": str(path), "sha256": loaded.sha256},
    )
    return made, loaded


def test_they_are_read_back_as_the_plan_had_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    made, _ = planned(tmp_path)
    rejected = made.to_json()["rejected"]
    assert any("costUsd" in lost for lost in rejected)
    assert any("costUsd" not in lost for lost in rejected)
    packed = pack(made.rejected)
    assert unpack(packed) == rejected
    assert len(packed) * 8 < len(json.dumps(rejected))


def test_runs_of_one_plan_share_them_and_each_has_its_whole_plan(ledger: Ledger, tmp_path: Path) -> None:
    plans = [planned(tmp_path), planned(tmp_path), planned(tmp_path, "another")]
    runs = [
        submit(ledger, Submission(made, loaded, {}, True, None), owner=None, clock=RealClock()).run
        for made, loaded in plans
    ]
    for run, (made, _) in zip(runs, plans, strict=True):
        assert ledger.plan(run) == made.to_json()
        assert list(ledger.plan(run)) == list(made.to_json())
        assert ledger.run(run)["plan_hash"] == plan_hash(Plan.from_json(ledger.plan(run))) == plan_hash(made)
        assert ledger.decision(run)["rejected"] is None
    with ledger.database.read() as db:
        assert db.execute(select(func.count()).select_from(schema.rejected)).scalar_one() == 2


def test_a_plan_of_an_older_ledger_keeps_its_own(ledger: Ledger, tmp_path: Path) -> None:
    made, loaded = planned(tmp_path)
    run = submit(ledger, Submission(made, loaded, {}, True, None), owner=None, clock=RealClock()).run
    values = {**ledger.run(run), "id": "older", "plan_hash": "older"}
    for column in ("segment", "failed_offers", "metrics", "owner", "epoch"):
        del values[column]
    ledger.add_run(values, made.to_json(), owner=None)
    assert ledger.plan("older") == ledger.plan(run)
