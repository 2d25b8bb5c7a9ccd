"""The agent in the foreground, as systemd runs it on a rented machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.agent import PATIENCE_S, Hub
from support.fake_metadata import FakeMetadata
from support.machine import survivors

SAVES = (
    "trap 'echo saved > \"$HARCHOS_CHECKPOINT_DIR/state\"; exit 0' TERM; echo on; while :; do sleep 0.1; done"
)
CHECKPOINT = {"path": "saved", "interval_s": None, "grace_s": 10.0, "command": None}


@pytest.fixture
def hub(tmp_path: Path, agent: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path, agent)
    yield hub
    hub.stop()
    assert survivors(hub.hub) == []


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMetadata]:
    with FakeMetadata("aws") as fake:
        monkeypatch.setenv("HARCHOS_METADATA", fake.url)
        yield fake


def run(hub: Hub, ttl_s: float = 60.0) -> subprocess.Popen[str]:
    expires = (datetime.now(UTC) + timedelta(seconds=ttl_s)).isoformat()
    return subprocess.Popen(
        [
            *(sys.executable, str(hub.agent), "run", "--cloud", "aws", "--mailbox", hub.store.as_uri()),
            *("--run", hub.run, "--hub", hub.hub, "--expires", expires, "--dir", str(hub.directory)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("script", "ttl_s", "phase", "code"),
    [
        ("exit 0", 60.0, "succeeded", 0),
        ("exit 7", 60.0, "failed", 1),
        ("sleep 600", 20.0, "expired", 4),
    ],
)
def test_the_exit_code_says_how_the_job_ended(
    hub: Hub, metadata: FakeMetadata, script: str, ttl_s: float, phase: str, code: int
) -> None:
    hub.shell(script)
    assert run(hub, ttl_s).wait(PATIENCE_S) == code
    assert hub.status()["phase"] == phase


def test_sigterm_saves_the_job_before_it_ends(hub: Hub, metadata: FakeMetadata) -> None:
    hub.shell(SAVES, checkpoint=CHECKPOINT)
    agent = run(hub)
    hub.wait_log("on")
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(PATIENCE_S) == 3
    assert hub.status()["reason"] == "the hub was asked to stop"
    assert hub.mailbox.get("checkpoints/00000001/state") == b"saved\n"


def test_a_spot_notice_saves_the_job_before_it_ends(hub: Hub, metadata: FakeMetadata) -> None:
    hub.shell(SAVES, checkpoint=CHECKPOINT)
    agent = run(hub)
    hub.wait_log("on")
    metadata.take_back(in_s=60.0)
    assert agent.wait(PATIENCE_S) == 3
    assert hub.status()["reason"].startswith("spot notice: AWS takes")
    assert hub.mailbox.get("checkpoints/00000001/state") == b"saved\n"


def test_what_is_supervised_is_the_guard_itself(hub: Hub, metadata: FakeMetadata) -> None:
    hub.shell("sleep 600")
    agent = run(hub)
    hub.wait_phase("running")
    assert hub.pid_of("guard") == agent.pid
    agent.kill()
    agent.wait(PATIENCE_S)
    assert hub.wait_end()["reason"] == "the agent's guard was killed"


def test_a_directory_in_use_is_left_alone(hub: Hub, metadata: FakeMetadata) -> None:
    hub.shell("sleep 600")
    agent = run(hub)
    hub.wait_phase("running")
    second = run(hub)
    assert second.wait(PATIENCE_S) == 1
    assert second.stdout and f"is in use by the agent of hub {hub.hub}" in second.stdout.read()
    assert agent.poll() is None
    os.kill(agent.pid, signal.SIGTERM)
    agent.wait(PATIENCE_S)
