"""How this agent starts itself again: as the zipapp it came in, or as the installed package."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from harchos_infra.hub import proc

_ARCHIVE: str | None = getattr(proc.__loader__, "archive", None)


def agent_command(*arguments: str) -> list[str]:
    """Return the command line of this very agent with other arguments."""
    return [sys.executable, *([_ARCHIVE] if _ARCHIVE else ["-m", "harchos_infra.hub"]), *arguments]


def agent_environment() -> dict[str, str]:
    """Return the environment for it: this one, and where the package is if it is not installed."""
    if _ARCHIVE:
        return dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def dying_with(parent_pid: int) -> Callable[[], None]:
    """Return what a child calls before exec, so that the kernel kills it when its parent ends."""
    return lambda: proc.die_with_parent(parent_pid, signal.SIGKILL)
