"""Network namespaces that podman forgot: it was killed while it made them, before it wrote down whose.

They carry no mark, so what is removed is what nobody can use any more: no process is in it, no container has
it, and no podman runs that could be about to give it to one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from harchos_infra.clouds.container import run_engine
from harchos_infra.clouds.process import start_time
from harchos_infra.errors import HarchosError

DIRECTORY = Path("/run/netns")
"""Where podman keeps those of root's containers; each is a mount."""
PATTERN = "netns-*"
"""How podman names them, and `ip netns` and the other engines do not."""
_MAKERS = ("podman", "buildah")
_YOUNG_S = 60.0
"""A podman takes less than a second from a namespace to a container that has it."""


def forgotten_namespaces() -> list[Path]:
    """Return the namespaces that nobody can use any more; none where this is not root, who sees everybody."""
    if os.getuid() != 0:
        return []
    made = {path: status for path in DIRECTORY.glob(PATTERN) if (status := _status(path)) is not None}
    if not made:
        return []
    inhabited = _inhabited()
    empty = {path: status for path, status in made.items() if status.st_ino not in inhabited}
    if empty and _is_being_made():
        now = time.time()
        empty = {path: status for path, status in empty.items() if now - status.st_mtime > _YOUNG_S}
    if not empty:
        return []
    owned = _of_containers()
    return [] if owned is None else sorted(path for path in empty if path not in owned)


def forget_namespaces() -> list[Path]:
    """Remove them; returns those that are gone now."""
    gone = []
    for path in forgotten_namespaces():
        subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)
        with suppress(OSError):
            path.unlink(missing_ok=True)
            gone.append(path)
    return gone


def _status(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None


def _inhabited() -> set[int]:
    """Return the network namespaces, by inode, that processes are in."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                found.add(Path(entry.path, "ns", "net").stat().st_ino)
    return found


def _is_being_made() -> bool:
    """Tell whether an engine runs that makes such namespaces."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                name = Path(entry.path, "comm").read_text().strip()
                if name in _MAKERS and start_time(int(entry.name)) is not None:
                    return True
    return False


def _of_containers() -> set[Path] | None:
    """Return the namespaces that podman's containers have, running or not; None where it does not say."""
    if shutil.which("podman") is None:
        return None
    try:
        ids = _podman("ps", "--all", "--quiet", "--no-trunc").split()
        shown = json.loads(_podman("container", "inspect", *ids)) if ids else []
    except (HarchosError, subprocess.CalledProcessError, ValueError):
        return None
    return {Path(key) for each in shown if (key := each["NetworkSettings"].get("SandboxKey"))}


def _podman(*words: str) -> str:
    done = run_engine("podman", *words)
    done.check_returncode()
    return done.stdout
