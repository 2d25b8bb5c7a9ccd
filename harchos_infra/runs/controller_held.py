"""A run in a controller's hands: when it acts next, and what wakes it before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harchos_infra.runs import segment
from harchos_infra.runs.admission import cloud_of
from harchos_infra.runs.clock import RunClock
from harchos_infra.runs.ledger import Lease
from harchos_infra.runs.reconcile import Reconciler

Row = Mapping[Any, Any]
"""A row of the ledger."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """When a schedule wants something of its run, UTC seconds; `starts`: the start of its segment."""

    at_s: float
    starts: bool

    @classmethod
    def of(cls, run: Row) -> Alarm:
        """Return a run's next one: its start or the end of its segment, or the hour to plan it again."""
        clock = RunClock.of(run)
        waits = run["phase"] == "wait"
        leaves = segment.begins(run) if waits else segment.leaves(run)
        at_s = float("inf") if leaves is None else _real_s(clock, leaves)
        again_s = float("inf") if run["rehearsal"] else float(run["next_at"])
        return cls(min(at_s, again_s), starts=waits and at_s <= again_s)


def _real_s(clock: RunClock, moment: datetime) -> float:
    """Return the real time at which a run's own clock shows `moment`, UTC seconds."""
    since_s = (moment - clock.begun).total_seconds() - clock.offset_s
    return clock.begun.timestamp() + clock.real_s(since_s)


class StatusFile:
    """A hub's `status.json` on this machine, to be looked at without being read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    @classmethod
    def of(cls, hub: Row) -> StatusFile | None:
        """Return that of a hub's row; None where its mailbox is in an object store."""
        url = urlsplit(hub["mailbox"])
        if url.scheme != "file":
            return None
        return cls(Path(unquote(url.path)) / hub["run"] / hub["hub"] / "status.json")

    def has_changed(self) -> bool:
        """Return whether it is another one than at the last call."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        before, self._seen = self._seen, (found.st_mtime_ns, found.st_ino)
        return before != self._seen


@dataclass(slots=True)
class Held:
    """One run. `due` is on the monotonic clock: when it acts next; None while it acts."""

    lease: Lease
    priority: int
    phase: str = ""
    cloud: str = ""
    alarm: Alarm = field(default_factory=lambda: Alarm(float("inf"), starts=False))
    due: float | None = None
    known: bool = False
    """Whether its row was read since it acted here for the first time."""
    stops: bool = False
    """Whether somebody wants it to stop."""
    hasty: bool = False
    """Whether something happened while it acted, so that it acts again at once."""
    queued: bool = False
    """Whether it is past its start and waits for a place on its cloud."""
    told: bool = False
    """Whether its history says so."""
    fails: int = 0
    trouble: str = ""
    reconciler: Reconciler | None = None
    status: StatusFile | None = None

    def read(self, run: Row) -> None:
        """Take over what matters of the run's row."""
        self.phase, self.stops = run["phase"], run["desired"] == "stop"
        self.cloud = cloud_of(segment.current(run), rehearsal=run["rehearsal"])
        self.alarm = Alarm.of(run)
        if self.phase == "wait":
            self.reconciler = self.status = None
        else:
            self.told = False
