"""A waiting run is planned again each hour of its clock, and moved in one transaction or left as it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harchos_infra.cli.main import app
from harchos_infra.cli.planning import catalog_for
from harchos_infra.errors import HarchosError
from harchos_infra.grid.signal import Intensity, NoIntensity
from harchos_infra.planner.encoding import decode_segment
from harchos_infra.planner.plan import Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.planner.replan import Move, Stay
from harchos_infra.report.account import account
from harchos_infra.report.method import caveats
from harchos_infra.runs import replan
from harchos_infra.runs.ledger import Lease, Ledger
from harchos_infra.runs.reconcile import Reconciler
from harchos_infra.runs.submit import Submission, plan_hash, submit
from harchos_infra.settings import set_value
from harchos_infra.workload.loader import load
from tests.unit.planner.small_world import MIDNIGHT, SmallSignal

HOUR = timedelta(hours=1)
HORIZON_H = 100


def low(first: int, g: float) -> list[float]:
    """Return 100 hours of 500 g/kWh with 40 of `g` from hour `first` on."""
    return [g if first <= hour < first + 40 else 500.0 for hour in range(HORIZON_H)]


@dataclass
class Grid(SmallSignal):
    """A signal whose figures a test changes between hours, or takes away."""

    down: str | None = None
    asked: int = 0

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        self.asked += 1
        if self.down:
            raise NoIntensity(zone, self.down)
        return super().intensity(zone, start, hours)


@dataclass
class Stepped:
    """A clock that a test sets; `wrong_by` is how far its hands were moved while no time passed."""

    at: datetime = MIDNIGHT
    wrong_by: timedelta = timedelta()

    def now(self) -> datetime:
        return self.at + self.wrong_by

    def steady_s(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Waiting:
    """A run that waits for hour 24, on a grid and a clock of its own."""

    ledger: Ledger
    lease: Lease
    grid: Grid
    clock: Stepped
    said: list[tuple[str, str]] = field(default_factory=list)
    loop: Reconciler | None = None

    def step(self, hour: float, low_hours: list[float] | None = None) -> dict[str, Any]:
        """Set clock and grid, let the loop act once, and return the run's row."""
        self.clock.at = MIDNIGHT + hour * HOUR
        if low_hours is not None:
            self.grid.series = {"DE": low_hours}
        if self.loop is None:
            self.loop = Reconciler(self.ledger, self.clock, lambda *event: self.said.append(event))
        self.loop.step(self.lease)
        return self.row()

    def row(self) -> dict[str, Any]:
        return dict(self.ledger.run(self.lease.run))

    def start(self) -> datetime:
        return datetime.fromisoformat(self.row()["segments"][0]["start"])

    def events(self, kind: str) -> list[str]:
        return [e.detail for e in self.ledger.record(self.lease.run).events if e.kind == kind]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Waiting]:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    set_value("local.zone", "DE")

    def begin(*, rehearsal: bool = False, **spec: Any) -> Waiting:
        grid = Grid({"DE": low(24, 100.0)})
        monkeypatch.setattr(replan, "parse_signal", lambda _: grid)
        document = {
            "apiVersion": "harchos.dev/v1",
            "kind": "Workload",
            "metadata": {"name": "job"},
            "spec": {
                "type": "batch",
                "command": "true",
                "env": [{"name": "GREETING", "value": "hello"}],
                "duration": "40h",
                "deadline": f"{HORIZON_H}h",
                "objective": "greenest",
                "placement": {"providers": ["local", "aws"], "regions": ["local"]},
                **spec,
            },
        }
        path = tmp_path / "job.yaml"
        path.write_text(json.dumps(document))
        loaded = load(path)
        made = plan(
            loaded.workload,
            catalog=catalog_for(loaded),
            signal=grid,
            now=MIDNIGHT,
            source={"path": str(path), "sha256": loaded.sha256},
        )
        ledger, clock = Ledger.open(), Stepped()
        submission = Submission(made, loaded, {}, rehearsal, None)
        lease = submit(ledger, submission, owner="x", clock=clock)
        return Waiting(ledger, lease, grid, clock)

    return begin


def test_a_waiting_run_is_moved_to_a_better_hour_with_reason_and_numbers(
    begin: Callable[..., Waiting],
) -> None:
    run = begin()
    assert run.start() == MIDNIGHT + 24 * HOUR
    run.step(1.0, low(50, 50.0))
    assert run.start() == MIDNIGHT + 50 * HOUR
    (moved,) = run.events("moved")
    assert moved.startswith("expected -")
    assert "kgCO2e, +0 USD: from local/local this-machine at 2026-11-24 00:00 to local/local" in moved
    assert "gCO2e by the objective greenest, at least" in moved
    assert run.row()["phase"] == "wait"


