"""Driving one run in the foreground: the loop, its lease, its log, and a user who presses Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal, Protocol

from harchos_infra.errors import HarchosError
from harchos_infra.runs.clock import Clock
from harchos_infra.runs.ledger import LEASE_S, Lease, LeaseLostError, Ledger, LedgerUnwritableError
from harchos_infra.runs.logs import LogTail
from harchos_infra.runs.reconcile import Reconciler

UNWRITABLE_S = 30.0
"""How long a ledger may refuse writes before the hub is taken down without it."""
UNWRITABLE_PAUSE_S = 3.0


Choice = Literal["detach", "cancel", "go on"]
"""What a user who presses Ctrl-C wants."""
Wish = Literal["detach", "stop", "hurry"]
"""What comes of it, and of other signals."""
INTERRUPTED: dict[Wish, str] = {"stop": "interrupted", "hurry": "interrupted again"}


class Observer(Protocol):
    """Whoever watches a run being driven."""

    def event(self, kind: str, detail: str) -> None:
        """Hear of a change."""
        ...

    def log(self, chunk: bytes) -> None:
        """Hear the job's output."""
        ...

    def progress(self, phase: str, status: dict[str, Any]) -> None:
        """Be told, twice a second, the phase and the hub's latest status."""
        ...

    def choose(self, pressed_again: Callable[[], bool]) -> Choice:
        """Ask what a Ctrl-C means; one pressed again means `cancel`, and so does nobody to ask."""
        ...


def drive(ledger: Ledger, lease: Lease, clock: Clock, observer: Observer) -> bool:
    """Drive the run to its end, or until it is detached; returns whether it has ended.

    The first Ctrl-C asks what is wanted, any other interrupt asks the job to stop, the next one takes the hub
    down at once.
    """
    reconciler = Reconciler(ledger, clock, observer.event)
    tail = LogTail(ledger, lease.run)
    with heard_interrupts() as interrupts, _renewing(ledger, lease) as renewal:
        ended = False
        unwritable_since = None
        while True:
            renewal.check()
            wish = interrupts.wish(observer)
            if wish == "detach":
                break
            if wish is not None:
                reconciler.hurry = wish == "hurry"
                ledger.desire(lease.run, "stop", INTERRUPTED[wish])
                if wish == "stop":
                    observer.event("stop", "stopping; press Ctrl-C again to take the hub down at once")
            try:
                delay = reconciler.step(lease)
                unwritable_since = None
            except LedgerUnwritableError as error:
                unwritable_since = unwritable_since or clock.steady_s()
                if clock.steady_s() - unwritable_since > UNWRITABLE_S or interrupts.heard:
                    reconciler.take_down_unrecorded(lease.run)
                    raise
                observer.event("ledger", error.what)
                delay = UNWRITABLE_PAUSE_S
            observer.log(tail.read())
            if delay is None:
                ended = True
                break
            observer.progress(ledger.run(lease.run)["phase"], tail.status())
            if delay:
                interrupts.wait(delay)
    ledger.release(lease)
    return ended


class Interrupts:
    """Signals that ask this process to end."""

    def __init__(self) -> None:
        self.count = 0
        self.heard = 0
        """How many of them have been acted on."""
        self.is_ctrl_c = False
        """Whether the last one came from the keyboard."""
        self._wake = threading.Event()

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Hear one, as a signal handler."""
        self.count += 1
        self.is_ctrl_c = number == signal.SIGINT
        self._wake.set()

    def wish(self, observer: Observer) -> Wish | None:
        """Return what is wanted since the last call; None: nothing new."""
        if self.count <= self.heard:
            return None
        if self.heard == 0 and self.is_ctrl_c:
            choice = observer.choose(lambda: self.count > 1)
            if choice == "detach":
                return "detach"
            self.count = 0 if choice == "go on" else 1
            if choice == "go on":
                return None
        self.heard = self.count
        return "hurry" if self.heard > 1 else "stop"

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or at once when an interrupt has come."""
        self._wake.wait(seconds)
        self._wake.clear()


@contextmanager
def heard_interrupts() -> Iterator[Interrupts]:
    """Hear of SIGINT, SIGTERM and SIGHUP, in place of ending by them."""
    interrupts = Interrupts()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Renewal:
    """Renews the lease at a third of its life, on a thread of its own."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger = ledger
        self._lease = lease
        self._stop = threading.Event()
        self._lost: HarchosError | None = None
        self.thread = threading.Thread(target=self._work, name="lease", daemon=True)

    def check(self) -> None:
        """Raise `LeaseLostError` once the lease is lost."""
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self.thread.join()

    def _work(self) -> None:
        while not self._stop.wait(LEASE_S / 3):
            try:
                self._ledger.renew(self._lease)
            except LeaseLostError as error:
                self._lost = error
                return
            except LedgerUnwritableError:
                continue


@contextmanager
def _renewing(ledger: Ledger, lease: Lease) -> Iterator[_Renewal]:
    renewal = _Renewal(ledger, lease)
    renewal.thread.start()
    try:
        yield renewal
    finally:
        renewal.stop()
