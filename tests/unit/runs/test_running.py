"""A run whose job is under way: planned again each hour, paused when its segment ends, gone on elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.local import LocalCloud
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.ttl import CLOCK_SET
from harchos_infra.planner.measured import Calibration
from harchos_infra.provision.failure import Code, ProvisionError
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.runs.calibration import lifetime
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.mailboxes import local_root
from harchos_infra.runs.replan import begun_workload
from harchos_infra.runs.rest import Worked, left_share
from tests.unit.planner.small_world import MIDNIGHT
from tests.unit.runs.test_replanning import HOUR, Waiting, begin, low

__all__ = ["begin"]

PAUSABLE: dict[str, Any] = {
    "interruptible": True,
    "checkpoint": {"path": "/x", "interval": "1h", "restart": "30m", "grace": "30s"},
}


class Running:
    """A run whose hub lives, as its mailbox says; the agent's objects are written by the test."""

    def __init__(self, run: Waiting, hour: float) -> None:
        self.run = run
        self.run.step(hour)
        assert run.row()["phase"] == "provision"
        run.clock.at = MIDNIGHT + hour * HOUR
        run.ledger.intend_hub(
            run.lease,
            {
                "hub": f"{run.lease.run}-h1",
                "segment": 0,
                "place": run.row()["segments"][0],
                "mailbox": local_root(),
                "state": "created",
                "identity": "",
                "created_at": run.clock.at.timestamp(),
                "expires_at": (run.clock.at + 200 * HOUR).timestamp(),
            },
            ("hub", ""),
        )
        run.ledger.update_run(run.lease, phase="run")
        self.box = Mailbox(local_root(), run.lease.run, f"{run.lease.run}-h1")
        self.started = run.clock.at
        self.beats = 0
        self.says("running")

    def says(self, phase: str, **more: Any) -> None:
        """Let the agent write its status, and give a sign of life."""
        at = self.run.clock.at.isoformat()
        self.beats += 1
        self.box.put_json("heartbeat.json", {"at": at, "seq": self.beats, "phase": phase})
        self.box.put_json(
            "status.json",
            {"phase": phase, "job_started_at": self.started.isoformat(), "attempt": 1, **more},
        )

    def saves(self, number: int) -> None:
        """Let the agent store a checkpoint."""
        self.box.put(f"checkpoints/{number:08}/count", b"5")
        item = {"path": "count", "bytes": 1, "sha256": sha256(b"5").hexdigest()}
        manifest = {"schema": "harchos.checkpoint/1", "at": self.run.clock.at.isoformat(), "files": [item]}
        self.box.put_json(f"checkpoints/{number:08}.json", manifest)

    def step(self, hour: float, low_hours: list[float] | None = None) -> dict[str, Any]:
        self.run.clock.at = MIDNIGHT + hour * HOUR
        self.says("running")
        return self.run.step(hour, low_hours)

    def asked(self) -> dict[str, Any]:
        return self.box.get_json("control.json") or {}


Begin = Callable[..., Waiting]


