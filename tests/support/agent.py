"""A hub on this machine for a test: a mailbox in a directory, the real agent, and its end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harchos_infra.hub.mailbox import Mailbox

PATIENCE_S = 60.0
FINAL = ("succeeded", "failed", "stopped", "expired")


class Hub:
    """One hub, from `job.json` to the last look at the machine."""

    def __init__(self, root: Path, agent: Path, python: str = sys.executable, url: str | None = None) -> None:
        self.python = python
        self.run = f"test-{uuid.uuid4().hex[:6]}"
        self.hub = f"{self.run}-h0"
        self.agent = agent
        self.directory = root / "machine"
        self.store = root / "mailbox"
        self.url = url or self.store.as_uri()
        self.mailbox = Mailbox(self.url, self.run, self.hub)

    def job(self, *command: str, **changes: Any) -> None:
        """Write `job.json` for a process, unless told otherwise."""
        document = {
            "schema": "harchos.job/1",
            "run": self.run,
            "hub": self.hub,
            "workload": "test",
            "type": "batch",
            "command": list(command),
            "image": None,
            "image_policy": "host",
            "engine": "none",
            "env": {},
            "secret_names": [],
            "workdir": False,
            "resources": {"cpus": None, "memory_gib": None, "gpus": 0},
            "checkpoint": None,
            "service": None,
            "max_retries": 0,
            "grace_s": 1.0,
            "sample_s": 0.2,
            "power_model": {
                "cpu_watts_per_core_idle": 1.0,
                "cpu_watts_per_core_max": 5.0,
                "memory_watts_per_gib": 0.3,
                "gpu_watts_idle": 0.0,
                "gpu_watts_max": 0.0,
                "source": "test",
            },
        }
        self.mailbox.put_json("job.json", {**document, **changes})

    def shell(self, script: str, **changes: Any) -> None:
        """Write `job.json` for a shell script."""
        self.job("/bin/sh", "-c", script, **changes)

    def start(self, ttl_s: float = 60.0, hub: str | None = None) -> subprocess.CompletedProcess[str]:
        expires = (datetime.now(UTC) + timedelta(seconds=ttl_s)).isoformat()
        return self.command(
            *("start", "--mailbox", self.url, "--run", self.run, "--hub", hub or self.hub),
            *("--expires", expires, "--dir", str(self.directory)),
        )

    def stop(self, grace_s: float = 1.0) -> subprocess.CompletedProcess[str]:
        return self.command("stop", "--dir", str(self.directory), "--grace", str(grace_s))

    def ready(self, timeout_s: float = 10.0) -> subprocess.CompletedProcess[str]:
        return self.command("ready", "--dir", str(self.directory), "--timeout", str(timeout_s))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, str(self.agent), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = self.mailbox.get_json("status.json") or {"phase": None}
        return value

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds; a test that waits in vain says for what."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"{what} did not come; status {self.status()}; {self.agent_log()}")
            time.sleep(0.02)

    def wait_phase(self, *phases: str) -> dict[str, Any]:
        self.wait(lambda: self.status()["phase"] in phases, " or ".join(phases))
        return self.status()

    def wait_end(self) -> dict[str, Any]:
        return self.wait_phase(*FINAL)

    def wait_log(self, text: str) -> None:
        self.wait(lambda: text in self.log(), f"{text!r} in the log ({self.log()[-500:]!r})")

    def log(self) -> str:
        """Return the job's whole output so far."""
        chunks = (self.mailbox.get(entry.name) or b"" for entry in self.mailbox.list("logs"))
        return b"".join(chunks).decode(errors="replace")

    def power(self) -> list[dict[str, Any]]:
        chunks = (self.mailbox.get(entry.name) or b"" for entry in self.mailbox.list("power"))
        return [json.loads(line) for chunk in chunks for line in chunk.splitlines()]

    def pid_of(self, which: str) -> int:
        """Return the pid of `guard` or `worker`."""
        value: int = json.loads((self.directory / "agent.json").read_text())[which]["pid"]
        return value

    def agent_log(self) -> str:
        log = self.directory / "agent.log"
        return log.read_text() if log.exists() else ""
