"""One run that this process drives in the foreground, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harchos_infra.runs.clock import Clock
from harchos_infra.runs.ledger import Lease, Ledger, LedgerUnwritableError
from harchos_infra.runs.reconcile import Reconciler

UNWRITABLE_S = 30.0
"""How long a ledger may refuse writes before the hub is taken down without it."""
UNWRITABLE_PAUSE_S = 3.0

Tell = Callable[[str, str, str], None]
"""Hears the run, and the kind and detail of an event of it."""


class DrivenRun(threading.Thread):
    """A run that is driven until it has ended (`has_ended`), has failed (`error`) or is left.

    `stir` is set when it `is_over`.
    """

    def __init__(self, ledger: Ledger, lease: Lease, clock: Clock, tell: Tell, stir: threading.Event) -> None:
        super().__init__(name=lease.run, daemon=True)
        self.lease = lease
        self.is_over = False
        self.has_ended = False
        self.error: Exception | None = None
        self._ledger, self._clock = ledger, clock
        self._tell: Callable[[str, str], None] = lambda kind, detail: tell(lease.run, kind, detail)
        self._reconciler = Reconciler(ledger, clock, self._tell)
        self._stir = stir
        self._wake, self._left = threading.Event(), threading.Event()
        self._stops: str | None = None
        self._is_asked = False

    def ask_to_stop(self, reason: str, *, hurry: bool) -> None:
        """Let the job stop; `hurry`: take its hub down at once."""
        self._reconciler.hurry = hurry
        self._stops, self._is_asked = reason, True
        self._wake.set()

    def leave(self) -> None:
        """Drive it no more, once the step under way has ended."""
        self._left.set()
        self._wake.set()
        self.join()

    def lose(self, error: Exception) -> None:
        """Drive it no more: another process does."""
        self.error = error
        self._left.set()
        self._wake.set()

    def run(self) -> None:
        """Let it act, again and again."""
        try:
            self._drive()
        finally:
            self.is_over = True
            self._stir.set()

    def _drive(self) -> None:
        unwritable_since = None
        while not self._left.is_set():
            try:
                delay_s = self._step()
                unwritable_since = None
            except LedgerUnwritableError as error:
                unwritable_since = unwritable_since or self._clock.steady_s()
                if self._clock.steady_s() - unwritable_since > UNWRITABLE_S or self._is_asked:
                    self.error = error
                    self._take_down()
                    return
                self._tell("ledger", error.what)
                delay_s = UNWRITABLE_PAUSE_S
            except Exception as error:
                self.error = error
                return
            if delay_s is None:
                self.has_ended = True
                return
            if delay_s:
                self._wake.wait(delay_s)
                self._wake.clear()

    def _step(self) -> float | None:
        if self._stops is not None:
            self._ledger.desire(self.lease.run, "stop", self._stops)
            self._stops = None
        return self._reconciler.step(self.lease)

    def _take_down(self) -> None:
        try:
            self._reconciler.take_down_unrecorded(self.lease.run)
        except Exception as error:
            self.error = error
