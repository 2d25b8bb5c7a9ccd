"""The hub's time to live, by whichever clock gets there first."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Ttl:
    """Ends at `expires` of the wall clock, or when as much time has passed as was left at the start.

    The second holds when the wall clock is set back; the boot-time clock runs on while a machine sleeps.
    """

    def __init__(self, expires: datetime) -> None:
        self.expires = expires
        self._until = time.clock_gettime(time.CLOCK_BOOTTIME) + (expires - datetime.now(UTC)).total_seconds()

    @classmethod
    def parse(cls, text: str) -> Ttl:
        """Read an ISO time; one without an offset is UTC. Raises ValueError."""
        time_ = datetime.fromisoformat(text)
        return cls(time_ if time_.tzinfo else time_.replace(tzinfo=UTC))

    def left_s(self) -> float:
        """Return the seconds left; 0 or less: expired."""
        return min(
            self._until - time.clock_gettime(time.CLOCK_BOOTTIME),
            (self.expires - datetime.now(UTC)).total_seconds(),
        )
