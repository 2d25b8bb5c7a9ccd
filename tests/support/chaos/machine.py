"""What of a home's runs is on this machine, as /proc and the cgroups show it, and how it is killed."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FOLLOWER = re.compile(r"-n\d+$")
"""How the names of a hub's further nodes end."""


@dataclass(frozen=True, slots=True)
class Proc:
    """A live process that belongs to a home: by the mark of one of its runs, or because it works there."""

    pid: int
    parent: int
    words: tuple[str, ...]
    run: str | None
    hub: str | None
    """Of a hub of several nodes, the node."""

    def is_agent(self, part: str) -> bool:
        """Return whether it is the agent's `_guard`, `_worker` or `_init`."""
        return part in self.words

    @property
    def is_job(self) -> bool:
        """Whether it is the job itself."""
        return any(word.startswith("job.") for word in self.words)

    @property
    def is_engine(self) -> bool:
        """Whether it is of the engine: its client, its monitor, or the container's first process."""
        name = Path(self.words[0]).name if self.words else ""
        return name in ("podman", "conmon", "runc", "crun") or "init" in self.words[3:4]

    @property
    def is_terraform(self) -> bool:
        """Whether it is Terraform."""
        return bool(self.words) and Path(self.words[0]).name in ("terraform", "tofu")


class Machine:
    """This machine, seen from one home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def runs(self) -> set[str]:
        """Return every run that ever had a mailbox here."""
        return {path.name for path in (self._home / "mailbox").glob("*")}

    def processes(self) -> list[Proc]:
        """Return all live processes of this home but this one, the commands of its user included."""
        runs = self.runs()
        found = (self._read(int(entry.name), runs) for entry in os.scandir("/proc") if entry.name.isdigit())
        return [process for process in found if process and process.pid != os.getpid()]

    def kill(self, which: Callable[[Proc], bool]) -> list[Proc]:
        """Send SIGKILL to those of this home's processes; return them."""
        return [p for p in self.processes() if which(p) and self._kill(p)]

    def left(self) -> list[str]:
        """Return in words all that should be gone when the runs of this home have ended."""
        left = [f"process {p.pid}: {' '.join(p.words)[:90]}" for p in self.processes()]
        for run in sorted(self.runs()):
            left += [f"cgroup {path}" for path in _cgroups(run)]
            left += [f"container {container}" for container in _containers(run)]
        for state in (self._home / "hubs").glob("*/terraform/terraform.tfstate"):
            text = state.read_text()
            if '"mode": "managed"' in text:
                left.append(f"resources in {state}")
        return left

    def _read(self, pid: int, runs: set[str]) -> Proc | None:
        entry = Path("/proc", str(pid))
        try:
            environ = dict(_pair(part) for part in (entry / "environ").read_bytes().split(b"\0") if part)
            words = tuple(os.fsdecode(w) for w in (entry / "cmdline").read_bytes().split(b"\0")[:-1])
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            works_here = (entry / "cwd").readlink().is_relative_to(self._home)
        except OSError:
            return None
        run = environ.get("HARCHOS_RUN")
        is_named = any(f"harchos-{known}-h" in word for word in words for known in runs)
        at_home = works_here or environ.get("HARCHOS_HOME") == str(self._home)
        if run not in runs and not at_home and not is_named:
            return None
        return Proc(pid, parent, words, run, environ.get("HARCHOS_HUB")) if words else None

    def _kill(self, process: Proc) -> bool:
        """Kill a process unless its pid is another's by now."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(process.pid)
            try:
                if self._read(process.pid, self.runs()) == process:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return bool(select.select([handle], [], [], 10.0)[0])
            finally:
                os.close(handle)
        return False


def empty_namespaces() -> set[Path]:
    """Return podman's network namespaces that no process is in: a podman that runs is about to fill or remove
    them, of one that was killed they stay."""
    inhabited = set()
    for entry in Path("/proc").glob("[0-9]*/ns/net"):
        with suppress(OSError):
            inhabited.add(entry.stat().st_ino)
    found = set()
    for path in Path("/run/netns").glob("netns-*"):
        with suppress(OSError):
            if path.stat().st_ino not in inhabited:
                found.add(path)
    return found


def agents(processes: Iterable[Proc]) -> Counter[str]:
    """Return how many agents each hub or node has; what a guard has just forked still looks like it."""
    guards = [p for p in processes if p.is_agent("_guard")]
    forks = {p.pid for p in guards}
    return Counter(p.hub or "" for p in guards if p.parent not in forks)


def hubs_alive(processes: Iterable[Proc]) -> dict[str, set[str]]:
    """Return by run the hubs that have processes."""
    alive = defaultdict[str, set[str]](set)
    for process in processes:
        if process.run and process.hub:
            alive[process.run].add(_FOLLOWER.sub("", process.hub))
    return alive


def _cgroups(run: str) -> list[Path]:
    """Return a run's cgroups; others come and go meanwhile."""
    places = (Path(place) for place, _, _ in os.walk("/sys/fs/cgroup"))
    return [path for path in places if path.parent.name == "harchos" and path.name.startswith(f"{run}-h")]


def _containers(run: str) -> list[str]:
    """Return what podman knows of a run: containers, networks, volumes."""
    if shutil.which("podman") is None:
        return []
    found = _podman("ps", "-aq", "--filter", f"label=harchos:run={run}")
    for kind in ("network", "volume"):
        found += [f"{kind} {name}" for name in _podman(kind, "ls", "-q") if run in name]
    return found


def _podman(*words: str) -> list[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False).stdout.split()


def _pair(part: bytes) -> tuple[str, str]:
    name, _, value = os.fsdecode(part).partition("=")
    return name, value
