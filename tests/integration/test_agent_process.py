"""The agent with a supervised process: however a job or its agent ends, nothing of the hub is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from support.agent import Hub
from support.machine import processes_of, survivors


@pytest.fixture
def hub(tmp_path: Path, agent: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path, agent)
    yield hub
    stopped = hub.stop()
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert survivors(hub.hub) == []


def test_a_job_that_succeeds_leaves_status_log_outputs_and_power(hub: Hub) -> None:
    hub.shell('echo "to stdout"; echo "to stderr" >&2; echo 42 > "$HARCHOS_OUTPUT_DIR/answer"; sleep 0.5')
    assert hub.start().returncode == 0
    assert hub.ready().returncode == 0
    status = hub.wait_end()
    assert (status["phase"], status["exit_code"], status["attempt"]) == ("succeeded", 0, 1)
    assert status["runner"] == "process" and "supervised process" in status["runner_detail"]
    assert hub.log() == "to stdout\nto stderr\n"
    assert [item["path"] for item in hub.mailbox.get_json("outputs.json")] == ["answer"]
    assert hub.mailbox.get("outputs/answer") == b"42\n"


def test_power_intervals_are_contiguous_and_say_what_they_are(hub: Hub) -> None:
    hub.shell("sleep 1")
    hub.start()
    hub.wait_end()
    lines = hub.power()
    assert len(lines) >= 4
    for before, line in pairwise(lines):
        begin = datetime.fromisoformat(line["at"]).timestamp() - line["seconds"]
        assert begin == pytest.approx(datetime.fromisoformat(before["at"]).timestamp(), abs=0.02)
    assert all(line["joules"] == pytest.approx(line["gpu_joules"] + line["cpu_joules"]) for line in lines)
    assert {line["basis"] for line in lines} <= {"measured", "modelled"}
    assert all(line["by"] for line in lines)


def test_a_job_that_fails_says_its_exit_code_and_keeps_its_outputs(hub: Hub) -> None:
    hub.shell('echo partial > "$HARCHOS_OUTPUT_DIR/log.txt"; exit 3')
    hub.start()
    status = hub.wait_end()
    assert (status["phase"], status["exit_code"]) == ("failed", 3)
    assert "code 3" in status["reason"]
    assert hub.mailbox.get("outputs/log.txt") == b"partial\n"


def test_a_command_that_does_not_exist_fails_with_127(hub: Hub) -> None:
    hub.job("no-such-program")
    hub.start()
    assert hub.wait_end()["exit_code"] == 127
    assert "no-such-program" in hub.log()


def test_a_failed_job_is_started_again_as_often_as_it_may(hub: Hub) -> None:
    hub.shell("test -e tried && exit 0; touch tried; exit 1", max_retries=2)
    hub.start()
    status = hub.wait_end()
    assert (status["phase"], status["attempt"]) == ("succeeded", 2)


def test_the_job_sees_its_hub_and_not_the_agents_environment(hub: Hub) -> None:
    hub.shell("env | sort; pwd", env={"MODE": "fast"})
    os.environ["UNRELATED_TOKEN"] = "do-not-pass"
    try:
        hub.start()
    finally:
        del os.environ["UNRELATED_TOKEN"]
    hub.wait_end()
    lines = hub.log().splitlines()
    seen = dict(line.split("=", 1) for line in lines[:-1])
    assert (seen["HARCHOS_HUB"], seen["HARCHOS_RUN"], seen["MODE"]) == (hub.hub, hub.run, "fast")
    assert Path(seen["HARCHOS_OUTPUT_DIR"]).is_dir() and Path(seen["HARCHOS_CHECKPOINT_DIR"]).is_dir()
    assert "UNRELATED_TOKEN" not in seen
    assert lines[-1] == str(hub.directory / "work")


def test_a_job_that_hangs_is_ended_by_stop(hub: Hub) -> None:
    hub.shell("echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    assert hub.stop().returncode == 0
    assert survivors(hub.hub) == []
    assert hub.status()["phase"] == "stopped"


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(hub: Hub) -> None:
    hub.shell("trap '' TERM; echo up; while :; do sleep 1; done")
    hub.start()
    hub.wait_log("up")
    assert hub.stop(grace_s=0.5).returncode == 0
    assert survivors(hub.hub) == []
    assert hub.status()["phase"] == "stopped"


def test_a_grandchild_in_a_session_of_its_own_does_not_outlive_the_job(hub: Hub) -> None:
    hub.shell("setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & sleep 0.3; echo done")
    hub.start()
    assert hub.wait_end()["phase"] == "succeeded"
    hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")


@pytest.mark.parametrize(
    ("killed", "reason"), [(("worker",), "worker was killed by SIGKILL"), (("guard",), "guard was killed")]
)
def test_a_killed_agent_takes_the_job_along_and_says_so(hub: Hub, killed: tuple[str], reason: str) -> None:
    hub.shell("setsid sleep 1000 & echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    for which in killed:
        os.kill(hub.pid_of(which), signal.SIGKILL)
    status = hub.wait_end()
    assert status["phase"] == "failed" and reason in status["reason"]
    hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")


def test_when_guard_and_worker_are_killed_at_once_the_job_dies_too(hub: Hub) -> None:
    hub.shell("setsid sleep 1000 & echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    pids = [hub.pid_of(which) for which in ("guard", "worker")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")
    assert hub.ready(0.1).returncode == 0
    assert hub.stop().returncode == 0
    assert hub.status()["phase"] == "stopped"


def test_where_unshare_is_not_there_the_same_holds(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "setsid", "sleep", "python3"):
        (programs / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(programs))
    hub.shell("setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    assert "no pid namespace" in hub.status()["runner_detail"]
    for which in ("guard", "worker"):
        os.kill(hub.pid_of(which), signal.SIGSTOP)
    for which in ("guard", "worker"):
        os.kill(hub.pid_of(which), signal.SIGKILL)
    hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")


def test_the_time_to_live_ends_the_hub(hub: Hub) -> None:
    hub.shell("trap '' TERM; while :; do sleep 1; done", grace_s=0.5)
    hub.start(ttl_s=2.5)
    status = hub.wait_end()
    assert status["phase"] == "expired"
    hub.wait(lambda: not survivors(hub.hub), "the end of the hub")


def test_a_hub_whose_time_is_over_before_it_has_a_job_has_expired_not_failed(hub: Hub) -> None:
    hub.start(ttl_s=1.0)
    status = hub.wait_end()
    assert (status["phase"], "time to live ended" in status["reason"]) == ("expired", True)


def test_a_secret_reaches_the_job_and_neither_log_status_nor_mailbox(hub: Hub) -> None:
    secret = "p4ss-w0rd-\u00e9"
    hub.mailbox.put_json("secrets.json", {"TOKEN": secret})
    script = (
        'printf "%.5s" "$TOKEN"; sleep 1.2; printf "%s" "$TOKEN" | tail -c +6; printf "%s" "$TOKEN" | base64'
    )
    hub.shell(f'{script}; printf "%s" "$TOKEN" | wc -c', secret_names=["TOKEN"])
    hub.start()
    assert hub.wait_end()["phase"] == "succeeded"
    assert hub.log() == f"******\n{len(secret.encode())}\n"
    assert not hub.mailbox.exists("secrets.json")
    for root, _, names in os.walk(hub.store.parent):
        for name in names:
            assert secret.encode() not in Path(root, name).read_bytes(), f"{root}/{name}"


def test_a_secret_that_did_not_arrive_fails_the_job_before_it_starts(hub: Hub) -> None:
    hub.shell("echo started", secret_names=["TOKEN"])
    hub.start()
    status = hub.wait_end()
    assert status["phase"] == "failed" and "TOKEN" in status["reason"]
    assert status["job_started_at"] is None


def test_a_stopped_job_saves_a_checkpoint_from_which_the_next_hub_goes_on(hub: Hub) -> None:
    script = (
        'f="$HARCHOS_CHECKPOINT_DIR/step"; n=$(cat "$f" 2>/dev/null || echo 0); echo "from $n"; '
        'trap \'echo 41 > "$f.new"; mv "$f.new" "$f"; exit 0\' TERM; '
        '[ "$n" -gt 0 ] && exit 0; while :; do sleep 0.1; done'
    )
    checkpoint = {"path": "saved/here", "interval_s": None, "grace_s": 5.0, "command": None}
    hub.shell(script, checkpoint=checkpoint)
    hub.start()
    hub.wait_log("from 0")
    hub.mailbox.put_json("control.json", {"want": "checkpoint", "reason": "cheaper elsewhere", "at": ""})
    status = hub.wait_end()
    assert (status["phase"], status["reason"]) == ("stopped", "cheaper elsewhere")
    hub.stop()
    hub.mailbox.delete("control.json")
    hub.start()
    assert hub.ready().returncode == 0
    assert hub.wait_end()["phase"] == "succeeded"
    assert "from 41" in hub.log()


def test_a_checkpoint_command_is_run_before_the_job_is_ended(hub: Hub) -> None:
    command = ["/bin/sh", "-c", 'echo saving; echo 7 > "$HARCHOS_CHECKPOINT_DIR/step"']
    checkpoint = {"path": "ckpt", "interval_s": None, "grace_s": 3.0, "command": command}
    hub.shell("echo up; sleep 1000", checkpoint=checkpoint)
    hub.start()
    hub.wait_log("up")
    hub.stop(grace_s=3)
    assert "saving" in hub.log()
    assert hub.mailbox.get("checkpoints/00000001/step") == b"7\n"


def test_a_checkpoint_is_uploaded_at_each_interval_and_survives_a_killed_agent(hub: Hub) -> None:
    checkpoint = {"path": "ckpt", "interval_s": 0.3, "grace_s": 1.0, "command": None}
    hub.shell('echo 1 > "$HARCHOS_CHECKPOINT_DIR/step"; sleep 1000', checkpoint=checkpoint)
    hub.start()
    hub.wait(lambda: hub.mailbox.exists("checkpoints/00000001.json"), "the first checkpoint")
    os.kill(hub.pid_of("worker"), signal.SIGKILL)
    assert hub.wait_end()["phase"] == "failed"
    assert hub.mailbox.get("checkpoints/00000001/step") == b"1\n"


def test_huge_output_neither_blocks_the_job_nor_loses_its_end(hub: Hub) -> None:
    hub.shell("head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end")
    hub.start()
    assert hub.wait_end()["phase"] == "succeeded"
    sizes = [entry.size for entry in hub.mailbox.list("logs")]
    assert max(sizes) <= 1 << 20
    assert hub.log().count("x") == 30_000_000
    assert hub.log().endswith("\nthe end\n")


def test_an_output_that_is_a_link_out_of_the_directory_is_refused(hub: Hub) -> None:
    links = 'ln -s /etc/passwd "$HARCHOS_OUTPUT_DIR/passwd"; ln -s / "$HARCHOS_OUTPUT_DIR/root"'
    hub.shell(f'{links}; echo hi > "$HARCHOS_OUTPUT_DIR/ok"')
    hub.start()
    hub.wait_end()
    assert [item["path"] for item in hub.mailbox.get_json("outputs.json")] == ["ok"]
    assert [entry.name for entry in hub.mailbox.list("outputs")] == ["outputs/ok"]
    assert "passwd is not stored" in hub.log()


def test_a_mailbox_that_goes_away_and_comes_back_costs_nothing(hub: Hub) -> None:
    hub.shell("n=0; while [ ! -e enough ]; do n=$((n + 1)); echo line $n; sleep 0.1; done")
    hub.start()
    hub.wait_log("line 1")
    away = hub.store.with_name("away")
    hub.store.rename(away)
    hub.store.write_text("not a directory")
    hub.wait(lambda: "heartbeat" in hub.agent_log(), "a heartbeat that fails")
    hub.store.unlink()
    away.rename(hub.store)
    (hub.directory / "work" / "enough").touch()
    assert hub.wait_end()["phase"] == "succeeded"
    lines = [line for line in hub.log().splitlines() if not line.startswith("[harchos]")]
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]
    assert "kept on this machine" in hub.log()


def test_stop_is_idempotent_and_needs_no_record(hub: Hub) -> None:
    assert hub.stop().returncode == 0
    hub.shell("echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    (hub.directory / "agent.json").write_text('{"guard": {"pid": 1')
    (hub.directory / "hub.json").unlink()
    assert hub.stop().returncode == 0
    assert survivors(hub.hub) == []
    assert hub.stop().returncode == 0


def test_stop_spares_a_process_that_merely_has_a_recorded_pid(hub: Hub) -> None:
    bystander = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    try:
        hub.shell("true")
        hub.start()
        hub.wait_end()
        hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")
        record = json.loads((hub.directory / "agent.json").read_text())
        record["guard"]["pid"] = record["worker"]["pid"] = bystander
        (hub.directory / "agent.json").write_text(json.dumps(record))
        assert hub.stop().returncode == 0
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


def test_a_second_start_of_a_running_hub_changes_nothing_and_another_hub_is_refused(hub: Hub) -> None:
    hub.shell("echo up; sleep 1000")
    hub.start()
    hub.wait_log("up")
    guard = hub.pid_of("guard")
    assert hub.start().returncode == 0
    assert hub.pid_of("guard") == guard
    refused = hub.start(hub="other-h0")
    assert refused.returncode == 1 and "in use" in refused.stderr


def test_ready_says_why_an_agent_never_came_up(hub: Hub) -> None:
    nothing = hub.ready(0.2)
    assert nothing.returncode == 1 and "no agent was started" in nothing.stderr


def test_a_job_that_cannot_be_read_fails_with_the_field(hub: Hub) -> None:
    hub.shell("true", max_retries="many")
    hub.start()
    status = hub.wait_end()
    assert status["phase"] == "failed" and "max_retries" in status["reason"]
