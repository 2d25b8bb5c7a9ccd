"""A container engine of which a part is killed: no hub waits for ever, nor takes it for the job's end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.hub import attempts, container
from harchos_infra.hub.attempts import Attempts
from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.container import ContainerRunner, Image
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.ending import Endings
from harchos_infra.hub.engine import Engine, EngineError
from harchos_infra.hub.gang import Alone
from harchos_infra.hub.job import Job
from harchos_infra.hub.kept import KeptAlone
from harchos_infra.hub.log_shipper import LogShipper
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.runner import ENGINE_LOST, JobLostError
from harchos_infra.hub.ttl import Ttl
from harchos_infra.runs.verdict import of_status
from tests.unit.hub.test_job import document

CLIENT = """#!{python}
import subprocess, sys, time
words = sys.argv
if words[1] != "run":
    sys.exit(0)
first = subprocess.Popen(["sleep", "60"])
open(words[words.index("--pidfile") + 1], "w").write(str(first.pid))
time.sleep(60)
"""
"""A podman whose container sleeps, and which notices nothing of what becomes of it."""


class Hub:
    """A hub whose job runs in a container of an engine that can be killed."""

    def __init__(self, path: Path) -> None:
        self.directory = Directory(path / "hub")
        self.directory.create()
        for place in (self.directory.work, self.directory.outputs, self.directory.checkpoints):
            place.mkdir()
        binary = path / "podman"
        binary.write_text(CLIENT.format(python=sys.executable))
        binary.chmod(0o755)
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        identity = Identity((path / "mailbox").as_uri(), "r", "r-h1", expires)
        self.mailbox = Mailbox(identity.mailbox, identity.run, identity.hub)
        self.job = Job.parse(document(checkpoint=None, service=None, max_retries=1))
        self.runner = ContainerRunner(
            Engine("podman", str(binary)),
            Image("image", host=False),
            self.job,
            identity,
            self.directory,
            self.directory.checkpoints,
            Cgroup("r-h1"),
            None,
            "",
        )
        self.expires = expires

    def client(self) -> subprocess.Popen[bytes]:
        client = self.runner._client
        assert client is not None
        return client

    def kill_first(self) -> None:
        """Kill the container's own process, which nobody is left to tell of."""
        file = self.directory.path / "container.pid"
        wait_for(lambda: file.exists() and file.read_text() != "")
        self.runner.poll()
        subprocess.run(["kill", "-9", file.read_text()], check=True)


def wait_for(condition: Callable[[], bool]) -> None:
    until = datetime.now(UTC) + timedelta(seconds=30)
    while not condition():
        assert datetime.now(UTC) < until


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(container, "_LOST_S", 0.0)
    monkeypatch.setattr(container, "_give_to_user", lambda mounts: None)
    made = Hub(tmp_path)
    yield made
    if made.runner._client is not None:
        made.client().kill()
        made.client().wait()


def test_a_container_whose_monitor_was_killed_is_not_waited_for(hub: Hub) -> None:
    hub.runner.start(["true"], {})
    assert hub.runner.poll() is None
    hub.kill_first()

    def lost() -> bool:
        try:
            return hub.runner.poll() is not None
        except JobLostError as error:
            assert str(error) == f"{ENGINE_LOST}: its monitor was killed"
            return True

    wait_for(lost)
    assert hub.client().poll() is None


def test_a_client_that_was_killed_says_nothing_of_the_job(hub: Hub) -> None:
    hub.runner.start(["true"], {})
    hub.client().kill()
    hub.client().wait()
    with pytest.raises(JobLostError, match="its client was killed by SIGKILL"):
        hub.runner.poll()


def test_a_job_that_the_engine_lost_is_started_again_if_it_may_be(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_RETRY_PAUSE_S", 0.0)
    logs = LogShipper(hub.mailbox, Mask(()), tmp_path / "spool")
    started: list[int] = []
    start = hub.runner.start

    def start_and_kill(*words: Any) -> int:
        started.append(1)
        output = start(*words)
        hub.client().kill()
        return output

    monkeypatch.setattr(hub.runner, "start", start_and_kill)
    run = Attempts(
        hub.job,
        hub.runner,
        {},
        StatusBoard(hub.mailbox, hub.directory),
        logs,
        Endings(Ttl.parse(hub.expires)),
        hub.directory,
        lambda: [],
        lambda: None,
        Alone(),
        KeptAlone(hub.mailbox, tmp_path, tmp_path, logs.note),
    )
    with pytest.raises(JobLostError):
        run.run()
    assert len(started) == 2


def test_a_hub_whose_engine_was_killed_is_lost_not_failed() -> None:
    status = {"phase": "failed", "reason": f"{ENGINE_LOST}: its monitor was killed"}
    run = {"type": "batch", "desired": "run"}
    assert of_status(run, status, asked=None, resumes=True).interruption == "lost"
    assert of_status(run, status, asked=None, resumes=False).outcome == "failed"


def test_a_removal_that_podman_refuses_the_first_time_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, refusals = ["c1"], [EngineError("container state improper: stopped")]

    def run(_engine: Engine, *words: str, **_: Any) -> str:
        if words[0] == "rm":
            if refusals:
                raise refusals.pop()
            there.clear()
        return " ".join(there)

    monkeypatch.setattr(Engine, "run", run)
    assert Engine("podman", "podman").remove_labelled("r-h1") == []
    assert there == []
