"""Processes of this machine as /proc shows them, each told by pid **and** start time."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `start_ticks` (clock ticks since boot) tells it from a later user of its pid."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return a live process; None if there is none of this pid, or only a zombie."""
        stat = _stat(pid)
        return None if stat is None or stat[0] in "ZX" else cls(pid, int(stat[19]))

    @classmethod
    def from_json(cls, value: Any) -> Process | None:
        """Return what `to_json` wrote; None for anything else."""
        try:
            return cls(int(value["pid"]), int(value["start_ticks"]))
        except (TypeError, KeyError, ValueError):
            return None

    def to_json(self) -> dict[str, int]:
        """Return pid and start time."""
        return {"pid": self.pid, "start_ticks": self.start_ticks}

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return Process.of(self.pid) == self

    def signal(self, number: int) -> bool:
        """Send a signal through a pidfd, so that a reused pid is never hit; False if it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; False if it has not within `timeout_s`."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([handle], [], [], max(0.0, timeout_s))[0])
        finally:
            os.close(handle)


def pids() -> Iterator[int]:
    """Yield every pid of this machine."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def environment(pid: int) -> dict[str, str]:
    """Return the environment a process was started with; empty where it may not be read."""
    try:
        data = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in data.decode(errors="surrogateescape").split("\0") if item)
    return {name: value for name, _, value in pairs}


def lineage() -> frozenset[int]:
    """Return this process and its ancestors."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        stat = _stat(pid)
        pid = int(stat[1]) if stat else 0
    return frozenset(found)


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    found: list[int] = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return CPU seconds used by a process and by its children that it has waited for."""
    stat = _stat(pid)
    return 0.0 if stat is None else sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")


def handles(pid: int, name: str, number: int) -> bool:
    """Return whether a process has got as far as running program `name` with a handler for a signal."""
    try:
        text = (_PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return False
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return fields["Name"] == name and bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)


def die_with_parent(parent_pid: int, number: int) -> None:
    """Ask for a signal when the parent ends; takes it at once if the parent is already gone."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), number)


def become_subreaper() -> None:
    """Adopt descendants whose parent ends, also those that called setsid."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def _stat(pid: int) -> list[str] | None:
    """Return /proc/PID/stat from its third field on: [0] state, [1] parent, [11:15] CPU, [19] start."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


_LIBC = ctypes.CDLL(None, use_errno=True)
