"""How long the agent goes on when its mailbox is out of reach: minutes without a network cost nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harchos_infra.hub.mailbox import MailboxError

_T = TypeVar("_T")
OUTAGE_S = 900.0
"""Ten minutes without a network, and what the last attempts before and after take."""
_PAUSE_S = 2.0


class Patience:
    """Counts for how long the mailbox has not answered; `may_wait` of so many seconds says whether to go on.

    One that did not answer while checkpoints were stored is not waited for anew when it comes to logs.
    """

    def __init__(
        self,
        may_wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._may_wait = may_wait
        self._clock = clock
        self._sleep = sleep
        self._lost_at: float | None = None

    def reached(self) -> None:
        """Note that the mailbox has answered."""
        self._lost_at = None

    def wait(self) -> bool:
        """Note that it has not, and pause; False: give up."""
        if self._lost_at is None:
            self._lost_at = self._clock()
        if not self._may_wait(self._clock() - self._lost_at):
            return False
        self._sleep(_PAUSE_S)
        return True

    def insist(self, action: Callable[[], _T]) -> _T:
        """Do it until the mailbox answers. Raises MailboxError if that will not help, or when to give up."""
        while True:
            try:
                done = action()
            except MailboxError as error:
                if not error.transient or not self.wait():
                    raise
                continue
            self.reached()
            return done
