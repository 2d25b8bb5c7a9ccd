"""Runs of several segments: saved, taken down, gone on elsewhere, with every step of the work done once."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

COUNTING = """\
import os, pathlib, signal, sys, time
steps = int(sys.argv[1])
saved = pathlib.Path(os.environ["HARCHOS_CHECKPOINT_DIR"], "count")
out = pathlib.Path(os.environ["HARCHOS_OUTPUT_DIR"], "steps.txt")
done = int(saved.read_text()) if saved.exists() else 0
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
while done < steps:
    if asked:
        print(f"stopped after {done}", flush=True)
        sys.exit(143)
    time.sleep(0.1)
    done += 1
    with out.open("a") as file:
        print(done, file=file)
    part = saved.with_suffix(".part")
    part.write_text(str(done))
    part.replace(saved)
print("counted", flush=True)
"""
STEPS = 150


def paused_plan(road: Road) -> Path:
    """Plan a job that is paused at least once between two regions of a replayed week."""
    (road.work / "count").mkdir()
    (road.work / "count" / "count.py").write_text(COUNTING)
    file = road.workload(
        f"exec python3 count.py {STEPS}",
        name="count",
        workdir="count",
        duration="12h",
        deadline="24h",
        interruptible=True,
        checkpoint={"grace": "10s", "restart": "5m", "sizeGiB": 0.01, "interval": "1s"},
        placement={"providers": ["aws"], "regions": ["aws/us-west-1", "aws/eu-west-2"]},
        resources={"cpu": 2, "memory": "4Gi"},
        objective="greenest",
    )
    plan = road.work / "plan.json"
    done = road.harchos("plan", file, "--now", "2022-07-17T07:30Z", "--out", plan)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(plan.read_text())["chosen"]["segments"]) > 1
    return plan


def outputs(road: Road) -> list[str]:
    return (road.home / "runs" / road.run_row()["run"] / "outputs" / "steps.txt").read_text().split()


def events(road: Road, kind: str) -> list[str]:
    report = json.loads(road.harchos("report", "--format", "json").stdout)
    return [event["detail"] for event in report["events"] if event["kind"] == kind]


@pytest.fixture
def plan(road: Road) -> Path:
    return paused_plan(road)


def test_a_paused_job_goes_on_in_the_next_segment_and_does_each_step_once(road: Road, plan: Path) -> None:
    segments = json.loads(plan.read_text())["chosen"]["segments"]
    done = road.harchos("apply", plan, "--rehearse", "--speed", "2400", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(road) == [str(n) for n in range(1, STEPS + 1)]
    hubs = json.loads(road.harchos("report", "--format", "json").stdout)["hubs"]
    assert [hub["hub"][-3:] for hub in hubs] == [f"-h{n}" for n in range(1, len(segments) + 1)]
    assert [hub["region"] for hub in hubs] == [segment["region"] for segment in segments]
    assert len(re.findall(r"\| stopped after", done.stdout)) == len(segments) - 1
    assert "counted" in road.harchos("logs").stdout
    assert road.left() == []


def test_a_controller_that_dies_at_any_moment_is_followed_by_one_that_goes_on(road: Road, plan: Path) -> None:
    apply = road.start("apply", plan, "--rehearse", "--speed", "2400", "--yes")
    moments = ("run: hub count", "destroy: paused", "wait: segment 2", "goes on from checkpoint")
    for number, moment in enumerate(moments):
        assert apply.stdout is not None
        seen = any(moment in line for line in apply.stdout)
        assert seen, f"never came to {moment!r}"
        os.kill(apply.pid, signal.SIGKILL)
        apply.communicate()
        run = road.run_row()["run"]
        if number + 1 < len(moments):
            apply = road.start("resume", run)
    assert road.harchos("resume", run).returncode == 0
    assert outputs(road) == [str(n) for n in range(1, STEPS + 1)]
    assert road.left() == []


def test_a_hub_that_is_lost_is_followed_by_one_that_goes_on_from_the_last_checkpoint(
    road: Road, plan: Path
) -> None:
    apply = road.start("apply", plan, "--rehearse", "--speed", "600", "--yes")
    mailbox = road.home / "mailbox"
    road.wait_for(lambda: any(mailbox.glob("*/*-h1/checkpoints/*.json")))
    for pid in road.marked():
        with suppress(OSError):  # of those that end with the first
            if "agent.pyz" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
    text = apply.communicate(timeout=200)[0]
    assert apply.returncode == 0, text
    assert any("the hub was lost; goes on at" in detail for detail in events(road, "phase"))
    (resumed, *_) = events(road, "resume")
    assert "goes on from checkpoint" in resumed
    first = int(outputs(road)[0])
    assert outputs(road) == [str(n) for n in range(first, STEPS + 1)]
    assert road.left() == []


def test_a_stop_while_the_run_is_paused_ends_it_there(road: Road, plan: Path) -> None:
    apply = road.start("apply", plan, "--rehearse", "--speed", "2400", "--yes")
    assert apply.stdout is not None
    assert any("wait: segment 2" in line for line in apply.stdout)
    os.kill(apply.pid, signal.SIGINT)
    apply.communicate(timeout=90)
    assert apply.returncode == 130
    row = road.run_row()
    assert (row["phase"], row["outcome"]) == ("done", "stopped")
    assert len(row["hubStates"]) == 1
    assert road.left() == []


def test_speed_is_for_rehearsals(road: Road) -> None:
    done = road.harchos("apply", road.workload("true"), "--speed", "60", "--yes")
    assert done.returncode == 1
    assert "--speed is for rehearsals" in done.stderr
