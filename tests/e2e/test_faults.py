"""What goes wrong on the road: killed processes, hanging jobs, lost ledgers, bad Terraforms, full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

TALKING = "echo hello from the job; echo result > $HARCHOS_OUTPUT_DIR/answer.txt"


def test_a_second_ctrl_c_does_not_wait_for_a_job_that_ignores_sigterm(road: Road) -> None:
    apply = road.start("apply", road.workload("trap '' TERM; while :; do sleep 0.1; done"), "--yes")
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGINT)
    time.sleep(1)
    os.kill(apply.pid, signal.SIGINT)
    apply.communicate(timeout=90)
    assert apply.returncode == 130
    assert road.left() == []


def test_grandchildren_in_a_session_of_their_own_go_with_the_hub(road: Road) -> None:
    done = road.harchos("apply", road.workload("setsid sh -c 'sleep 600' & sleep 1"), "--yes")
    assert done.returncode == 0, done.stderr
    assert road.left() == []


def test_the_ttl_ends_a_job_that_hangs(road: Road) -> None:
    done = road.harchos("apply", road.workload("sleep 600", duration="2s", ttl="6s"), "--yes")
    assert done.returncode == 4, done.stdout + done.stderr
    assert road.run_row()["outcome"] == "expired"
    assert road.left() == []


def test_the_ttl_holds_when_the_controller_is_dead(road: Road) -> None:
    apply = road.start("apply", road.workload("sleep 600", duration="2s", ttl="25s"), "--yes")
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGKILL)
    apply.communicate()
    road.wait_for(lambda: road.marked() == [], patience_s=60)
    assert road.harchos("sweep", "--yes").returncode == 0
    assert road.run_row()["outcome"] == "expired"
    assert road.left() == []


def test_a_killed_apply_is_taken_up_by_the_next_one(road: Road) -> None:
    plan = road.work / "plan.json"
    marker = road.work / "started"
    file = road.workload(f"echo x >> {marker}; sleep 12; {TALKING}")
    assert road.harchos("plan", file, "--out", plan).returncode == 0
    first = road.start("apply", plan, "--yes")
    road.wait_for(marker.exists)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert road.marked() != [], "a dead controller must not touch a healthy hub"
    second = road.harchos("apply", plan, "--yes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "taking up" in second.stderr
    assert marker.read_text() == "x\n", "the job ran once"
    row = road.run_row()
    assert row["outcome"] == "succeeded"
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").exists()
    assert road.left() == []


def test_a_killed_apply_of_a_workload_file_is_taken_up_too(road: Road) -> None:
    marker = road.work / "started"
    file = road.workload(f"echo x >> {marker}; sleep 12")
    first = road.start("apply", file, "--yes")
    road.wait_for(marker.exists)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    second = road.harchos("apply", file, "--yes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "taking up" in second.stderr
    assert marker.read_text() == "x\n", "the job ran once"
    assert road.left() == []


def test_what_a_killed_apply_left_is_swept_and_what_the_job_saved_is_kept(road: Road) -> None:
    saved = "trap 'echo late > $HARCHOS_OUTPUT_DIR/late.txt; exit 0' TERM; while :; do sleep 0.1; done"
    apply = road.start("apply", road.workload(saved), "--yes")
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGKILL)
    apply.communicate()
    swept = road.harchos("sweep", "--yes")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    row = road.run_row()
    assert (row["phase"], row["outcome"]) == ("done", "stopped")
    assert (road.home / "runs" / row["run"] / "outputs" / "late.txt").read_text() == "late\n"
    assert road.left() == []


def test_sweep_leaves_a_run_with_a_live_owner_alone(road: Road) -> None:
    apply = road.start("apply", road.workload("sleep 5"), "--yes")
    road.wait_for(road.job_runs)
    assert "nothing to sweep" in road.harchos("sweep", "--yes").stderr
    apply.communicate(timeout=60)
    assert apply.returncode == 0


def test_a_hub_whose_processes_all_die_is_a_failed_run(road: Road) -> None:
    apply = road.start("apply", road.workload("sleep 600"), "--yes")
    road.wait_for(road.job_runs)
    for pid in road.marked():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    out, _ = apply.communicate(timeout=90)
    assert apply.returncode == 4, out
    assert road.run_row()["outcome"] == "failed"
    assert road.left() == []


def test_the_ledger_lost_the_hub_is_still_found_by_its_marks(road: Road) -> None:
    apply = road.start("apply", road.workload("sleep 600"), "--yes")
    road.wait_for(road.job_runs)
    os.kill(apply.pid, signal.SIGKILL)
    apply.communicate()
    for part in road.home.glob("ledger.db*"):
        part.unlink()
    swept = road.harchos("sweep", "--yes")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert road.marked() == []
    subprocess.run(["rm", "-rf", road.home / "hubs"], check=True)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('#!/bin/sh\necho \'{"terraform_version": "0.11.0"}\'\n', "0.11.0"),
        ("#!/bin/sh\nexit 3\n", "terraform"),
    ],
    ids=["too old", "broken"],
)
def test_a_terraform_that_will_not_do_is_named(road: Road, script: str, says: str) -> None:
    binary = road.work / "terraform"
    binary.write_text(script)
    binary.chmod(0o755)
    assert road.harchos("config", "set", "terraform.binary", str(binary)).returncode == 0
    done = road.harchos("apply", road.workload("true"), "--yes")
    assert done.returncode == 1
    assert road.status()["runs"] == []
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert road.left() == []


def test_terraform_failing_half_way_leaves_no_hub(road: Road) -> None:
    real = subprocess.run(["sh", "-c", "command -v terraform"], capture_output=True, text=True).stdout.strip()
    if not real:
        pytest.skip("no terraform on PATH")
    binary = road.work / "terraform"
    binary.write_text(f'#!/bin/sh\n{real} "$@"\nstatus=$?\n[ "$1" = apply ] && exit 1\nexit $status\n')
    binary.chmod(0o755)
    assert road.harchos("config", "set", "terraform.binary", str(binary)).returncode == 0
    done = road.harchos("apply", road.workload("sleep 600"), "--yes")
    assert done.returncode == 4, done.stdout + done.stderr
    assert road.run_row()["outcome"] == "failed"
    assert road.left() == []


def test_a_full_disk_is_an_error_and_the_hub_goes(road: Road, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
    try:
        full = Road(small, road.work, "none")
        assert full.harchos("config", "set", "local.zone", "DE").returncode == 0
        assert full.harchos("config", "set", "local.engine", "none").returncode == 0
        writes = "head -c 20000000 /dev/zero > $HARCHOS_OUTPUT_DIR/big; echo status $?; sleep 2"
        done = full.harchos("apply", full.workload(writes, name="big", duration="5s", ttl="30s"), "--yes")
        assert "Traceback" not in done.stderr
        assert done.returncode != 0
        full.wait_for(lambda: full.marked() == [], patience_s=60)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
