"""The whole road as a user walks it: plan, apply, watch, interrupt, report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

TALKING = "echo hello from the job; echo result > $HARCHOS_OUTPUT_DIR/answer.txt"


def test_a_job_runs_its_log_is_streamed_and_its_outputs_come_back(road: Road) -> None:
    done = road.harchos("apply", road.workload(TALKING), "--yes")
    assert done.returncode == 0, done.stderr
    assert "hello from the job" in done.stdout
    row = road.run_row()
    assert (row["phase"], row["outcome"]) == ("done", "succeeded")
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").read_text() == "result\n"
    assert "hello from the job" in road.harchos("logs").stdout
    assert road.left() == []


def test_the_user_is_told_how_the_job_is_run(road: Road) -> None:
    done = road.harchos("apply", road.workload(TALKING), "--yes")
    assert "supervised process" in done.stdout + done.stderr


def test_power_is_measured_or_modelled_for_the_whole_life_of_the_hub(road: Road) -> None:
    assert road.harchos("apply", road.workload("sleep 3"), "--yes").returncode == 0
    report = json.loads(road.harchos("report", "--format", "json").stdout)
    assert report["schema"] == "harchos.report/1"
    lines = [json.loads(line) for line in (road.home / "runs").glob("*/power.jsonl").__next__().open()]
    assert sum(line["seconds"] for line in lines) >= 3
    assert all(line["basis"] in ("measured", "modelled") for line in lines)
    assert sum(line["joules"] for line in lines) > 0


@pytest.mark.container
def test_the_same_job_runs_in_a_container(container_road: Road) -> None:
    road = container_road
    done = road.harchos("apply", road.workload(TALKING + "; cat /proc/1/cgroup; id -u"), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "podman" in done.stdout + done.stderr
    row = road.run_row()
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").read_text() == "result\n"
    assert road.left() == []


@pytest.mark.container
def test_a_container_is_gone_after_an_interrupt(container_road: Road) -> None:
    road = container_road
    apply = road.start("apply", road.workload("trap '' TERM; sleep 600"), "--yes")
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGINT)
    time.sleep(1)
    os.kill(apply.pid, signal.SIGINT)
    apply.communicate(timeout=90)
    assert apply.returncode == 130
    assert road.left() == []


def test_a_job_that_exits_1_is_a_failed_run_and_its_outputs_are_kept(road: Road) -> None:
    done = road.harchos("apply", road.workload(TALKING + "; exit 1"), "--yes")
    assert done.returncode == 4
    row = road.run_row()
    assert row["outcome"] == "failed"
    assert "1" in row["reason"]
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").exists()
    assert road.left() == []


def test_ctrl_c_stops_the_job_and_takes_the_hub_down(road: Road) -> None:
    apply = road.start(
        "apply", road.workload("trap 'echo saving; exit 0' TERM; while :; do sleep 0.1; done"), "--yes"
    )
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGINT)
    out, _ = apply.communicate(timeout=60)
    assert apply.returncode == 130
    assert "saving" in out
    assert road.run_row()["outcome"] == "stopped"
    assert road.left() == []


def test_destroy_from_another_terminal_ends_the_run(road: Road) -> None:
    apply = road.start("apply", road.workload("sleep 600"), "--yes")
    road.wait_for(road.job_runs)
    name = road.run_row()["run"]
    assert road.harchos("destroy", name, "--yes").returncode == 0
    apply.communicate(timeout=60)
    assert road.run_row()["outcome"] == "stopped"
    assert road.left() == []


SECRET = "s3cr3t-4f1e9a-value"


def arguments_of_all_processes() -> bytes:
    """Return every command line on this machine; processes that end meanwhile have none."""
    found = b""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += entry.read_bytes()
    return found


def test_secrets_appear_nowhere(road: Road) -> None:
    file = road.workload(
        'echo "the key is $API_KEY and $DB"; test ${#API_KEY} = 19 && test ${#DB} = 20; sleep 1',
        env=[{"name": "API_KEY", "value": SECRET}],
        secrets=[{"name": "DB", "env": "DB_FROM_HERE"}],
    )
    plan = road.work / "plan.json"
    made = road.harchos("plan", file, "--out", plan, DB_FROM_HERE=SECRET + "2")
    assert made.returncode == 0, made.stderr
    apply = road.start("apply", plan, "--yes", DB_FROM_HERE=SECRET + "2")
    arguments = b""
    while apply.poll() is None:
        arguments += arguments_of_all_processes()
        time.sleep(0.05)
    out, _ = apply.communicate()
    assert apply.returncode == 0, out
    assert SECRET.encode() not in arguments
    shown = made.stdout + out + road.harchos("logs").stdout
    for format in ("table", "json", "markdown", "html"):
        shown += road.harchos("report", "--format", format).stdout
    assert "the key is *** and ***" in shown
    assert SECRET not in shown
    holding = [
        path
        for path in [*road.home.rglob("*"), plan]
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert holding == []
    assert road.left() == []


def others_can_read(path: Path, home: Path) -> bool:
    """Return whether another user may read a file: its own mode, and a way to it through `home`'s folders."""
    folders = [folder for folder in path.parents if folder.is_relative_to(home)]
    return bool(path.stat().st_mode & 0o044) and all(folder.stat().st_mode & 0o011 for folder in folders)