def test_a_running_job_is_paused_until_hours_that_have_become_better(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    row = job.step(30.2, low(50, 5.0))
    assert job.run.events("moved") != []
    assert row["segments"][0]["end"] == "2026-11-24T06:12:00Z"
    later = datetime.fromisoformat(row["segments"][1]["start"])
    assert later >= MIDNIGHT + 49 * HOUR
    job.step(30.3)
    assert job.asked()["want"] == "checkpoint"
    assert "it goes on at local/local" in job.asked()["reason"]


def test_what_is_left_of_the_work_is_planned_not_all_of_it(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    row = job.step(44.2, low(50, 5.0))
    left = sum(
        (datetime.fromisoformat(s["end"]) - datetime.fromisoformat(s["start"]) for s in row["segments"][1:]),
        timedelta(),
    )
    assert left / HOUR == pytest.approx(40 - 20.2, abs=0.01)


def test_on_the_same_data_a_running_job_stays(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.2)
    assert job.run.said[-1] == ("replan", "the schedule stays: it is still the best")
    assert job.asked() == {}


def test_a_job_that_cannot_checkpoint_is_never_interrupted(begin: Begin) -> None:
    job = Running(begin(), 24.0)
    asked = job.run.grid.asked
    row = job.step(30.2, low(50, 5.0))
    assert (len(row["segments"]), job.asked()) == (1, {})
    assert job.run.grid.asked == asked
    assert row["next_at"] == (MIDNIGHT + 31 * HOUR).timestamp()


def paused(begin: Begin) -> Running:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.2, low(50, 5.0))
    job.step(30.3)
    job.saves(1)
    job.says("stopped", reason=job.asked()["reason"], finished_at=job.run.clock.at.isoformat())
    return job


def test_a_paused_run_takes_its_hub_down_and_waits_for_the_next_segment(begin: Begin) -> None:
    job = paused(begin)
    assert job.run.step(30.31)["phase"] == "destroy"
    row = job.run.step(30.32)
    assert (row["phase"], row["segment"], row["outcome"]) == ("wait", 1, None)
    (hub,) = job.run.ledger.hubs(row["id"])
    assert hub["state"] == "gone"
    assert any("wait: segment 2 of 2" in detail for detail in job.run.events("phase"))


def test_a_run_that_is_paused_is_planned_again_with_what_is_left(begin: Begin) -> None:
    job = paused(begin)
    job.run.step(30.31)
    job.run.step(30.32)
    row = job.run.step(35.0, low(60, 1.0))
    assert row["segment"] == 1
    first = row["segments"][1]
    assert datetime.fromisoformat(first["start"]) == MIDNIGHT + 60 * HOUR
    hours = (datetime.fromisoformat(first["end"]) - datetime.fromisoformat(first["start"])) / HOUR
    assert hours == pytest.approx(40 - 6.3 + 0.5, abs=0.01)
    assert row["segments"][0]["end"] == "2026-11-24T06:12:00Z"


def test_a_spot_notice_is_no_end_of_a_job_that_has_checkpoints(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(34.9)
    job.saves(1)
    job.says("stopped", reason="spot notice: terminate at 10:56")
    row = job.run.step(34.95)
    assert (row["phase"], row["interruption"], row["outcome"]) == ("destroy", "spot", None)
    assert row["failed_offers"] == [["local", "local", "this-machine", "on-demand"]]
    row = job.run.step(34.96)
    assert (row["phase"], row["outcome"]) == ("destroy", "failed")
    assert "the machine was taken back, and no other candidate is left" in row["reason"]


def test_a_lost_hub_is_followed_by_another_from_the_last_checkpoint(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(34.9)
    job.saves(1)
    row = job.run.step(35.0)
    assert (row["phase"], row["interruption"]) == ("destroy", "lost")
    row = job.run.step(35.01)
    assert (row["phase"], row["segment"], row["interruption"]) == ("wait", 1, None)
    hours = sum(
        (datetime.fromisoformat(s["end"]) - datetime.fromisoformat(s["start"])) / HOUR
        for s in row["segments"][1:]
    )
    assert hours == pytest.approx(40 - 10.9 + 0.5, abs=0.01)


def test_a_torn_checkpoint_counts_for_nothing_when_the_rest_is_planned(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(34.9)
    job.saves(1)
    job.box.put("checkpoints/00000002.json", b'{"schema": "harch')
    job.box.put("checkpoints.json", b'{"gener')
    assert job.run.step(35.0)["interruption"] == "lost"
    row = job.run.step(35.01)
    assert (row["phase"], row["segment"]) == ("wait", 1)


def test_a_lost_hub_of_a_job_without_checkpoints_ends_its_run(begin: Begin) -> None:
    job = Running(begin(), 24.0)
    job.step(34.9)
    row = job.run.step(35.0)
    assert (row["phase"], row["outcome"]) == ("destroy", "failed")


def test_a_container_that_is_on_its_engines_books_alone_does_not_keep_a_hub_alive(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(34.9)
    left = [
        Resource(
            "local", "container", "podman:c1", job.run.lease.run, f"{job.run.lease.run}-h1", None, "", None
        )
    ]
    monkeypatch.setattr(LocalCloud, "list", lambda *_, **__: left)
    assert job.run.step(34.9 + 10 / 3600)["interruption"] == "lost"


def test_a_hub_whose_clock_is_hours_off_is_not_taken_for_lost(begin: Begin) -> None:
    job = Running(begin(), 24.0)
    for minute in range(3):
        job.run.clock.at = MIDNIGHT - 5 * HOUR
        job.says("running")
        assert job.run.step(30 + minute / 60)["phase"] == "run"


@pytest.mark.parametrize("hours", [-6, 6])
def test_a_hub_is_not_taken_for_lost_because_the_clock_here_was_set(begin: Begin, hours: int) -> None:
    job = Running(begin(), 24.0)
    job.step(30.0)
    job.run.clock.wrong_by = hours * HOUR
    assert job.run.step(30.0)["phase"] == "run"
    job.run.clock.wrong_by = timedelta()
    assert job.run.step(35.0)["phase"] == "destroy"


def test_a_hub_that_is_over_its_time_by_the_clock_here_alone_is_no_end_of_its_run(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.0)
    job.run.clock.wrong_by = 2000 * HOUR
    row = job.run.step(30.0)
    assert (row["phase"], row["outcome"], row["interruption"]) == ("destroy", None, "lost")


def test_a_hub_that_ends_because_its_clock_was_set_forward_is_lost_not_expired(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.0)
    job.says("expired", reason=f"{CLOCK_SET}, 7000 s before the hub's time to live ended")
    row = job.run.step(30.1)
    assert (row["outcome"], row["interruption"]) == (None, "lost")


def test_hubs_follow_each_other_by_number_though_the_clock_was_set_back(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    run, name = job.run, job.run.lease.run
    first = dict(run.ledger.hubs(name)[0])
    del first["run"]
    for number in range(2, 12):
        made = {**first, "hub": f"{name}-h{number}", "created_at": first["created_at"] - 3600 * number}
        run.ledger.intend_hub(run.lease, made, ("hub", ""))
    hubs = [hub["hub"] for hub in run.ledger.hubs(name)]
    assert hubs == [f"{name}-h{number}" for number in range(1, 12)]


def test_a_hub_was_there_while_it_was_metered_whatever_the_clock_showed_as_it_came_and_went() -> None:
    metered = [{"at": 1000.0, "seconds": 5.0}, {"at": 1005.0, "seconds": 5.0}]
    set_back = {"created_at": 4600.0, "gone_at": 4600.0}
    assert lifetime(set_back, metered) == {"created_at": 995.0, "gone_at": 4600.0}
    assert lifetime({"created_at": 990.0, "gone_at": 990.0}, metered) == {
        "created_at": 990.0,
        "gone_at": 1005.0,
    }
    assert lifetime(set_back, []) == set_back


def test_a_stop_is_stronger_than_the_segments_end(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.2, low(50, 5.0))
    job.run.ledger.desire(job.run.lease.run, "stop", "harchos destroy")
    job.step(30.3)
    assert job.asked()["want"] == "stop"
    job.says("stopped", reason="harchos destroy")
    row = job.run.step(30.31)
    assert (row["phase"], row["outcome"]) == ("destroy", "stopped")


def test_each_move_is_recorded_with_its_price(begin: Begin) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(30.2, low(50, 5.0))
    (moved,) = job.run.events("moved")
    assert moved.startswith("expected -")
    assert "kgCO2e" in moved
    assert "USD" in moved


@pytest.mark.parametrize(
    "reason", ["the agent's guard was killed", "the agent's worker was killed by SIGKILL; and more"]
)
def test_a_hub_whose_agent_was_killed_is_lost_not_failed(begin: Begin, reason: str) -> None:
    job = Running(begin(**PAUSABLE), 24.0)
    job.step(34.9)
    job.says("failed", reason=reason)
    row = job.run.step(34.95)
    assert (row["phase"], row["interruption"], row["outcome"]) == ("destroy", "lost", None)


def test_a_hub_that_is_gone_is_not_destroyed_again_because_its_mailbox_is_away(begin: Begin) -> None:
    job = paused(begin)
    job.run.step(30.31)
    run, box = job.run.lease.run, Path(urlsplit(local_root()).path)
    (box / run / f"{run}-h1").rename(box / "away")
    (box / run / f"{run}-h1").write_text("out of reach")
    assert job.run.step(30.32)["phase"] == "destroy"
    assert job.run.said[-1][0] == "mailbox"
    (box / run / f"{run}-h1").unlink()
    (box / "away").rename(box / run / f"{run}-h1")
    assert job.run.step(30.33)["phase"] == "wait"
    destroyed = [op for op in job.run.ledger.operations(run) if op["phase"] == "destroy"]
    assert [op["state"] for op in destroyed] == ["done"]


def refusing(begin: Begin, monkeypatch: pytest.MonkeyPatch, code: Code) -> Waiting:
    """Begin a run whose hubs cannot be made."""

    def refuse(*_: object) -> NoReturn:
        raise ProvisionError("no", hint=None, code=code, elsewhere=False)

    monkeypatch.setattr(Provisioner, "create", refuse)
    run = begin(**PAUSABLE)
    assert run.step(24.0)["phase"] == "provision"
    return run


def test_a_terraform_that_was_killed_is_started_again_three_times_at_most(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = refusing(begin, monkeypatch, "crash")
    assert [run.step(24.0)["phase"] for _ in range(3)] == ["provision", "provision", "destroy"]
    assert len(run.ledger.hubs(run.lease.run)) == 1
    assert run.row()["outcome"] == "failed"


def test_a_hub_whose_agent_dies_as_it_begins_is_made_anew_three_times_at_most(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = refusing(begin, monkeypatch, "agent")
    phases = []
    while run.row()["outcome"] is None:
        phases.append(run.step(24.0)["phase"])
    assert phases.count("wait") == 2
    assert len(run.ledger.hubs(run.lease.run)) == 3


def test_a_call_that_died_with_its_owner_is_no_hub_that_could_not_be_made(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = refusing(begin, monkeypatch, "agent")
    run.step(24.0)
    while run.row()["phase"] != "provision":
        run.step(24.0)
    run.ledger.intend(run.lease, "provision", {"hub": f"{run.lease.run}-h2"})
    row = run.step(24.0)
    assert (row["phase"], row["outcome"], row["interruption"]) == ("destroy", None, "lost")


def test_a_cloud_that_refuses_is_not_asked_again(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = refusing(begin, monkeypatch, "quota")
    row = run.step(24.0)
    assert (row["phase"], row["outcome"]) == ("destroy", "failed")


def of_two_nodes(begin: Begin) -> tuple[Running, Mailbox]:
    job = Running(begin(replicas=2, **PAUSABLE), 24.0)
    follower = Mailbox(local_root(), job.run.lease.run, f"{job.box.hub}-n1")
    follower.put_json("heartbeat.json", {"at": "", "seq": 1, "phase": "running"})
    return job, follower


def test_a_hub_lives_while_each_of_its_nodes_does(begin: Begin) -> None:
    job, follower = of_two_nodes(begin)
    for beat, hour in ((2, 34.9), (3, 35.0)):
        follower.put_json("heartbeat.json", {"at": "", "seq": beat, "phase": "running"})
        assert job.step(hour)["phase"] == "run"


def test_a_node_that_falls_silent_takes_the_hub_with_it(begin: Begin) -> None:
    job, _ = of_two_nodes(begin)
    assert job.step(34.9)["phase"] == "run"
    job.saves(1)
    row = job.step(35.0)
    assert (row["phase"], row["interruption"]) == ("destroy", "lost")
    assert any("lost: node 1 has been silent for 360 s" in detail for _, detail in job.run.said)


@pytest.mark.parametrize(
    "reason", ["the agent's worker was killed by SIGKILL", "the agent's guard was killed"]
)
def test_a_node_whose_agent_was_killed_takes_the_hub_with_it(begin: Begin, reason: str) -> None:
    job, follower = of_two_nodes(begin)
    follower.put_json("status.json", {"phase": "failed", "reason": reason})
    row = job.step(34.9)
    assert (row["phase"], row["interruption"]) == ("destroy", "lost")


def test_a_hub_whose_leader_has_lost_a_node_is_lost_not_failed(begin: Begin) -> None:
    job, _ = of_two_nodes(begin)
    job.says("failed", reason="node 1 was lost: it does not answer")
    row = job.run.step(34.9)
    assert (row["phase"], row["interruption"], row["outcome"]) == ("destroy", "lost", None)


def test_work_of_more_nodes_counts_for_more(begin: Begin) -> None:
    scaled = {"minNodes": 1, "maxNodes": 2, "throughput": [1, 1.5]}
    job = Running(begin(scaling=scaled, **PAUSABLE), 24.0)
    place = dict(job.run.row()["segments"][0])
    workload = begun_workload(job.run.ledger.plan(job.run.lease.run))
    shares = [
        left_share(
            workload,
            catalog_for(workload),
            Calibration({}),
            [Worked({**place, "nodes": n}, 36000.0, 0.0)],
            MIDNIGHT,
        )
        for n in (1, 2)
    ]
    assert (1 - shares[1]) / (1 - shares[0]) == pytest.approx(1.5)
