"""Recurring workloads: each tick becomes one run, planned when it comes, whoever was there and how long."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from harchos_infra.errors import HarchosError
from harchos_infra.runs import occurrences as module
from harchos_infra.runs import recurrence, schema
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.mailboxes import job_box
from harchos_infra.runs.notify import TOLD
from harchos_infra.runs.occurrences import Occurrences
from harchos_infra.runs.sweep import forget_secrets
from harchos_infra.settings import set_value
from harchos_infra.workload.cron import Ticks
from harchos_infra.workload.loader import load
from tests.support.policies import policy_of

BEGUN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TICK = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
"""22:00 in Paris."""
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NIGHTLY = {"cron": "0 22 * * *", "timezone": "Europe/Paris", "doneWithin": "8h"}


@dataclass
class Clock:
    """A clock that a test sets."""

    at: datetime = BEGUN

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class World:
    ledger: Ledger
    folder: Path
    clock: Clock = field(default_factory=Clock)
    heard: list[tuple[str, str]] = field(default_factory=list)

    def begin(self, schedule: dict[str, str] = NIGHTLY, **spec: Any) -> str:
        """Let a workload recur; returns the name of its recurrence."""
        path = self.folder / "nightly.yaml"
        whole = {
            "type": "batch", "command": "true", "duration": "1h", "schedule": schedule,
            "placement": {"providers": ["local"]}, **spec,
        }  # fmt: skip
        document = {"apiVersion": "harchos.dev/v1", "kind": "Workload"}
        path.write_text(json.dumps({**document, "metadata": {"name": "nightly"}, "spec": whole}))
        beginning = recurrence.Beginning(load(path), {"TOKEN": "hidden"}, None, None, 3)
        return recurrence.begin(self.ledger.database, beginning, clock=self.clock)[0]

    def controller(self) -> Occurrences:
        return Occurrences(self.ledger, self.clock, lambda _, kind, detail: self.heard.append((kind, detail)))

    def at(self, moment: datetime) -> None:
        """Let a controller look at a moment."""
        self.clock.at = moment
        controller = self.controller()
        if controller.are_due():
            controller.act()

    def runs(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.ledger.runs()]

    def end_runs(self) -> None:
        with self.ledger.database.write() as db:
            db.execute(update(schema.run).values(phase="done", outcome="succeeded"))

    def kinds(self, name: str) -> list[str]:
        return [event["kind"] for event in recurrence.events(self.ledger.database, name)]

    def states(self) -> list[tuple[datetime, str]]:
        o = schema.occurrence
        with self.ledger.database.read() as db:
            rows = db.execute(select(o.c.tick, o.c.state).order_by(o.c.tick)).all()
        return [(datetime.fromtimestamp(tick, UTC), state) for tick, state in rows]


@pytest.fixture
def world(ledger: Ledger, tmp_path: Path) -> World:
    set_value("local.zone", "DE")
    return World(ledger, tmp_path)


def test_when_the_window_opens_the_occurrence_is_planned_within_it_and_becomes_a_run(world: World) -> None:
    name = world.begin()
    world.at(TICK - timedelta(seconds=1))
    assert world.runs() == []
    world.at(TICK)
    (run,) = world.runs()
    (segment,) = run["segments"]
    assert datetime.fromisoformat(segment["start"]) >= TICK
    assert datetime.fromisoformat(segment["end"]) <= TICK + 8 * HOUR
    assert (run["workload"], run["owner"], run["phase"], run["priority"]) == ("nightly", None, "wait", 3)
    assert world.ledger.plan(run["id"])["now"] == "2026-11-25T21:00:00Z", "planned on what is known by then"
    assert world.kinds(name) == ["recurs", "planned"]
    assert [e["kind"] for e in world.ledger.events(run["id"])] == ["planned"]
    assert world.states() == [(TICK, "planned")]
    (recurring,) = recurrence.live(world.ledger.database)
    assert (recurring.next.tick, recurring.next.closes) == (TICK + DAY, TICK + DAY + 8 * HOUR)


def test_its_job_and_secrets_are_those_of_the_day_it_began(world: World) -> None:
    (world.folder / "src").mkdir()
    (world.folder / "src" / "job.py").write_text("then")
    name = world.begin(workdir="src", env=[{"name": "MODE", "value": "full"}])
    (world.folder / "src" / "job.py").unlink()
    world.at(TICK)
    (run,) = world.runs()
    job = job_box(run["id"]).get_json("job.json")
    assert job is not None
    assert (job["run"], job["env"], job["secret_names"]) == (run["id"], {"MODE": "full"}, ["TOKEN"])
    for kept in ("workdir.tar.gz", "secrets.json"):
        assert job_box(run["id"]).get(kept) == job_box(name).get(kept) is not None
    with world.ledger.database.read() as db:
        (row,) = db.execute(select(schema.recurrence)).mappings()
    assert "hidden" not in json.dumps(dict(row)) and "full" not in json.dumps(dict(row))


def test_a_year_of_ticks_gives_one_run_each_also_where_clocks_are_changed(world: World) -> None:
    world.begin({"cron": "30 2 * * SUN", "timezone": "Europe/Paris", "doneWithin": "3h"})
    late = random.Random(1)
    for tick in takewhile(
        lambda tick: tick < BEGUN + timedelta(weeks=52), Ticks("30 2 * * SUN", "Europe/Paris").after(BEGUN)
    ):
        world.at(tick - timedelta(seconds=1))
        for _ in range(2):
            world.at(tick + timedelta(minutes=late.uniform(0, 90)))
        world.end_runs()
    assert [state for _, state in world.states()] == ["planned"] * 52
    assert len(world.runs()) == 52
    spring, autumn = datetime(2027, 3, 28, 1, 0, tzinfo=UTC), datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert {spring, autumn} <= {tick for tick, _ in world.states()}


def test_of_what_was_missed_the_last_is_made_up_for_while_its_window_is_open(world: World) -> None:
    name = world.begin()
    world.at(TICK + 5 * DAY + 2 * HOUR)
    (run,) = world.runs()
    assert datetime.fromisoformat(run["segments"][0]["start"]) >= TICK + 5 * DAY + 2 * HOUR
    assert world.states() == [(TICK + 4 * DAY, "missed"), (TICK + 5 * DAY, "planned")]
    assert world.kinds(name) == ["recurs", "missed", "planned"]
    assert world.heard[0][1].startswith("5 of 2026-11-25 21:00 to 2026-11-29 21:00 UTC: ")


def test_after_its_window_has_closed_an_occurrence_is_missed_and_said_to_be(world: World) -> None:
    name = world.begin()
    world.at(TICK + 8 * HOUR)
    assert world.runs() == []
    assert world.states() == [(TICK, "missed")]
    world.at(TICK + 9 * HOUR)
    assert world.kinds(name) == ["recurs", "missed"]
    world.at(TICK + DAY)
    assert len(world.runs()) == 1


def test_years_of_minutes_missed_are_no_burst(world: World) -> None:
    name = world.begin({"cron": "* * * * *"})
    world.at(BEGUN + 900 * DAY)
    assert world.kinds(name) == ["recurs", "missed", "planned"]
    assert world.heard[0][1].startswith("more than 1,000 of ")
    assert len(world.runs()) == 1


def test_without_a_window_it_starts_at_the_tick_and_may_be_made_up_for_until_the_next(world: World) -> None:
    world.begin({"cron": "@hourly"})
    world.at(BEGUN)
    assert world.runs() != [], "the tick of the very moment"
    world.end_runs()
    world.at(BEGUN + HOUR + timedelta(minutes=50))
    first, second = world.runs()
    assert datetime.fromisoformat(first["segments"][0]["start"]) == BEGUN
    assert datetime.fromisoformat(second["segments"][0]["start"]) == BEGUN + HOUR + timedelta(minutes=50)


def test_while_one_is_still_under_way_the_next_is_skipped(world: World) -> None:
    name = world.begin()
    world.at(TICK)
    world.at(TICK + DAY)
    (run,) = world.runs()
    assert world.states() == [(TICK, "planned"), (TICK + DAY, "skipped")]
    skipped = recurrence.events(world.ledger.database, name)[-1]
    assert run["id"] in skipped["detail"]
    world.end_runs()
    world.at(TICK + 2 * DAY)
    assert len(world.runs()) == 2


def test_what_nothing_can_be_found_for_is_infeasible_and_the_next_is_planned_again(world: World) -> None:
    name = world.begin(resources={"gpu": {"type": "H100", "count": 8}})
    world.at(TICK)
    world.at(TICK + DAY)
    assert world.runs() == []
    assert [state for _, state in world.states()] == ["infeasible"] * 2
    event = recurrence.events(world.ledger.database, name)[-1]
    assert "2026-11-26 21:00 to 2026-11-27 05:00 UTC: " in event["detail"]
    assert len(event["detail"]) > 60, "the nearest miss"


def test_a_source_that_is_away_is_asked_again_until_the_window_closes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise HarchosError("the source is away")

    name = world.begin()
    real = module.make_plan
    monkeypatch.setattr(module, "make_plan", away)
    controller = world.controller()
    world.clock.at = TICK
    controller.act()
    assert not controller.are_due(), "it waits before it asks again"
    assert world.kinds(name) == ["recurs", "trouble"]
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    again = world.controller()
    again.act()
    again.act()
    assert world.kinds(name) == ["recurs", "trouble", "trouble"], "once by each controller"
    world.clock.at = TICK + 8 * HOUR
    again.act()
    assert world.states() == [(TICK, "missed")]
    assert "the source is away" in recurrence.events(world.ledger.database, name)[-1]["detail"]
    monkeypatch.setattr(module, "make_plan", real)
    world.at(TICK + DAY)
    assert len(world.runs()) == 1


def test_of_many_controllers_one_acts_on_a_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.begin()
    world.clock.at = TICK
    all_have_planned, real = threading.Barrier(4, timeout=60), module.make_plan

    def planned_by_all(*args: Any, **options: Any) -> Any:
        made = real(*args, **options)
        all_have_planned.wait()
        return made

    monkeypatch.setattr(module, "make_plan", planned_by_all)
    threads = [threading.Thread(target=world.controller().act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (run,) = world.runs()
    assert world.states() == [(TICK, "planned")]
    staged = {path.parent.parent.name for path in (world.folder / "home" / "mailbox").glob("*/*/job.json")}
    (recurring,) = recurrence.live(world.ledger.database)
    assert staged == {run["id"], recurring.id}, "the others left nothing behind"
    assert [kind for kind, _ in world.heard] == ["planned"]


def test_a_controller_that_dies_before_it_has_written_leaves_the_tick_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    world.begin()
    world.clock.at = TICK
    with monkeypatch.context() as patched:
        patched.setattr(Occurrences, "_advance", die)
        with pytest.raises(SystemExit):
            world.controller().act()
    assert world.runs() == []
    world.at(TICK)
    assert len(world.runs()) == 1


def test_once_ended_it_recurs_no_more_and_its_secrets_are_gone(world: World) -> None:
    name = world.begin()
    world.at(TICK)
    forget_secrets(world.ledger)
    assert job_box(name).exists("secrets.json")
    recurrence.end(world.ledger.database, name, "enough", clock=world.clock)
    recurrence.end(world.ledger.database, name, "enough", clock=world.clock)
    world.at(TICK + DAY)
    assert len(world.runs()) == 1
    assert job_box(name).list() == []
    assert world.kinds(name) == ["recurs", "planned", "ended"]
    assert recurrence.live(world.ledger.database) == []


def test_a_workload_that_recurs_already_is_replaced_by_what_it_is_now(world: World) -> None:
    before = world.begin()
    after = world.begin({"cron": "@hourly"})
    (recurring,) = recurrence.live(world.ledger.database)
    assert (recurring.id, recurring.next.tick) == (after, BEGUN)
    assert recurrence.find(world.ledger.database, "nightly")["id"] == after  # type: ignore[index]
    assert world.kinds(before) == ["recurs", "ended"]


def test_it_keeps_to_the_policy_that_it_began_under(world: World) -> None:
    path = world.folder / "nightly.yaml"
    name = world.begin()
    recurrence.end(world.ledger.database, name, "", clock=world.clock)
    policy = policy_of("countries: [SE]")
    beginning = recurrence.Beginning(load(path), {}, None, policy.record(), 0)
    recurrence.begin(world.ledger.database, beginning, clock=world.clock)
    world.at(TICK)
    assert [state for _, state in world.states()] == ["infeasible"], "this machine is in Germany"


@pytest.mark.parametrize("kind", ["recurs", "planned", "missed", "skipped", "infeasible", "trouble", "ended"])
def test_each_change_is_one_that_is_told(kind: str) -> None:
    assert kind in TOLD