def test_plans_states_and_the_ledger_are_for_their_owner_only(road: Road) -> None:
    plan = road.work / "plan.json"
    umask = os.umask(0)
    try:
        assert road.harchos("plan", road.workload("true"), "--out", plan).returncode == 0
        assert road.harchos("apply", plan, "--yes").returncode == 0
    finally:
        os.umask(umask)
    states = [path for path in road.home.rglob("terraform.tfstate*") if path.is_file()]
    private = [plan, *road.home.glob("ledger.db*"), *states]
    assert {path.name for path in private} >= {"plan.json", "ledger.db", "terraform.tfstate"}
    files = [path for path in road.home.rglob("*") if path.is_file()]
    assert [path for path in files if others_can_read(path, road.home)] == []


def test_a_missing_secret_is_an_error_before_anything_is_created(road: Road) -> None:
    file = road.workload("true", secrets=[{"name": "DB", "env": "NOT_SET_HERE"}])
    done = road.harchos("apply", file, "--yes")
    assert done.returncode == 1
    assert "NOT_SET_HERE" in done.stderr
    assert "Traceback" not in done.stderr
    assert road.status()["runs"] == []


def test_without_a_zone_the_local_cloud_asks_for_it(road: Road) -> None:
    assert road.harchos("config", "unset", "local.zone").returncode == 0
    done = road.harchos("apply", road.workload("true"), "--yes")
    assert done.returncode == 1
    assert "harchos config set local.zone" in done.stderr


def test_a_changed_workload_makes_its_plan_stale(road: Road) -> None:
    plan = road.work / "plan.json"
    assert road.harchos("plan", road.workload("true"), "--out", plan).returncode == 0
    road.workload("echo changed")
    done = road.harchos("apply", plan, "--yes")
    assert done.returncode == 1
    assert "changed" in done.stderr
    assert road.status()["runs"] == []


def test_no_answer_is_no_consent(road: Road) -> None:
    done = road.harchos("apply", road.workload("true"))
    assert done.returncode != 0
    assert road.status()["runs"] == []


def test_a_plan_for_a_cloud_is_rehearsed_here_and_says_so(road: Road) -> None:
    file = road.workload(
        TALKING,
        name="rented",
        resources={"gpu": {"count": 1, "type": ["L4"]}},
        placement={"providers": ["aws"]},
        deadline="36h",
    )
    plan = road.work / "plan.json"
    assert road.harchos("plan", file, "--out", plan).returncode == 0
    segment = json.loads(plan.read_text())["chosen"]["segments"][0]
    refused = road.harchos("apply", plan, "--yes")
    assert refused.returncode == 1
    assert "--rehearse" in refused.stderr
    done = road.harchos("apply", plan, "--rehearse", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rehearsal" in done.stderr
    row = road.run_row()
    assert row["rehearsal"] is True
    assert row["place"] == f"aws/{segment['region']}"
    for format in ("table", "json", "markdown", "html"):
        assert "rehearsal" in road.harchos("report", "--format", format).stdout.lower()
    report = json.loads(road.harchos("report", "--format", "json").stdout)
    assert segment["zone"] in json.dumps(report)
    assert road.left() == []


def test_a_run_that_waits_for_its_hour_has_no_hub_and_can_be_stopped(road: Road) -> None:
    later = (datetime.now(UTC) + timedelta(hours=3)).isoformat(timespec="seconds")
    apply = road.start("apply", road.workload("true", earliestStart=later, deadline="12h"), "--yes")
    road.wait_for(lambda: [row["phase"] for row in road.ledger.runs()] == ["wait"])
    assert road.marked() == []
    os.kill(apply.pid, signal.SIGINT)
    apply.communicate(timeout=30)
    assert apply.returncode == 130
    row = road.run_row()
    assert (row["phase"], row["outcome"], row["hubStates"]) == ("done", "stopped", {})
