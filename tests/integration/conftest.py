"""What several integration tests need."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harchos_infra.cli.main import main
from harchos_infra.hub.package import build_agent
from support.command import Document, Harchos
from support.object_stores import Services, Store, bucket

if TYPE_CHECKING:
    from support.aws_server import AwsServer

DOCUMENT = """\
apiVersion: harchos.dev/v1
kind: Workload
metadata: {name: job}
spec:
  type: batch
  command: "true"
  duration: 2h
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as hubs get it."""
    return build_agent(tmp_path_factory.mktemp("agent") / "agent.pyz")


@pytest.fixture
def harchos(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Harchos:
    """Run a command in this process and a home of its own; returns exit code, output and errors."""
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harchos", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    return run


@pytest.fixture
def document(tmp_path: Path) -> Document:
    """Write a batch workload, with more of its spec as YAML; returns the path."""

    def write(spec: str = "") -> str:
        path = tmp_path / "job.yaml"
        path.write_text(DOCUMENT + spec)
        return str(path)

    return write


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Run servers of S3, Google Cloud Storage and Azure Blob as tests want them."""
    running = Services()
    yield running
    running.close()


@pytest.fixture
def new_store(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Store]]:
    """Make new buckets; this process is led to the last of each kind, and to nothing but loopback."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    with ExitStack() as stack:

        def make(kind: str) -> Store:
            made = stack.enter_context(bucket(services[kind]))
            for name, value in made.environment.items():
                monkeypatch.setenv(name, value)
            return made

        yield make


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AwsServer]:
    """AWS on a local port, in this process's environment, and a home of its own."""
    from support.aws_server import AwsServer

    with AwsServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield server
