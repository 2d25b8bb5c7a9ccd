"""A run of a queue, step by step: fed while its hub lives, followed by another hub, ended without one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update

from harchos_infra.hub.items import Record, Records, assigned
from harchos_infra.runs import schema
from harchos_infra.runs.items import Counts, Items, add_items
from tests.unit.runs.test_replanning import HOUR, Waiting, begin
from tests.unit.runs.test_running import Begin, Running

__all__ = ["begin"]


def of_queue(begin: Begin, **spec: Any) -> Waiting:
    """Return a run that waits for hour 24, for ten items of a queue."""
    run = begin(items={"count": 10}, **spec)
    with run.ledger.database.write() as db:
        add_items(db, "q", [f"{index}" for index in range(10)])
    run.ledger.update_run(run.lease, queue="q")
    return run


def take(run: Waiting, *indices: int) -> None:
    """Let other hubs have done these items."""
    t = schema.item
    with run.ledger.database.write() as db:
        db.execute(update(t).where(t.c.index.in_(indices)).values(state="done"))


def counts(run: Waiting) -> Counts:
    return Items(run.ledger).counts("q")


def records(job: Running, *indices: int) -> None:
    for index in indices:
        Records(job.box).add(Record(index, 0, 1, ()))


def test_a_run_that_has_no_hub_when_nothing_waits_ends_without_one(begin: Begin) -> None:
    run = of_queue(begin)
    take(run, *range(10))
    row = run.step(1.0)
    assert (row["phase"], row["outcome"]) == ("destroy", "succeeded")
    row = run.step(1.0)
    assert (row["phase"], row["reason"]) == ("collect", "no item waits any more: its hub is not made")
    assert run.ledger.hubs(row["id"]) == []


def test_its_hub_is_fed_until_nothing_waits_and_what_it_recorded_is_the_outcome(begin: Begin) -> None:
    job = Running(of_queue(begin), 24.0)
    take(job.run, *range(2, 9))
    job.step(24.1)
    assert [item.index for item in assigned(job.box).items] == [0, 1]
    records(job, 0, 1)
    job.step(24.2)
    assert ([item.index for item in assigned(job.box).items], assigned(job.box).closed) == ([9], True)
    records(job, 9)
    job.says("succeeded", reason="3 items were run")
    assert job.run.step(24.3)["phase"] == "destroy"
    row = job.run.step(24.4)
    assert (row["phase"], row["outcome"], row["reason"]) == ("collect", "succeeded", "3 items done")
    assert job.run.step(24.5)["units"] == {"items": 3.0}


def test_a_lost_hub_is_followed_by_another_that_is_planned_for_what_is_left(begin: Begin) -> None:
    job = Running(of_queue(begin), 24.0)
    job.step(34.9)
    records(job, 0)
    row = job.run.step(35.0)
    assert (row["phase"], row["interruption"]) == ("destroy", "lost")
    assert counts(job.run) == Counts(waiting=7, assigned=2, done=1)
    row = job.run.step(35.01)
    assert (row["phase"], row["segment"]) == ("wait", 1)
    assert counts(job.run) == Counts(waiting=9, done=1)
    first = row["segments"][1]
    hours = (datetime.fromisoformat(first["end"]) - datetime.fromisoformat(first["start"])) / HOUR
    assert hours == pytest.approx(0.9 * 40 + 300 / 3600, abs=0.01)


def test_under_quotas_a_lost_hub_is_followed_by_another_in_the_place_that_was_given(begin: Begin) -> None:
    run = of_queue(begin)
    given = {**run.ledger.decision(run.lease.run)}
    given["inputs"] = {**given["inputs"], "fleet": {"workloads": 1, "quotas": None}}
    t = schema.plan
    with run.ledger.database.write() as db:
        db.execute(update(t).values(document=given))
    job = Running(run, 24.0)
    job.step(34.9)
    assert run.step(35.0)["interruption"] == "lost"
    row = run.step(35.01)
    assert (row["phase"], row["segment"]) == ("wait", 1)
    place = [(s["provider"], s["region"], s["instanceType"], s["market"]) for s in row["segments"]]
    assert place[1] == place[0]


def test_no_hub_follows_one_that_was_lost_when_nothing_waits(begin: Begin) -> None:
    job = Running(of_queue(begin), 24.0)
    job.step(34.9)
    records(job, 0, 1)
    take(job.run, *range(2, 10))
    assert job.run.step(35.0)["interruption"] == "lost"
    row = job.run.step(35.01)
    assert (row["phase"], row["outcome"]) == ("destroy", "succeeded")
    assert job.run.step(35.02)["reason"] == "2 items done"


def test_a_hub_that_is_to_pause_gets_nothing_more_and_its_items_wait_for_the_next(begin: Begin) -> None:
    job = Running(of_queue(begin, interruptible=True), 24.0)
    row = job.run.row()
    (held,) = row["segments"]
    later = {**held, "start": "2026-11-26T00:00:00Z", "end": "2026-11-26T10:00:00Z"}
    job.run.ledger.update_run(
        job.run.lease, segments=[{**held, "end": "2026-11-24T01:00:00Z"}, later], next_at=9e9
    )
    job.step(24.5)
    records(job, 0)
    job.step(25.1)
    assert job.asked()["want"] == "checkpoint"
    assert [item.index for item in assigned(job.box).items] == [1]
    job.says("stopped", reason=job.asked()["reason"])
    job.run.step(25.2)
    row = job.run.step(25.3)
    assert (row["phase"], row["segment"]) == ("wait", 1)
    assert counts(job.run) == Counts(waiting=9, done=1)
