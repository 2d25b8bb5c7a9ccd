"""Who drives a run: a process, named so that others on its machine can tell that it is dead."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST_LEASE_S = 60.0


def new_owner() -> str:
    """Return the name of this process as an owner: machine, pid, and start time against reuse of the pid."""
    return f"{os.uname().nodename}:{os.getpid()}:{_start_ticks(os.getpid())}"


def is_live(owner: str | None, until: float, now: float) -> bool:
    """Return whether `owner` still holds a lease that runs until `until` (same clock as `now`, seconds).

    An owner on this machine whose process is gone is dead at once; of another machine only the lease tells,
    and one that is longer than any was left by a clock that has been set back since.
    """
    if owner is None or until < now:
        return False
    node, _, process = owner.partition(":")
    pid, _, ticks = process.partition(":")
    if node != os.uname().nodename or not pid.isdigit():
        return until - now < LONGEST_LEASE_S
    return _start_ticks(int(pid)) == ticks


def _start_ticks(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot, as in proc(5); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]
