"""The three providers, served to the real Terraform binary."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent import futures
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import grpc

from support.schema_replay import wire
from support.schema_replay.answers import Answers
from support.schema_replay.fault import Fault
from support.schema_replay.provider import ReplayProvider
from support.schema_replay.schemas import PROVIDERS, load
from support.schema_replay.world import World

_TERRAFORM = {"terraform", "tofu", "harchos-terraform"}


class Replay:
    """A context in which Terraform's providers aws, google and azurerm are replayed.

    `environment` is what Terraform must be started with; `world` is what it made there. Faults and answers
    may be changed at any time.
    """

    def __init__(self, *, providers: Iterable[str] = PROVIDERS) -> None:
        self.world = World()
        self.faults: dict[str, Fault] = {}
        self.answers: Answers = {}
        self.environment: dict[str, str] = {}
        self._providers = tuple(providers)
        self._stack = ExitStack()
        self._directory = Path()

    def __enter__(self) -> Replay:
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-")))
        served = dict(map(self._serve, self._providers))
        self.environment = {"TF_REATTACH_PROVIDERS": json.dumps(served), "CHECKPOINT_DISABLE": "1"}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(
        self, command: Sequence[str | Path], *, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, usually Terraform, against the replay; its output is returned as text."""
        return subprocess.run(
            command, cwd=cwd, env=self.full_environment(), capture_output=True, text=True, check=False
        )

    def full_environment(self) -> dict[str, str]:
        """Return this process's environment with the replay in it."""
        environment = {**os.environ, **self.environment}
        configuration = environment.get("TF_CLI_CONFIG_FILE")
        if configuration and not Path(configuration).exists():
            del environment["TF_CLI_CONFIG_FILE"]
        return environment

    def callers(self) -> list[int]:
        """Return the Terraform processes that are connected to this replay, by their environment."""
        mark = os.fsencode(self._directory)
        return [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and _runs_terraform(process) and mark in _environment(process)
        ]

    def _serve(self, name: str) -> tuple[str, dict[str, object]]:
        schema, address = load(name), str(self._directory / f"{name}.sock")
        server = grpc.server(
            futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", 64 << 20)]
        )
        provider = ReplayProvider(schema, self.world, self.faults, self.answers, self.callers)
        wire.services.add_ProviderServicer_to_server(provider, server)
        server.add_insecure_port(f"unix://{address}")
        server.start()
        self._stack.callback(lambda: server.stop(0).wait())
        return schema.address, {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "unix", "String": address},
        }


def _runs_terraform(process: Path) -> bool:
    """Return whether a process is Terraform, be it a binary or a script that an interpreter runs."""
    try:
        words = (process / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return False
    return not _TERRAFORM.isdisjoint(Path(word).name for word in words[:2])


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
