"""What the agent says of itself, `agent.log` in the hub's directory: a disk that is full never ends it."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


class AgentLog(io.TextIOBase):
    """Writes to a descriptor at once; what that does not take is lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Write it, and return its length either way."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="backslashreplace"))
        return len(text)


def log_patiently() -> None:
    """Let what this process prints go to its descriptors 1 and 2 without ever raising."""
    sys.stdout, sys.stderr = AgentLog(1), AgentLog(2)
