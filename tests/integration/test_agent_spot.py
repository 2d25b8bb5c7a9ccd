"""A machine that its cloud takes back: the checkpoint is in the mailbox before the machine goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.hub.checkpoints import Checkpoints
from support.agent import Hub
from support.fake_metadata import FakeMetadata

JOB = """
trap 'echo "saved in time" > saved/state; exit 0' TERM
mkdir -p saved; echo working
while :; do sleep 0.1; done
"""
CHECKPOINT = {"path": "saved", "interval_s": None, "command": None, "grace_s": 60.0}


@pytest.fixture(params=["aws", "gcp", "azure"])
def metadata(request: pytest.FixtureRequest) -> Iterator[FakeMetadata]:
    with FakeMetadata(request.param) as fake:
        yield fake


def _run(hub: Hub, metadata: FakeMetadata) -> subprocess.Popen[bytes]:
    """Start the agent as a machine's systemd does."""
    expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    words = ["run", "--cloud", metadata.cloud, "--mailbox", hub.url, "--run", hub.run, "--hub", hub.hub]
    return subprocess.Popen(
        [hub.python, str(hub.agent), *words, "--expires", expires, "--dir", str(hub.directory)],
        env={**os.environ, "HARCHOS_METADATA": metadata.url},
    )


def test_a_spot_notice_ends_the_job_with_its_checkpoint_stored(
    metadata: FakeMetadata, agent: Path, tmp_path: Path
) -> None:
    hub = Hub(tmp_path, agent)
    hub.shell(JOB, checkpoint=CHECKPOINT)
    process = _run(hub, metadata)
    try:
        hub.wait_log("working")
        metadata.take_back(in_s=30.0)
        ended = hub.wait_end()
        assert process.wait(30.0) == 3
    finally:
        hub.stop()
        process.wait(30.0)
    assert ended["phase"] == "stopped" and "takes this spot" in ended["reason"], ended
    (tmp_path / "next").mkdir()
    assert Checkpoints(hub.mailbox, tmp_path / "next").restore(print) == 1
    assert (tmp_path / "next" / "state").read_text() == "saved in time\n"
