"""The cgroup `harchos/<hub>` in the cgroup v2 hierarchy: accounting, and an end that nothing escapes.

On a hybrid machine the v2 hierarchy has no controllers; CPU accounting, freezing and killing work in it
all the same. Layout: `agent` holds the agent's own processes, `job/main` the job or the engine's client;
a container goes in `job/…`, so that on pure v2 no group with controllers has processes of its own.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from harchos_infra.hub.proc import Process, lineage

_ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


class Cgroup:
    """The cgroup of one hub; `path` is None where cgroup v2 is not mounted or not writable."""

    def __init__(self, hub: str) -> None:
        self.hub = hub
        root = next((r for r in _ROOTS if (r / "cgroup.controllers").exists()), None)
        self.root = root if root and os.access(root, os.W_OK) else None
        self.path = self.root / "harchos" / hub if self.root else None

    @property
    def hybrid(self) -> bool:
        """Return whether the controllers are in cgroup v1, beside this hierarchy."""
        return self.root != _ROOTS[1]

    @property
    def job(self) -> Path | None:
        """Where the job and its containers are."""
        return self.path / "job" if self.path else None

    def create(self) -> None:
        """Make the groups; where that is refused the hub goes on without."""
        for last in (False, False, True):
            if self.path is None:
                return
            try:
                for below in ("agent", "job/main"):
                    (self.path / below).mkdir(parents=True, exist_ok=True)
                return
            except FileNotFoundError:  # another hub has just removed the common parent
                self.path = None if last else self.path
            except OSError:
                self.path = None

    def join(self, below: str) -> None:
        """Put this process in `agent` or `job/main`."""
        if self.path:
            with suppress(OSError):
                (self.path / below / "cgroup.procs").write_text("0")

    def leave(self) -> None:
        """Put this process outside of all hubs, so that the hub's group can be removed."""
        if self.root:
            with suppress(OSError):
                (self.root / "cgroup.procs").write_text("0")

    def cpu_seconds(self) -> float | None:
        """Return CPU seconds used by all that ever ran in the group."""
        if self.path is None:
            return None
        try:
            lines = (self.path / "cpu.stat").read_text().splitlines()
        except OSError:
            return None
        usage = next((line.split()[1] for line in lines if line.startswith("usage_usec ")), None)
        return None if usage is None else int(usage) / 1e6

    def members(self, below: Path | None) -> list[Process]:
        """Return the processes in a group and those below it, without this one and its ancestors."""
        found = []
        if below and below.is_dir():
            ours = lineage()
            for procs in below.rglob("cgroup.procs"):
                with suppress(OSError):
                    found += [Process.of(int(p)) for p in procs.read_text().split() if int(p) not in ours]
        return [process for process in found if process]

    def kill_job(self) -> None:
        """Freeze the job's group, kill everything in it, thaw it: nothing can fork its way out."""
        if self.job and self.job.is_dir():
            self._write(self.job / "cgroup.freeze", "1")
            self._write(self.job / "cgroup.kill", "1")
            for process in self.members(self.job):
                process.signal(signal.SIGKILL)
            self._write(self.job / "cgroup.freeze", "0")

    def remove(self, timeout_s: float = 2.0) -> bool:
        """Remove the hub's groups from every hierarchy; False if one stays in use."""
        until = time.monotonic() + timeout_s
        while left := [path for path in self._everywhere() if not _removed(path)]:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return not left

    def _everywhere(self) -> list[Path]:
        parents = [_ROOTS[1] / "harchos", *_ROOTS[1].glob("*/harchos")]
        return [path for parent in parents if (path := parent / self.hub).is_dir()]

    @staticmethod
    def _write(file: Path, text: str) -> None:
        with suppress(OSError):
            file.write_text(text)


def _removed(path: Path) -> bool:
    for below in [*sorted((p for p in path.rglob("*") if p.is_dir()), reverse=True), path]:
        with suppress(OSError):
            below.rmdir()
    return not path.is_dir()
