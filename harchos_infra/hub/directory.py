"""The hub's directory on its machine: identity, processes, and the places where the job works."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harchos_infra.hub import proc
from harchos_infra.hub.proc import Process

MARK_DIRECTORY = "HARCHOS_DIR"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which hub this is, where its mailbox is, when it ends (ISO time), and whose machine it runs on."""

    mailbox: str
    run: str
    hub: str
    expires: str
    cloud: str = "local"
    """`local`, `aws`, `gcp` or `azure`: whom to ask for a spot notice."""

    def marks(self) -> dict[str, str]:
        """Return the environment that every process of the hub carries."""
        return {"HARCHOS_HUB": self.hub, "HARCHOS_RUN": self.run, "HARCHOS_EXPIRES": self.expires}


class Directory:
    """Paths under `DIR`. `hub.json` is there before any process, `agent.json` names the processes."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "agent.log"
        self.lock = self.path / "agent.lock"
        self.work = self.path / "work"
        self.outputs = self.path / "outputs"
        self.checkpoints = self.path / "checkpoints"
        self.containers_conf = self.path / "containers.conf"

    def create(self) -> None:
        """Make the directory, closed to other users."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write_identity(self, identity: Identity) -> None:
        """Record which hub this directory is of."""
        self._write("hub.json", asdict(identity))

    def identity(self) -> Identity | None:
        """Return what was recorded, else what the hub's own processes say of themselves; None if neither."""
        value = self._read("hub.json") or {}
        try:
            return Identity(
                mailbox=str(value["mailbox"]),
                run=str(value["run"]),
                hub=str(value["hub"]),
                expires=str(value["expires"]),
                cloud=str(value.get("cloud", "local")),
            )
        except (TypeError, KeyError):
            return self._identity_from_processes()

    def write_processes(self, identity: Identity, guard: Process, worker: Process | None, at: str) -> None:
        """Record the agent's processes with their start times."""
        self._write(
            "agent.json",
            {
                **asdict(identity),
                "guard": guard.to_json(),
                "worker": worker.to_json() if worker else None,
                "started_at": at,
            },
        )

    def processes(self) -> tuple[Process | None, Process | None]:
        """Return guard and worker as recorded, alive or not; None where the record does not say."""
        value = self._read("agent.json") or {}
        return Process.from_json(value.get("guard")), Process.from_json(value.get("worker"))

    def started_at(self) -> str | None:
        """Return when the agent started, as it was recorded."""
        value = (self._read("agent.json") or {}).get("started_at")
        return value if isinstance(value, str) else None

    def write_stop(self, grace_s: float) -> None:
        """Leave word of how long the job may take to end."""
        self._write("stop.json", {"grace_s": grace_s})

    def stop_grace_s(self) -> float | None:
        """Return the grace that `stop` asked for; None if it asked for none."""
        value = (self._read("stop.json") or {}).get("grace_s")
        return float(value) if isinstance(value, int | float) else None

    def clear(self) -> None:
        """Forget what an earlier agent left in its records."""
        for name in ("agent.json", "status.json", "stop.json"):
            (self.path / name).unlink(missing_ok=True)

    def write_status(self, status: dict[str, Any]) -> None:
        """Keep a copy of the status beside the agent, for the guard."""
        self._write("status.json", status)

    def status(self) -> dict[str, Any] | None:
        """Return the copy of the status."""
        return self._read("status.json")

    def _identity_from_processes(self) -> Identity | None:
        for pid in proc.pids():
            env = proc.environment(pid)
            if env.get(MARK_DIRECTORY) == str(self.path) and env.get("HARCHOS_HUB"):
                return Identity(
                    mailbox=env.get("HARCHOS_MAILBOX", ""),
                    run=env.get("HARCHOS_RUN", ""),
                    hub=env["HARCHOS_HUB"],
                    expires=env.get("HARCHOS_EXPIRES", ""),
                )
        return None

    def _write(self, name: str, value: Any) -> None:
        temporary = self.path / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(value) + "\n", encoding="utf-8")
        temporary.replace(self.path / name)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None
