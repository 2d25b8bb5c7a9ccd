"""Time as the runs room sees it: injected, so that tests step it and a rehearsal shifts it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EXPIRY_MARGIN_S = 60.0
"""How long a hub may take to end itself once its TTL is over."""


class Clock(Protocol):
    """Real UTC time. A run's own clock is this plus the run's `schedule_offset_s`."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or earlier."""
        ...


def next_hour(moment: datetime) -> datetime:
    """Return the first full hour after `moment`."""
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))
