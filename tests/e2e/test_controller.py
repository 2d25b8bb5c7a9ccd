"""Runs in the hands of controllers: detached, watched, cancelled, crashed over, shared, and queued."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HARCHOS, Road
from tests.support.postgres import postgres_server

ONCE = "echo $HARCHOS_RUN >> {marks}; sleep {seconds}; echo done > $HARCHOS_OUTPUT_DIR/answer.txt"

Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def controller(road: Road) -> Iterator[Start]:
    """Start controllers; what still lives at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(road.start("controller"))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def once(road: Road, name: str, seconds: float = 1.0) -> Path:
    """Write a workload that says in a file how often it was begun."""
    return road.workload(ONCE.format(marks=road.work / "marks", seconds=seconds), name=name)


def detach(road: Road, file: Path, *options: str) -> str:
    """Submit a workload for a controller; returns the run."""
    done = road.harchos("apply", file, "--yes", "--detach", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("run ")).split()[1]


def begun(road: Road) -> list[str]:
    """Return the runs whose jobs were begun, once for each beginning."""
    marks = road.work / "marks"
    return sorted(marks.read_text().split()) if marks.exists() else []


def rows(road: Road) -> dict[str, dict[str, Any]]:
    return {row["run"]: row for row in road.status()["runs"]}


def calls(road: Road, run: str, phase: str) -> list[str]:
    """Return how each outside call of a kind ended that a run made."""
    done = road.harchos("events", run, "--format", "json")
    events = json.loads(done.stdout)["events"]
    told = [e["detail"] for e in events if e["kind"] == "call" and e["detail"].startswith(f"{phase} of")]
    return [detail.partition(": ")[2].split(" after")[0] for detail in told]


def test_a_detached_run_is_watched_to_the_end_that_a_controller_brings_it_to(
    road: Road, controller: Start
) -> None:
    file = once(road, "job")
    told = road.harchos("apply", file, "--yes", "--detach")
    assert told.returncode == 0
    assert "no controller is running" in told.stderr
    assert road.run_row()["detached"]
    controller()
    watched = road.harchos("status", "--watch", road.run_row()["run"])
    assert watched.returncode == 0
    assert "succeeded" in watched.stdout
    row = road.run_row()
    assert (row["phase"], row["outcome"]) == ("done", "succeeded")
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").read_text() == "done\n"
    followed = road.harchos("events", row["run"], "--follow", "--format", "json")
    kinds = [json.loads(line)["kind"] for line in followed.stdout.splitlines()]
    assert kinds.count("call") == 2
    assert road.left() == []


def test_a_detached_run_is_not_swept(road: Road) -> None:
    run = detach(road, once(road, "job"))
    assert "nothing to sweep" in road.harchos("sweep", "--yes").stderr
    assert rows(road)[run]["phase"] == "wait"


def test_cancel_is_a_wish_that_the_controller_acts_on(road: Road, controller: Start) -> None:
    controller()
    saved = "trap 'echo late > $HARCHOS_OUTPUT_DIR/late.txt; exit 0' TERM; while :; do sleep 0.1; done"
    run = detach(road, road.workload(saved))
    road.wait_for(road.job_runs)
    cancelled = road.harchos("cancel", run)
    assert "is asked to stop" in cancelled.stdout
    road.wait_for(road.over)
    assert rows(road)[run]["outcome"] == "stopped"
    assert (road.home / "runs" / run / "outputs" / "late.txt").exists()
    assert "has ended already" in road.harchos("cancel", run).stderr
    assert road.left() == []


def test_a_controller_that_is_told_to_end_leaves_the_hub_and_the_next_one_goes_on(
    road: Road, controller: Start
) -> None:
    first = controller()
    run = detach(road, once(road, "job", seconds=8))
    road.wait_for(road.job_runs)
    first.terminate()
    out, _ = first.communicate(timeout=30)
    assert first.returncode == 0, out
    assert road.marked() != []
    assert rows(road)[run]["detached"]
    controller()
    road.wait_for(road.over)
    assert rows(road)[run]["outcome"] == "succeeded"
    assert begun(road) == [run]
    assert road.left() == []


