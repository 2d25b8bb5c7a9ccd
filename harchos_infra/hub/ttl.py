"""The hub's time to live, by whichever clock gets there first."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from harchos_infra.hub.status import kept_time

CLOCK_SET = "the machine's clock was set forward"
"""How the reason begins of a hub that ended because its wall clock jumped past its end."""
_JUMP_S = 1.0


class Ttl:
    """Ends at `expires` of the wall clock, or when as much time has passed as was left at the start.

    The start is that of the agent, by the clock that it kept. The second end holds when the wall clock is set
    back; the boot-time clock runs on while a machine sleeps. A wall clock that is set forward ends the hub,
    too: it may have been wrong before.
    """

    def __init__(self, expires: datetime) -> None:
        self.expires = expires
        left_s = (expires - kept_time()).total_seconds()
        self._until = time.clock_gettime(time.CLOCK_BOOTTIME) + left_s

    @classmethod
    def parse(cls, text: str) -> Ttl:
        """Read an ISO time; one without an offset is UTC. Raises ValueError."""
        time_ = datetime.fromisoformat(text)
        return cls(time_ if time_.tzinfo else time_.replace(tzinfo=UTC))

    def left_s(self) -> float:
        """Return the seconds left; 0 or less: expired."""
        return min(self._steady_left_s(), (self.expires - datetime.now(UTC)).total_seconds())

    def why(self) -> str:
        """Return why a hub ends whose time is over: at its hour, or because its clock was set forward."""
        left_s = self._steady_left_s()
        if left_s > _JUMP_S:
            return f"{CLOCK_SET}, {left_s:.0f} s before the hub's time to live ended"
        return f"the hub's time to live ended at {self.expires.isoformat()}"

    def _steady_left_s(self) -> float:
        return self._until - time.clock_gettime(time.CLOCK_BOOTTIME)
