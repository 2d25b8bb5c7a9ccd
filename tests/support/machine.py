"""What is left of a hub on this machine, found without any of the product's own code."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def survivors(hub: str) -> list[str]:
    """Return processes by the hub's mark and by its cgroup, cgroups by name, containers by label."""
    return [*_marked(hub), *_grouped(hub), *_cgroups(hub), *_containers(hub)]


def processes_of(hub: str) -> list[int]:
    """Return the pids of live processes that carry the hub's mark."""
    mark = f"HARCHOS_HUB={hub}".encode()
    return [pid for pid in _live() if mark in _read(pid, "environ").split(b"\0")]


def _live() -> list[int]:
    """Return every process but this one and those that have ended and wait to be reaped."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    states = {pid: _read(pid, "stat").rpartition(b")")[2].split()[:1] for pid in pids if pid != os.getpid()}
    return [pid for pid, state in states.items() if state and state[0] not in (b"Z", b"X")]


def _read(pid: int, name: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _marked(hub: str) -> list[str]:
    return [f"process {pid}: {_command(pid)}" for pid in processes_of(hub)]


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def _grouped(hub: str) -> list[str]:
    groups = {pid: _read(pid, "cgroup").decode() for pid in _live()}
    return [
        f"process {pid} in the cgroup: {_command(pid)}"
        for pid, text in groups.items()
        if f"/harchos/{hub}/" in text or f"/harchos/{hub}\n" in text
    ]


def _cgroups(hub: str) -> list[str]:
    listed = subprocess.run(
        ["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*/harchos/{hub}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [f"cgroup {path}" for path in listed.stdout.split()]


def _containers(hub: str) -> list[str]:
    found = []
    for engine in filter(shutil.which, ("podman", "docker")):
        listed = subprocess.run(
            [engine, "ps", "--all", "--quiet", "--filter", f"label=harchos:hub={hub}"],
            capture_output=True,
            text=True,
            check=False,
        )
        found += [f"container {engine}:{name}" for name in listed.stdout.split()]
    return found
