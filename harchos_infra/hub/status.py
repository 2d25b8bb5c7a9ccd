"""`status.json`: where the hub's job stands (`harchos.status/1`)."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

SCHEMA = "harchos.status/1"
FINAL = ("succeeded", "failed", "stopped", "expired")


_STARTED = "HARCHOS_CLOCK"
"""What the wall clock showed when the machine started, in UTC seconds, as an agent saw it when it began."""


def keep_clock() -> None:
    """Read the wall clock once, for this process and those that it starts.

    What they write is in order, and lasts as long as it lasted, however that clock is set meanwhile.
    """
    os.environ[_STARTED] = repr(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))


def kept_time() -> datetime:
    """Return the time by the clock that was kept, else by the wall clock."""
    started = os.environ.get(_STARTED)
    at = time.time() if started is None else float(started) + time.clock_gettime(time.CLOCK_BOOTTIME)
    return datetime.fromtimestamp(at, UTC)


def now() -> str:
    """Return the time in UTC, as every object in the mailbox has it."""
    return kept_time().isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Status:
    """Phases: starting → running → (ready) → stopping → succeeded | failed | stopped | expired."""

    phase: str = "starting"
    runner: str | None = None
    runner_detail: str = ""
    started_at: str = field(default_factory=now)
    job_started_at: str | None = None
    ready_at: str | None = None
    finished_at: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    endpoint: str | None = None
    attempt: int = 0
    item: str | None = None
    """Of a queue: the item that is being done."""
    units: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {"schema": SCHEMA, **asdict(self)}
