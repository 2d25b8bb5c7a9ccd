"""When a controller lets a run act: at its start, on a wish, on a word of its job, and after a failure."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from harchos_infra.errors import HarchosError
from harchos_infra.runs import controller as module
from harchos_infra.runs import schema
from harchos_infra.runs.admission import Admission
from harchos_infra.runs.controller import Controller
from harchos_infra.runs.controller_held import Alarm
from harchos_infra.runs.ledger import Lease, LeaseLostError, Ledger, LedgerUnwritableError
from harchos_infra.settings import set_value
from tests.unit.runs.test_ledger import HUB, SEGMENT, values

BEGUN = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


class Shifted:
    """A clock that a test sets, and that goes on from there."""

    def __init__(self) -> None:
        self.set(BEGUN)

    def set(self, at: datetime) -> None:
        self._at, self._since = at, time.monotonic()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since)

    def steady_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Steps:
    """Stands in for the reconcile loop: says what each step does, and keeps when it was taken."""

    ledger: Ledger
    taken: list[str] = field(default_factory=list)
    does: Callable[[str, Lease], float | None] = lambda phase, lease: None

    def step(self, lease: Lease) -> float | None:
        phase = self.ledger.run(lease.run)["phase"]
        self.taken.append(f"{lease.run} {phase}")
        return self.does(phase, lease)


@dataclass
class World:
    ledger: Ledger
    clock: Shifted
    steps: Steps
    controller: Controller
    heard: list[tuple[str, str, str]]

    def add(self, run: str, start: datetime = BEGUN, **changes: Any) -> None:
        segment = {
            **SEGMENT,
            "start": start.isoformat(),
            "end": (start + timedelta(hours=2)).isoformat(),
            "saveS": 0,
        }
        row = {
            **values(run),
            "plan_hash": run,
            "created_at": BEGUN.timestamp(),
            "next_at": (BEGUN + timedelta(days=9)).timestamp(),
            **changes,
        }
        self.ledger.add_run(row, {"chosen": {"segments": [segment]}}, owner=None)

    def wait_for(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + 30
        while not what():
            assert time.monotonic() < until, f"waited in vain: {self.steps.taken} {self.heard}"
            time.sleep(0.02)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path))
    monkeypatch.setattr(module, "TICK_S", 0.05)
    monkeypatch.setattr(module, "UNWRITABLE_PAUSE_S", 0.05)
    ledger, clock = Ledger.open(), Shifted()
    steps = Steps(ledger)
    monkeypatch.setattr(module, "Reconciler", lambda *_: steps)
    heard: list[tuple[str, str, str]] = []
    controller = Controller(ledger, "me:x:1", clock, lambda *said: heard.append(said))
    thread = threading.Thread(target=controller.run, daemon=True)
    thread.start()
    yield World(ledger, clock, steps, controller, heard)
    controller.end()
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_run_waits_untouched_until_its_start(world: World) -> None:
    world.add("later", BEGUN + timedelta(hours=5))
    world.wait_for(lambda: world.ledger.is_owned("later"))
    time.sleep(0.3)
    assert world.steps.taken == []
    world.clock.set(BEGUN + timedelta(hours=5))
    world.wait_for(lambda: world.steps.taken == ["later wait"])


def test_a_run_whose_hour_to_be_planned_again_has_come_acts_before_its_start(world: World) -> None:
    world.add("later", BEGUN + timedelta(hours=5), next_at=(BEGUN + timedelta(hours=1)).timestamp())
    world.clock.set(BEGUN + timedelta(hours=1))
    world.wait_for(lambda: world.steps.taken == ["later wait"])


def test_a_wish_to_stop_wakes_a_waiting_run_within_a_second(world: World) -> None:
    world.add("later", BEGUN + timedelta(hours=5))
    world.wait_for(lambda: world.ledger.is_owned("later"))
    asked = time.monotonic()
    world.ledger.desire("later", "stop", "enough")
    world.wait_for(lambda: bool(world.steps.taken))
    assert time.monotonic() - asked < 10, "generous: the machine may be busy"


def test_a_run_that_is_done_is_given_up(world: World) -> None:
    def end(phase: str, lease: Lease) -> float | None:
        if phase == "done":
            return None
        world.ledger.update_run(lease, phase="done")
        return 0.0

    world.steps.does = end
    world.add("a-1")
    world.wait_for(lambda: world.ledger.run("a-1")["owner"] is None and bool(world.steps.taken))
    assert world.steps.taken == ["a-1 wait", "a-1 done"]


def test_a_job_just_runs_until_its_status_changes(world: World, tmp_path: Path) -> None:
    world.steps.does = lambda phase, lease: 0.5
    box = tmp_path / "box" / "a-1" / "a-1-h1"
    box.mkdir(parents=True)
    (box / "status.json").write_text("{}")
    lease = begin_running(world, (tmp_path / "box").as_uri())
    world.ledger.release(lease)
    world.wait_for(lambda: len(world.steps.taken) >= 2)
    taken = 0
    for _ in range(8):  # looked at 20 times a second, it is left alone: but for the first looks
        taken, before = len(world.steps.taken), taken
        if taken == before:
            break
        time.sleep(1.0)
    assert taken == before
    (box / "status.json").write_text(json.dumps({"phase": "succeeded"}))
    world.wait_for(lambda: len(world.steps.taken) > taken)


def begin_running(world: World, mailbox: str) -> Lease:
    world.add("later", BEGUN + timedelta(hours=5))
    row = {
        **values("a-1"),
        "plan_hash": "a-1",
        "created_at": BEGUN.timestamp(),
        "next_at": (BEGUN + timedelta(days=9)).timestamp(),
        "phase": "run",
    }
    segment = {**SEGMENT, "start": BEGUN.isoformat(), "end": BEGUN.isoformat(), "saveS": 0}
    lease = world.ledger.add_run(row, {"chosen": {"segments": [segment]}}, owner="first")
    world.ledger.intend_hub(lease, {**HUB, "mailbox": mailbox}, ("hub", ""))
    return lease


def test_a_step_that_fails_is_said_once_and_taken_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TROUBLE_S", 0.05)

    def fail(phase: str, lease: Lease) -> float:
        raise HarchosError("the hub may still be there")

    world.steps.does = fail
    world.add("a-1")
    world.wait_for(lambda: len(world.steps.taken) >= 3)
    troubles = [e["detail"] for e in world.ledger.events("a-1") if e["kind"] == "trouble"]
    assert len(troubles) == 1
    assert troubles[0].startswith("the hub may still be there; ")
    assert world.ledger.run("a-1")["phase"] == "wait"


def test_a_ledger_that_refuses_is_asked_again_and_no_run_is_lost(world: World) -> None:
    def refuse_twice(phase: str, lease: Lease) -> float | None:
        if len(world.steps.taken) < 3:
            raise LedgerUnwritableError("the disk is full")
        return None

    world.steps.does = refuse_twice
    world.add("a-1")
    world.wait_for(lambda: len(world.steps.taken) == 3)
    assert [e["kind"] for e in world.ledger.events("a-1")] == []


def test_a_run_that_another_took_is_let_go(world: World) -> None:
    world.add("a-1", BEGUN + timedelta(hours=5))
    world.wait_for(lambda: world.ledger.is_owned("a-1"))
    with world.ledger.database.write() as db:
        from sqlalchemy import update

        from harchos_infra.runs import owners, schema

        owners.extend(db, "another:x:1", 60.0)
        db.execute(update(schema.run).values(owner="another:x:1", epoch=9))
    world.steps.does = lambda phase, lease: world.ledger.update_run(lease, phase="run") or 0.0
    world.clock.set(BEGUN + timedelta(hours=5))
    world.wait_for(lambda: any(kind == "lease" for _, kind, _ in world.heard))
    assert world.ledger.run("a-1")["phase"] == "wait"


def test_a_clock_that_is_set_back_and_forth_starts_nothing_early_or_late(world: World) -> None:
    world.add("later", BEGUN + timedelta(hours=5))
    world.wait_for(lambda: world.ledger.is_owned("later"))
    world.clock.set(BEGUN - timedelta(hours=3))
    time.sleep(0.3)
    assert world.steps.taken == []
    world.clock.set(BEGUN + timedelta(hours=6))
    world.wait_for(lambda: world.steps.taken == ["later wait"])


def test_past_their_start_runs_wait_for_a_place_and_say_so(world: World) -> None:
    set_value("queue.aws", "0")
    world.add("a-1")
    world.wait_for(lambda: any(e["kind"] == "queue" for e in world.ledger.events("a-1")))
    assert world.steps.taken == []
    world.ledger.desire("a-1", "stop", "enough")
    world.wait_for(lambda: world.steps.taken == ["a-1 wait"])
    set_value("queue.aws", "1")


def test_at_its_end_every_run_is_free_and_a_step_under_way_may_finish(
    world: World,
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(phase: str, lease: Lease) -> float:
        entered.set()
        go_on.wait(20)
        return 60.0

    world.steps.does = slow
    world.add("later", BEGUN + timedelta(hours=5))
    world.add("a-1", BEGUN)
    assert entered.wait(20)
    world.wait_for(lambda: world.ledger.is_owned("later"))
    world.controller.end()
    world.wait_for(lambda: world.ledger.run("later")["owner"] is None)
    assert world.ledger.is_owned("a-1")
    go_on.set()
    world.wait_for(lambda: world.ledger.run("a-1")["owner"] is None)
    assert [row["id"] for row in Admission(world.ledger.database, "next").claim(9)] == ["a-1", "later"]


@pytest.mark.parametrize(
    ("changes", "hours", "starts"),
    [
        ({}, 5, True),
        ({"next_at": (BEGUN + timedelta(hours=1)).timestamp()}, 1, False),
        ({"rehearsal": True, "speed": 600.0}, 5 / 600, True),
        ({"rehearsal": True, "schedule_offset_s": 5 * 3600.0}, 0, True),
        ({"phase": "run"}, 24 * 9, False),
    ],
    ids=["its start", "planned again", "a fast clock", "a clock set to the plan", "its last segment"],
)
def test_the_next_alarm_of_a_run_is_in_real_time(changes: dict[str, Any], hours: float, starts: bool) -> None:
    start = BEGUN + timedelta(hours=5)
    segment = {**SEGMENT, "start": start.isoformat(), "end": start.isoformat(), "saveS": 0}
    row = {
        **values("a-1"),
        "segments": [segment],
        "segment": 0,
        "created_at": BEGUN.timestamp(),
        "next_at": (BEGUN + timedelta(days=9)).timestamp(),
        **changes,
    }
    assert Alarm.of(row) == Alarm(pytest.approx(BEGUN.timestamp() + hours * 3600), starts)


def test_a_run_lost_in_the_middle_of_a_step_and_taken_up_again_is_driven_on(world: World) -> None:
    goes_on = threading.Event()

    def does(phase: str, lease: Lease) -> float | None:
        if lease.epoch == 2:
            assert goes_on.wait(30)
            raise LeaseLostError("another has it")
        return 60.0 if lease.epoch == 3 else None

    world.steps.does = does
    world.add("r", phase="provision")
    world.wait_for(lambda: len(world.steps.taken) == 1)
    with world.ledger.database.write() as db:
        db.execute(update(schema.run).values(owner=None))
    world.wait_for(lambda: len(world.steps.taken) == 2)
    goes_on.set()
    world.ledger.desire("r", "stop", "enough")
    world.wait_for(lambda: len(world.steps.taken) >= 3)
