"""One workspace, one Terraform: a lock that lives as long as any Terraform that was started under it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harchos_infra.errors import HarchosError

_POLL_S = 0.1


class WorkspaceLock:
    """An `flock` on a workspace, re-entrant within one object.

    Terraform gets the open file as its standard input, so that an orphaned Terraform keeps the lock and
    the next attempt waits for it. Standard input, because that is the one descriptor Terraform does not
    hand on: a hub's processes, which outlive Terraform, must not hold the lock.
    """

    def __init__(self, directory: Path, *, timeout_s: float = 120.0) -> None:
        self._path = directory / ".harchos.lock"
        self._timeout_s = timeout_s
        self._descriptor = -1
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the lock and yield its descriptor.

        Raises HarchosError naming the holders when it is not free within `timeout_s`.
        """
        if self._depth == 0:
            self._descriptor = self._acquire()
        self._depth += 1
        try:
            yield self._descriptor
        finally:
            self._depth -= 1
            if self._depth == 0:
                os.close(self._descriptor)

    def _acquire(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + self._timeout_s
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return descriptor
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise self._busy() from None
                    time.sleep(_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise

    def _busy(self) -> HarchosError:
        pids = ", ".join(map(str, self._holders())) or "unknown"
        return HarchosError(
            f"{self._path.parent} is in use by another Terraform or harchos (pid {pids}); "
            f"waited {self._timeout_s:.0f} s",
            hint="wait for it to end, or end it, then run the same command again",
        )

    def _holders(self) -> list[int]:
        """Return the processes through whose open file the lock is held."""
        path = self._path.resolve()
        return sorted(
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and _holds(process, path)
        )


def _holds(process: Path, path: Path) -> bool:
    try:
        return any(
            link.readlink() == path and "FLOCK" in (process / "fdinfo" / link.name).read_text()
            for link in (process / "fd").iterdir()
        )
    except OSError:
        return False
