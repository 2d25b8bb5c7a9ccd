"""Why a job should end before it does so by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from harchos_infra.hub import proc
from harchos_infra.hub.control import Control
from harchos_infra.hub.patience import OUTAGE_S
from harchos_infra.hub.spot_notice import SpotNotice
from harchos_infra.hub.ttl import Ttl

EXPIRED_GRACE_S = 10.0
_HURRIED_S = 10.0
_JOB_SHARE = 0.5
"""Of the time until a spot machine goes: for the job to save; the rest is for the upload."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The phase to end in, why, and how long the job may take at most (None: as long as it says itself)."""

    phase: str
    reason: str
    grace_s: float | None


class Endings:
    """Watches the TTL, the agent's signals, the cloud's spot notice, the controller and the other nodes."""

    def __init__(self, ttl: Ttl) -> None:
        self._ttl = ttl
        self._signalled: str | None = None
        self._guard_died = False
        self.control: Control | None = None
        self.spot: SpotNotice | None = None
        self.gang: Callable[[], Ending | None] = lambda: None

    def take_signals(self) -> None:
        """SIGTERM asks for a graceful end; SIGUSR1 comes from the kernel when the guard has died."""
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_guard_died)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        proc.become_subreaper()

    def now(self) -> Ending | None:
        """Return why the job should end now; None: it may go on."""
        return self.own() or self.gang()

    def own(self) -> Ending | None:
        """Return why this node by itself should end the job."""
        if self._guard_died:
            return Ending("failed", "the agent's guard was killed", 0.0)
        if self._ttl.left_s() <= 0:
            return Ending("expired", self._ttl.why(), EXPIRED_GRACE_S)
        notice = self.spot.notice if self.spot else None
        if notice:
            return Ending("stopped", f"spot notice: {notice.why}", notice.left_s() * _JOB_SHARE)
        if self._signalled:
            return Ending("stopped", self._signalled, None)
        if self.control and self.control.end:
            return Ending("stopped", self.control.end, self.control.grace_s)
        return None

    def may_wait(self, lost_s: float) -> bool:
        """Return whether to go on trying to store something after `lost_s` seconds without the mailbox.

        Not for long once the machine is about to go; to the last second of a spot notice.
        """
        if self._guard_died or self._ttl.left_s() <= 0:
            return lost_s <= _HURRIED_S
        notice = self.spot.notice if self.spot else None
        if notice:
            return notice.left_s() > 0
        return lost_s <= (_HURRIED_S if self._signalled else OUTAGE_S)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = "the hub was asked to stop"

    def _on_guard_died(self, _number: int, _frame: FrameType | None) -> None:
        self._guard_died = True
