"""Time as the runs room sees it: injected, so that tests step it and a rehearsal shifts it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

EXPIRY_MARGIN_S = 60.0
"""How long a hub may take to end itself once its TTL is over."""


class Clock(Protocol):
    """Real UTC time. A run's own clock is its `RunClock`."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""
        ...

    def steady_s(self) -> float:
        """Return seconds that pass alike however the time is set; only their difference says something."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or earlier."""
        ...


@dataclass(frozen=True, slots=True)
class RunClock:
    """A run's own clock: real time, or in a rehearsal the plan's, `speed` times as fast.

    At `begun` (real) it shows `begun + offset_s`.
    """

    begun: datetime
    offset_s: float
    speed: float

    @classmethod
    def of(cls, run: Mapping[Any, Any]) -> RunClock:
        """Return the clock of a run's row."""
        begun = datetime.fromtimestamp(run["created_at"], UTC)
        return cls(begun, run["schedule_offset_s"], run["speed"])

    def at(self, real: datetime) -> datetime:
        """Return what it shows at a real time."""
        return self.begun + timedelta(seconds=self.offset_s) + self.speed * (real - self.begun)

    def real_s(self, seconds: float) -> float:
        """Return how many real seconds it takes for as many of its own."""
        return seconds / self.speed


def next_hour(moment: datetime) -> datetime:
    """Return the first full hour after `moment`."""
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.now(UTC)

    def steady_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))
