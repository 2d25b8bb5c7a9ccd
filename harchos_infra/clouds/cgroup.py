"""The cgroups `harchos/<hub>` of this machine, on cgroup v2, v1 and the hybrid of both."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harchos_infra.errors import HarchosError

MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HubCgroup:
    """A hub's cgroup in one hierarchy."""

    hub: str
    path: Path

    def pids(self) -> Iterator[int]:
        """Yield the processes in this cgroup and those below it."""
        for directory in self._directories():
            with suppress(OSError):
                yield from map(int, (directory / "cgroup.procs").read_text().split())

    def thaw(self) -> None:
        """Let frozen processes of this cgroup and those below it run, so that they can take a signal."""
        for freezer, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            for directory in self._directories():
                with suppress(OSError):
                    if (directory / freezer).exists():
                        (directory / freezer).write_text(thawed)

    def remove(self, *, wait_s: float = 2.0) -> None:
        """Remove the directory with those below it, waiting for processes that are just ending."""
        until = time.monotonic() + wait_s
        while True:
            try:
                self._remove()
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise HarchosError(f"{self.path} cannot be removed: {error.strerror}") from error
                time.sleep(0.05)

    def _directories(self) -> list[Path]:
        """Return this cgroup and those below it, parents first; what vanishes meanwhile is left out."""
        return [Path(directory) for directory, _, _ in os.walk(self.path)]

    def _remove(self) -> None:
        for directory in reversed(self._directories()):
            directory.rmdir()


def hub_cgroups(mount: Path = MOUNT) -> list[HubCgroup]:
    """Return every hub's cgroup in every hierarchy; empty where cgroups are not mounted."""
    unified = (mount / "cgroup.controllers").exists()
    parents = [mount / "harchos"] if unified else sorted(mount.glob("*/harchos"))
    return [HubCgroup(hub, parent / hub) for parent in parents for hub in _subdirectories(parent)]


def _subdirectories(directory: Path) -> list[str]:
    return sorted(next(os.walk(directory), ("", [], []))[1])
