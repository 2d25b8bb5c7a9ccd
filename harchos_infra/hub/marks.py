"""What a hub started and may have left: processes that carry its mark, its cgroup, its containers."""

from __future__ import annotations

import signal
import time

from harchos_infra.hub import proc
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.engine import installed_engines
from harchos_infra.hub.proc import Process

MARK = "HARCHOS_HUB"
_KILL_S = 10.0


def marked(hub: str, *, spare: frozenset[int] = frozenset()) -> list[Process]:
    """Return the hub's live processes, except this one, its ancestors and those to `spare`."""
    ours = proc.lineage() | spare
    found = (
        Process.of(pid) for pid in proc.pids() if pid not in ours and proc.environment(pid).get(MARK) == hub
    )
    return [process for process in found if process]


def kill_marked(hub: str, *, spare: frozenset[int] = frozenset()) -> list[Process]:
    """Kill the hub's processes until none is left; return those that will not end."""
    until = time.monotonic() + _KILL_S
    while left := marked(hub, spare=spare):
        for process in left:
            process.signal(signal.SIGKILL)
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return []


def sweep(hub: str, *, spare: frozenset[int] = frozenset()) -> list[str]:
    """End everything of a hub but the processes to `spare`; return what is left, in words."""
    left = []
    for engine in installed_engines():
        left += [f"container {engine.name}:{name}" for name in engine.remove_labelled(hub)]
    cgroup = Cgroup(hub)
    cgroup.kill_job()
    until = time.monotonic() + _KILL_S
    while members := [p for p in cgroup.members(cgroup.path) if p.pid not in spare]:
        for process in members:
            process.signal(signal.SIGKILL)
        if time.monotonic() > until:
            left += [f"process {p.pid} in {cgroup.path}" for p in members]
            break
        time.sleep(0.02)
    left += [f"process {p.pid}" for p in kill_marked(hub, spare=spare)]
    if not spare and not cgroup.remove():
        left.append(f"cgroup {cgroup.path}")
    return left
