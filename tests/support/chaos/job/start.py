"""A start of a job, told outside its hub: where it is, what it found, and whether another was at the same."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import IO

SECRET = "token-of-run-"
"""How the secret of each run begins."""


class Start:
    """Tells itself in `<traces>/<run>.jsonl`; where a container shuts that out, in its working directory.

    Of a `what` no two processes are `alone` at once, whatever their hubs and runs.
    """

    def __init__(self, traces: Path, what: str, **found: object) -> None:
        traces = traces if traces.is_dir() else Path.cwd()
        self.run, self.hub = os.environ["HARCHOS_RUN"], os.environ["HARCHOS_HUB"]
        self._file = traces / f"{self.run}.jsonl"
        self._locks: list[IO[str]] = []
        self.alone = all([self._lock(traces / self.hub), self._lock(traces / f"{_trial()}-{what}")])
        self.tell("begun", **found, alone=self.alone)

    def tell(self, event: str, **what: object) -> None:
        """Add a line."""
        with self._file.open("a") as file:
            file.write(json.dumps({"event": event, "run": self.run, "hub": self.hub, **what}) + "\n")

    def _lock(self, file: Path) -> bool:
        """Hold a lock for the life of this process; False where another one does."""
        self._locks.append(file.with_name(f"{file.name}.lock").open("w"))
        try:
            fcntl.flock(self._locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def knows_its_secret() -> bool:
    """Return whether the job was given its secret."""
    return os.environ.get("CHAOS_TOKEN", "").startswith(SECRET)


def _trial() -> str:
    """Return a name that the runs of one home share: their secret's, which must not be told."""
    return hashlib.sha256(os.environ["CHAOS_TOKEN"].encode()).hexdigest()[:12]
