"""Driving the runs of one queue in the foreground: each on a thread of its own, all of them by one user."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from harchos_infra.runs.clock import Clock
from harchos_infra.runs.driver import (
    INTERRUPTED,
    UNWRITABLE_PAUSE_S,
    UNWRITABLE_S,
    Observer,
    heard_interrupts,
)
from harchos_infra.runs.items import Items
from harchos_infra.runs.ledger import LEASE_S, Lease, LeaseLostError, Ledger, LedgerUnwritableError
from harchos_infra.runs.logs import LogTail
from harchos_infra.runs.reconcile import POLL_S, Reconciler

TOLD = 20
"""How often, about, it is said how far a queue is."""

_Said = SimpleQueue[tuple[str, str, str]]


def drive_queue(ledger: Ledger, leases: Sequence[Lease], clock: Clock, observer: Observer) -> bool:
    """Drive the runs to their ends, or until they are detached; returns whether all of them have ended.

    An interrupt means the same to all of them (`driver.drive`). What fails in one does not keep the others
    from their ends; it is raised when they have come to them.
    """
    said: _Said = SimpleQueue()
    queue = ledger.run(leases[0].run)["queue"]
    lanes = [_Lane(ledger, lease, clock, said) for lease in leases]
    items, told = Items(ledger), 0
    with heard_interrupts() as interrupts, _renewing(ledger, lanes):
        for lane in lanes:
            lane.start()
        while any(lane.is_alive() for lane in lanes):
            wish = interrupts.wish(observer)
            if wish == "detach":
                break
            if wish is not None:
                for lane in lanes:
                    lane.ask_to_stop(INTERRUPTED[wish], hurry=wish == "hurry")
                if wish == "stop":
                    observer.event("stop", "stopping; press Ctrl-C again to take the hubs down at once")
            _hear(said, observer)
            for lane in lanes:
                observer.log(lane.tail.read())
            counts = items.counts(queue)
            if counts.done + counts.failed >= told:
                told = counts.done + counts.failed + max(counts.total // TOLD, 1)
                observer.event("items", str(counts))
            observer.progress(f"{sum(lane.is_alive() for lane in lanes)} hubs, {counts}", {})
            interrupts.wait(POLL_S)
        for lane in lanes:
            lane.leave()
    _hear(said, observer)
    for lane in lanes:
        observer.log(lane.tail.read())
    for lane in lanes:
        if not isinstance(lane.error, LeaseLostError):
            with suppress(LeaseLostError):
                ledger.release(lane.lease)
    errors = [lane.error for lane in lanes if lane.error is not None]
    if errors:
        raise errors[0]
    return all(lane.has_ended for lane in lanes)


def _hear(said: _Said, observer: Observer) -> None:
    with suppress(Empty):
        while True:
            run, kind, detail = said.get_nowait()
            observer.event(kind, f"{run}: {detail}")


class _Lane(threading.Thread):
    """One run, driven until it has ended or is left."""

    def __init__(self, ledger: Ledger, lease: Lease, clock: Clock, said: _Said) -> None:
        super().__init__(name=lease.run, daemon=True)
        self.lease = lease
        self.tail = LogTail(ledger, lease.run)
        self.has_ended = False
        self.error: Exception | None = None
        self._ledger, self._clock = ledger, clock
        self._reconciler = Reconciler(ledger, clock, lambda kind, detail: said.put((lease.run, kind, detail)))
        self._said = said
        self._wake, self._left = threading.Event(), threading.Event()
        self._asked = False

    def ask_to_stop(self, reason: str, *, hurry: bool) -> None:
        """Let the job stop; `hurry`: take its hub down at once."""
        self._asked, self._reconciler.hurry = True, hurry
        if self.is_alive():
            self._ledger.desire(self.lease.run, "stop", reason)
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
        """Step on and on."""
        unwritable_since = None
        while not self._left.is_set():
            try:
                delay_s = self._reconciler.step(self.lease)
                unwritable_since = None
            except LedgerUnwritableError as error:
                unwritable_since = unwritable_since or self._clock.steady_s()
                if self._clock.steady_s() - unwritable_since > UNWRITABLE_S or self._asked:
                    self.error = error
                    self._reconciler.take_down_unrecorded(self.lease.run)
                    return
                self._said.put((self.lease.run, "ledger", error.what))
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


@contextmanager
def _renewing(ledger: Ledger, lanes: Sequence[_Lane]) -> Iterator[None]:
    """Renew the leases of the lanes at a third of their life."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(LEASE_S / 3):
            for lane in lanes:
                if not lane.is_alive():
                    continue
                try:
                    ledger.renew(lane.lease)
                except LeaseLostError as error:
                    lane.lose(error)
                except LedgerUnwritableError:
                    continue

    thread = threading.Thread(target=work, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