@pytest.mark.parametrize("seed", [1, 2])
def test_a_controller_killed_at_random_moments_loses_and_repeats_nothing(
    road: Road, controller: Start, seed: int
) -> None:
    moments = random.Random(seed)
    runs = [detach(road, once(road, f"job{n}", seconds=3)) for n in range(3)]
    for _ in range(5):
        living = controller()
        time.sleep(moments.uniform(0.8, 4.0))
        os.kill(living.pid, signal.SIGKILL)
        living.communicate()
    controller()
    road.wait_for(road.over, patience_s=120)
    assert {run: row["outcome"] for run, row in rows(road).items()} == dict.fromkeys(runs, "succeeded")
    assert begun(road) == sorted(runs), "each job was begun once"
    for run in runs:
        assert (road.home / "runs" / run / "outputs" / "answer.txt").exists()
        assert calls(road, run, "destroy").count("done") == 1
    assert road.left() == []


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_controllers_share_a_ledger_and_do_nothing_twice(
    road: Road, controller: Start, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database == "sqlite":
        share(road, controller)
        return
    with postgres_server() as server:
        monkeypatch.setenv("HARCHOS_DATABASE_URL", server.database())
        share(road, controller)
        assert not (road.home / "ledger.db").exists()


def share(road: Road, controller: Start) -> None:
    controllers = [controller(), controller()]
    runs = [detach(road, once(road, f"job{n}")) for n in range(8)]
    road.wait_for(road.over, patience_s=180)
    assert {run: row["outcome"] for run, row in rows(road).items()} == dict.fromkeys(runs, "succeeded")
    assert begun(road) == sorted(runs)
    for run in runs:
        assert (calls(road, run, "provision"), calls(road, run, "destroy")) == (["done"], ["done"])
    assert road.left() == []
    driven = []
    for process in controllers:
        process.terminate()
        out, _ = process.communicate(timeout=30)
        driven.append({line.split()[1] for line in out.splitlines() if "taken up" in line})
    assert driven[0] & driven[1] == set()
    assert driven[0] | driven[1] == set(runs)


def test_a_controller_that_hangs_is_replaced_and_lets_go_when_it_wakes(road: Road, controller: Start) -> None:
    hung = controller()
    run = detach(road, once(road, "job", seconds=30))
    road.wait_for(road.job_runs)
    os.kill(hung.pid, signal.SIGSTOP)
    awake = controller()
    road.wait_for(lambda: road.ledger.is_owned(run) and owner(road, run) != hung.pid, patience_s=40)
    os.kill(hung.pid, signal.SIGCONT)
    road.wait_for(road.over, patience_s=90)
    assert rows(road)[run]["outcome"] == "succeeded"
    assert begun(road) == [run]
    assert (calls(road, run, "provision"), calls(road, run, "destroy")) == (["done"], ["done"])
    for process in (hung, awake):
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert road.left() == []


def owner(road: Road, run: str) -> int:
    """Return the pid of the process that drives a run."""
    return int(road.ledger.run(run)["owner"].split(":")[1])


def test_a_database_that_crashes_and_comes_back_costs_no_hub_and_no_work(
    road: Road, controller: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server() as server:
        monkeypatch.setenv("HARCHOS_DATABASE_URL", server.database())
        controller()
        run = detach(road, once(road, "job", seconds=10))
        road.wait_for(road.job_runs)
        server.stop()
        time.sleep(5)
        assert road.marked() != []
        server.start()
        road.wait_for(road.over, patience_s=90)
        assert rows(road)[run]["outcome"] == "succeeded"
        assert begun(road) == [run]
        assert road.left() == []


def test_a_limit_on_hubs_holds_runs_back_and_the_highest_priority_goes_first(
    road: Road, controller: Start
) -> None:
    assert road.harchos("config", "set", "queue.local", "1").returncode == 0
    runs = [
        detach(road, once(road, name), "--priority", priority)
        for name, priority in (("low", "0"), ("high", "9"), ("mid", "5"))
    ]
    controller()
    road.wait_for(road.over, patience_s=180)
    hubs = road.ledger.hubs()
    assert [hub["run"] for hub in hubs] == [runs[1], runs[2], runs[0]]
    assert all(after["created_at"] >= before["gone_at"] for before, after in pairwise(hubs))
    told = json.loads(road.harchos("events", runs[0], "--format", "json").stdout)["events"]
    assert "queue.local is 1" in next(e["detail"] for e in told if e["kind"] == "queue")


def test_an_ended_run_is_retried_from_its_staged_job(road: Road, controller: Start) -> None:
    controller()
    (road.work / "files").mkdir()
    (road.work / "files" / "word.txt").write_text("hello\n")
    go = road.work / "go"
    waits = f"while [ ! -e {go} ]; do sleep 0.1; done"
    file = road.workload(f"{waits}; cat word.txt > $HARCHOS_OUTPUT_DIR/word.txt", workdir="files")
    run = detach(road, file)
    assert "has not ended" in road.harchos("retry", run).stderr
    go.touch()
    road.wait_for(road.over)
    (road.work / "files" / "word.txt").write_text("other\n")
    file.unlink()
    done = road.harchos("retry", run)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = set(rows(road)) - {run}
    assert rows(road)[again]["outcome"] == "succeeded"
    assert (road.home / "runs" / again / "outputs" / "word.txt").read_text() == "hello\n"


def test_ctrl_c_on_a_terminal_asks_and_a_detached_run_goes_on(road: Road, controller: Start) -> None:
    import pty

    file = once(road, "job", seconds=6)
    main, terminal = pty.openpty()
    apply = subprocess.Popen(
        [HARCHOS, "apply", file, "--yes"],
        cwd=road.work,
        env=road.environ(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGINT)
    read_until(main, b"d, c or g?")
    os.write(main, b"d\n")
    said = read_until(main, b"harchos resume")
    assert b"no controller is running" in said
    assert apply.wait(timeout=30) == 0
    assert road.marked() != []
    controller()
    road.wait_for(road.over)
    assert road.run_row()["outcome"] == "succeeded"
    assert len(begun(road)) == 1
    os.close(main)
    assert road.left() == []


def read_until(descriptor: int, what: bytes) -> bytes:
    said = b""
    while what not in said:
        try:
            said += os.read(descriptor, 4096)
        except OSError as error:
            raise AssertionError(f"{what!r} was not said, but {said!r}") from error
    return said