def test_what_was_accepted_stays_as_it_was(begin: Callable[..., Waiting]) -> None:
    run = begin()
    before, hash_before = run.ledger.plan(run.lease.run), run.row()["plan_hash"]
    run.step(1.0, low(50, 50.0))
    assert run.ledger.plan(run.lease.run) == before
    assert run.row()["plan_hash"] == hash_before
    assert run.ledger.record(run.lease.run).plan["baselines"] == before["baselines"]


def test_it_is_planned_again_once_an_hour_on_the_hour(begin: Callable[..., Waiting]) -> None:
    run = begin()
    asked = run.grid.asked
    run.step(0.5)
    assert run.grid.asked == asked
    run.step(1.0)
    once = run.grid.asked
    assert once > asked
    run.step(1.01)
    run.step(1.99)
    assert run.grid.asked == once
    run.step(2.0)
    assert run.grid.asked > once
    assert run.said[-1] == ("replan", "the schedule stays: it is still the best")
    assert run.events("replan") == []


def test_a_move_can_be_followed_by_another_and_the_run_then_starts(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.step(1.0, low(50, 50.0))
    run.step(2.0, low(30, 20.0))
    assert run.start() == MIDNIGHT + 30 * HOUR
    assert len(run.events("moved")) == 2
    assert run.step(29.9)["phase"] == "wait"
    assert run.step(30.0)["phase"] == "provision"


def test_a_run_may_be_moved_to_at_once(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.step(3.25, low(0, 10.0))
    assert run.start() == MIDNIGHT + 3.25 * HOUR
    assert run.step(3.25)["phase"] == "provision"


def test_a_crash_between_decision_and_record_changes_nothing(
    begin: Callable[..., Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin()
    before = run.row()

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "update_run", killed)
        with pytest.raises(KeyboardInterrupt):
            run.step(1.0, low(50, 50.0))
    assert run.row() == before
    assert run.events("moved") == []
    run.step(1.0)
    assert run.start() == MIDNIGHT + 50 * HOUR


def test_an_owner_that_lost_its_lease_moves_nothing(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.ledger.release(run.lease)
    assert run.ledger.claim(run.lease.run, "another") is not None
    with pytest.raises(HarchosError, match="another process has taken over"):
        run.step(1.0, low(50, 50.0))
    assert run.start() == MIDNIGHT + 24 * HOUR


def test_a_source_that_fails_leaves_the_schedule_and_says_so(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.grid.down = "the provider answers 503"
    row = run.step(1.0, low(50, 50.0))
    assert row["phase"] == "wait"
    assert run.start() == MIDNIGHT + 24 * HOUR
    (said,) = run.events("replan")
    assert said.startswith("the schedule stays: it cannot be priced now: no carbon intensity for zone DE")
    assert said.endswith("the provider answers 503")
    run.grid.down = None
    run.step(2.0)
    assert run.start() == MIDNIGHT + 50 * HOUR


def test_a_signal_that_is_gone_leaves_the_schedule(
    begin: Callable[..., Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin()

    def gone(_: str | None) -> None:
        raise HarchosError("replay:/gone: no such file")

    monkeypatch.setattr(replan, "parse_signal", gone)
    run.step(1.0)
    assert run.events("replan") == ["not planned again, the schedule stays: replay:/gone: no such file"]
    assert run.start() == MIDNIGHT + 24 * HOUR


def test_a_workload_of_another_version_leaves_the_schedule(begin: Callable[..., Waiting]) -> None:
    run = begin()
    document = run.ledger.plan(run.lease.run)
    document["workload"]["spec"]["fieldOfTheFuture"] = 1
    with pytest.raises(HarchosError, match="cannot be read by this version"):
        replan.begun_workload(document)


def test_this_machine_on_another_grid_is_priced_there(begin: Callable[..., Waiting]) -> None:
    run = begin()
    set_value("local.zone", "FR")
    run.grid.series = {"FR": low(24, 100.0)}
    run.step(1.0)
    assert run.said[-1] == ("replan", "the schedule stays: it is still the best")


def test_the_deadline_is_that_of_the_submission(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.grid.series = {"DE": low(24, 100.0) + [1.0] * 100}
    run.step(20.0)
    assert run.start() == MIDNIGHT + 24 * HOUR


def test_a_rehearsal_is_not_planned_again(begin: Callable[..., Waiting]) -> None:
    run = begin(rehearsal=True)
    asked = run.grid.asked
    assert run.step(1.0, low(50, 50.0))["phase"] == "provision"
    assert run.grid.asked == asked
    assert run.start() == MIDNIGHT + 24 * HOUR


def test_a_stopped_run_is_not_planned_again(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.ledger.desire(run.lease.run, "stop", "test")
    assert run.step(1.0, low(50, 50.0))["phase"] == "destroy"
    assert run.start() == MIDNIGHT + 24 * HOUR


def test_a_schedule_that_this_version_does_not_run_is_not_taken(
    begin: Callable[..., Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin()
    held = decode_segment(run.row()["segments"][0])
    schedule = Schedule((dataclasses.replace(held, gpu_limit_watts=200.0),), 0.0, 0.0, 0.0, held.end, {})
    monkeypatch.setattr(replan, "decide_again", lambda *_, **__: Move(schedule, "better", -1.0, -1.0))
    run.step(1.0)
    assert run.said[-1] == (
        "replan",
        "the schedule stays: the best schedule now is of a kind that this version does not run",
    )
    assert len(run.row()["segments"]) == 1


def test_a_job_without_checkpoint_keeps_its_number_of_nodes(
    begin: Callable[..., Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin()
    held = decode_segment(run.row()["segments"][0])
    grown = (held, dataclasses.replace(held, nodes=2))
    schedule = Schedule(grown, 0.0, 0.0, 0.0, held.end, {})
    monkeypatch.setattr(replan, "decide_again", lambda *_, **__: Move(schedule, "better", -1.0, -1.0))
    run.step(1.0)
    assert len(run.row()["segments"]) == 1


def test_a_job_that_may_be_paused_is_moved_to_hours_with_a_pause_between(
    begin: Callable[..., Waiting],
) -> None:
    run = begin(interruptible=True, checkpoint={"path": "/x", "interval": "1h"})
    split = [50.0 if 30 <= hour < 50 or 60 <= hour < 80 else 500.0 for hour in range(HORIZON_H)]
    run.step(1.0, split)
    assert len(run.events("moved")) == 1
    first, second = run.row()["segments"]
    assert (first["start"], second["start"]) == ("2026-11-24T06:00:00Z", "2026-11-25T11:55:00Z")


def test_status_and_report_say_where_a_run_was_moved(begin: Callable[..., Waiting]) -> None:
    run = begin()
    run.step(1.0, low(50, 50.0))
    (moved,) = run.events("moved")
    (row,) = json.loads(CliRunner().invoke(app, ["status", "--format", "json"]).stdout)["runs"]
    assert (row["moved"], row["start"]) == (moved, "2026-11-25T02:00:00Z")
    record = run.ledger.record(run.lease.run)
    said = caveats(record, account(record))
    assert any(line.startswith("moved once: ") and moved in line for line in said)


def test_an_error_is_counted_against_the_figures_of_the_last_plan(begin: Callable[..., Waiting]) -> None:
    run = begin()
    issued = run.row()["planned_at"]
    assert issued == MIDNIGHT.timestamp()
    run.step(1.0, low(50, 50.0))
    assert run.row()["planned_at"] == (MIDNIGHT + HOUR).timestamp()
    assert run.row()["segments"][0]["intensityGco2PerKwh"] == [50.0] * 40


def test_the_time_to_live_follows_the_schedule(begin: Callable[..., Waiting]) -> None:
    run = begin()
    assert run.step(1.0, low(50, 50.0))["ttl_s"] == 1.5 * 40 * 3600 + 1800
    fixed = begin(ttl="41h")
    assert fixed.step(1.0, low(50, 50.0))["ttl_s"] == 41 * 3600


def test_the_identity_of_a_moved_run_is_still_its_plan(begin: Callable[..., Waiting]) -> None:
    from harchos_infra.planner.plan import Plan

    run = begin()
    run.step(1.0, low(50, 50.0))
    assert plan_hash(Plan.from_json(run.ledger.plan(run.lease.run))) == run.row()["plan_hash"]


def test_a_run_of_a_fleet_under_quotas_stays_where_it_was_placed() -> None:
    made = {"inputs": {"fleet": {"workloads": 3}}}
    assert replan.Replanner(made, signal=None, now=MIDNIGHT).reconsider([{}]) == Stay(
        "its place was given to it together with others, under quotas"
    )
