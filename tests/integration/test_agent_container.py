"""The agent with a real container engine: same job, same end, nothing left in the engine either."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent import Hub
from support.machine import processes_of, survivors


def _answers(engine: str) -> bool:
    asked = [engine, "info"]
    return (
        bool(shutil.which(engine)) and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


ENGINES = [engine for engine in ("podman", "docker") if _answers(engine)]
pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(not ENGINES, reason="neither podman nor docker answers on this machine"),
]


@pytest.fixture
def hub(tmp_path: Path, agent: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path, agent)
    yield hub
    stopped = hub.stop()
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert survivors(hub.hub) == []


def test_a_job_runs_in_a_hardened_container_with_this_machines_python(hub: Hub) -> None:
    script = (
        'echo "uid $(id -u)"; touch /usr/x 2>/dev/null || echo read-only; grep CapEff /proc/self/status; '
        'python -c "import numpy, sys; print(sys.prefix)"; env; '
        'echo 42 > "$HARCHOS_OUTPUT_DIR/answer"; echo 7 > "$HARCHOS_CHECKPOINT_DIR/step"'
    )
    checkpoint = {"path": "ckpt", "interval_s": None, "grace_s": 1.0, "command": None}
    resources = {"cpus": 1.0, "memory_gib": 1.0, "gpus": 1}
    hub.mailbox.put_json("secrets.json", {"TOKEN": "s3cr3t-value", "HOME": "/tmp/h"})
    hub.shell(
        script,
        engine=ENGINES[0],
        checkpoint=checkpoint,
        resources=resources,
        env={"LINES": "one\ntwo"},
        secret_names=["TOKEN", "HOME"],
    )
    hub.start()
    status = hub.wait_end()
    log = hub.log()
    assert status["phase"] == "succeeded", log
    assert status["runner"] == ENGINES[0] and "own Python" in status["runner_detail"]
    assert "uid 1000\nread-only\nCapEff:\t0000000000000000\n" in log
    assert f"HARCHOS_HUB={hub.hub}" in log and "LINES=one\ntwo" in log
    assert "TOKEN=***" in log and "s3cr3t" not in log and "HOME=***" in log
    assert hub.mailbox.get("outputs/answer") == b"42\n"
    assert hub.mailbox.get("checkpoints/00000001/step") == b"7\n"
    assert sum(line["cpu_joules"] for line in hub.power()) > 0


def test_values_are_on_no_command_line_while_the_container_runs(hub: Hub) -> None:
    hub.mailbox.put_json("secrets.json", {"TOKEN": "s3cr3t-value"})
    hub.shell("echo up; sleep 1000", engine=ENGINES[0], secret_names=["TOKEN"])
    hub.start()
    hub.wait_log("up")
    lines = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True).stdout
    assert hub.hub in lines and "s3cr3t-value" not in lines


def test_sigterm_reaches_a_job_that_has_no_handler_and_one_that_saves(hub: Hub) -> None:
    script = "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    hub.shell(script, engine=ENGINES[0], grace_s=20.0)
    hub.start()
    hub.wait_log("up")
    assert hub.stop(grace_s=20).returncode == 0
    assert "saved" in hub.log()
    assert hub.status()["phase"] == "stopped"
    hub.job("sleep", "1000", engine=ENGINES[0], grace_s=20.0)
    hub.start()
    hub.wait_phase("running")
    hub.wait(lambda: any("container" in left for left in survivors(hub.hub)), "the container")
    assert hub.stop(grace_s=20).returncode == 0
    assert hub.status()["exit_code"] == 128 + signal.SIGTERM


def test_a_stop_that_comes_before_the_container_is_up_reaches_the_job_all_the_same(hub: Hub) -> None:
    hub.job("sleep", "1000", engine=ENGINES[0], grace_s=20.0)
    hub.start()
    hub.wait_phase("running")
    assert hub.stop(grace_s=20).returncode == 0
    assert hub.status()["exit_code"] == 128 + signal.SIGTERM


def test_a_killed_agent_leaves_no_container(hub: Hub) -> None:
    hub.shell("setsid sleep 1000 & echo up; sleep 1000", engine=ENGINES[0])
    hub.start()
    hub.wait_log("up")
    os.kill(hub.pid_of("worker"), signal.SIGKILL)
    assert hub.wait_end()["phase"] == "failed"
    hub.wait(lambda: not processes_of(hub.hub), "the end of the hub's processes")


def test_both_halves_of_the_agent_killed_the_engine_ends_the_container_at_its_time(hub: Hub) -> None:
    if ENGINES[0] != "podman":
        pytest.skip("docker cannot limit the time of a container: the sweep finds it")
    hub.shell("echo up; sleep 1000", engine="podman")
    hub.start(ttl_s=60)
    hub.wait_log("up")
    pids = [hub.pid_of(which) for which in ("guard", "worker")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    named = subprocess.run(
        ["podman", "ps", "--quiet", "--filter", f"label=harchos:hub={hub.hub}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    shown = ["podman", "inspect", "--format", "{{.Config.Timeout}}", named]
    assert 30 < int(subprocess.run(shown, capture_output=True, text=True, check=True).stdout) <= 75
    assert hub.stop().returncode == 0
    assert survivors(hub.hub) == []


def test_an_image_that_cannot_be_had_fails_or_is_stood_in_for_as_the_policy_says(hub: Hub) -> None:
    missing = "registry.invalid/no/such:image"
    hub.shell("true", engine=ENGINES[0], image=missing, image_policy="exact")
    hub.start()
    status = hub.wait_end()
    assert status["phase"] == "failed" and missing in status["reason"]
    hub.stop()
    hub.shell("true", engine=ENGINES[0], image=missing, image_policy="exact-or-host")
    hub.start()
    assert hub.ready().returncode == 0
    status = hub.wait_end()
    assert status["phase"] == "succeeded" and missing in status["runner_detail"]


def test_a_service_in_a_container_is_reached_on_this_machine(hub: Hub, free_port: int) -> None:
    hub.job(
        *("python", "-m", "http.server", str(free_port), "--bind", "127.0.0.1"),
        engine=ENGINES[0],
        service={"port": free_port, "health_path": "/", "initial_delay_s": 0.0, "period_s": 0.1},
    )
    hub.start()
    status = hub.wait_phase("ready")
    assert status["endpoint"] == f"http://127.0.0.1:{free_port}"


def test_an_engine_that_is_not_there_is_said_and_auto_goes_on_without(hub: Hub) -> None:
    absent = next((name for name in ("docker", "podman") if name not in ENGINES), None)
    if absent is None:
        pytest.skip("both engines answer here")
    hub.shell("true", engine=absent)
    hub.start()
    status = hub.wait_end()
    assert status["phase"] == "failed" and absent in status["reason"]
