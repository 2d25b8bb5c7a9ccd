"""A home for each test, the `harchos` command as users run it, and a look at the machine afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.runs import database
from harchos_infra.runs.ledger import FINAL, Ledger
from harchos_infra.settings import set_value

HARCHOS = Path(sys.executable).with_name("harchos")
PATIENCE_S = 240.0


@dataclass
class Road:
    """One user's home and working directory."""

    home: Path
    work: Path
    engine: str

    def environ(self) -> dict[str, str]:
        hidden = ("HARCHOS_RUN", "HARCHOS_HUB", "HARCHOS_EXPIRES")
        kept = {k: v for k, v in os.environ.items() if k not in hidden}
        return {**kept, "HARCHOS_HOME": str(self.home), "NO_COLOR": "1"}

    def harchos(self, *args: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [HARCHOS, *map(str, args)],
            cwd=self.work,
            env={**self.environ(), **environ},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )

    def start(self, *args: str | Path, **environ: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [HARCHOS, *map(str, args)],
            cwd=self.work,
            env={**self.environ(), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def workload(self, command: str, name: str = "job", **spec: Any) -> Path:
        """Write a workload for this machine; JSON is YAML too."""
        path = self.work / f"{name}.yaml"
        document = {
            "apiVersion": "harchos.dev/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": {
                "type": "batch",
                "command": ["sh", "-c", command],
                "duration": "5m",
                "placement": {"providers": ["local"]},
                **spec,
            },
        }
        path.write_text(json.dumps(document, indent=2))
        return path

    def status(self) -> dict[str, Any]:
        """Return `harchos status` as JSON."""
        done = self.harchos("status", "--all", "--format", "json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def run_row(self) -> dict[str, Any]:
        """Return the only run."""
        (row,) = self.status()["runs"]
        return dict(row)

    @cached_property
    def ledger(self) -> Ledger:
        """This home's ledger, to wait by: a command asked again and again takes the time that runs need."""
        return Ledger.open(None if database.URL in os.environ else self.home)

    def job_runs(self) -> bool:
        """Return whether a job of this home is running, as its hub says, and its driver knows of the hub."""
        is_known = any(row["phase"] == "run" for row in self.ledger.runs())
        return is_known and not {"running", "ready"}.isdisjoint(self._job_phases())

    def job_is_ready(self) -> bool:
        """Return whether a service of this home answers, as its hub says."""
        return "ready" in self._job_phases()

    def _job_phases(self) -> set[str]:
        return {json.loads(path.read_bytes())["phase"] for path in self.home.glob("mailbox/*/*/status.json")}

    def over(self) -> bool:
        """Return whether there are runs and all have ended, as the ledger says."""
        phases = {row["phase"] for row in self.ledger.runs()}
        return phases == {FINAL}

    def wait_for(self, what: Callable[[], object], patience_s: float = 60.0) -> None:
        """Wait until something is true of the machine."""
        end = time.monotonic() + patience_s
        while not what():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)

    def marked(self) -> list[int]:
        """Return the pids on this machine that carry a mark of a run of this home, as /proc shows them."""
        mine = {path.name for path in (self.home / "mailbox").glob("*")}
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
                cgroup = (entry / "cgroup").read_text()
            except OSError:
                continue
            marks = {
                v.decode(errors="replace").partition("=")[2] for v in environ if v.startswith(b"HARCHOS_RUN=")
            }
            if marks & mine or any(f"harchos/{run}-h" in cgroup for run in mine):
                found.append(int(entry.name))
        return found

    def left(self) -> list[str]:
        """Return everything of this home's runs that is still on the machine."""
        mine = [path.name for path in (self.home / "mailbox").glob("*")]
        left = [f"process {pid}" for pid in self.marked()]
        cgroups = [Path(path) for path, _, _ in os.walk("/sys/fs/cgroup")]
        for run in mine:
            left += [str(p) for p in cgroups if p.parent.name == "harchos" and p.name.startswith(f"{run}-h")]
            if self.engine != "none":
                listed = subprocess.run(
                    [self.engine, "ps", "-aq", "--filter", f"label=harchos:run={run}"],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split()
                left += [f"container {container}" for container in listed]
        for state in (self.home / "hubs").glob("*/terraform/terraform.tfstate"):
            left += [f"state entry in {state}" for _ in json.loads(state.read_text())["resources"]]
        return left


def _road(tmp_path: Path, engine: str) -> Road:
    (tmp_path / "work").mkdir()
    road = Road(tmp_path / "home", tmp_path / "work", engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARCHOS_HOME", str(road.home))
        for key, value in (("local.zone", "DE"), ("local.engine", engine), ("local.image", "host")):
            set_value(key, value)
    return road


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    """A home whose hubs run jobs as supervised processes."""
    road = _road(tmp_path, "none")
    yield road
    _tidy(road)


@pytest.fixture
def container_road(tmp_path: Path) -> Iterator[Road]:
    """A home whose hubs run jobs in podman containers."""
    answers = subprocess.run(["sh", "-c", "podman info >/dev/null 2>&1"]).returncode == 0
    if not answers:
        pytest.skip("no podman on this machine")
    road = _road(tmp_path, "podman")
    yield road
    _tidy(road)


def _tidy(road: Road) -> None:
    left = road.left()
    for pid in road.marked():
        os.kill(pid, signal.SIGKILL)
    assert left == []
