"""Driving runs in the foreground: one, or those of a queue, for a user who watches and may press Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from harchos_infra.runs.clock import Clock
from harchos_infra.runs.driven import DrivenRun
from harchos_infra.runs.interrupts import Choice, Wish, heard_interrupts
from harchos_infra.runs.items import Items
from harchos_infra.runs.ledger import LEASE_S, Lease, LeaseLostError, Ledger, LedgerUnwritableError
from harchos_infra.runs.logs import LogTail, MarkedTail, mark_of
from harchos_infra.runs.reconcile import POLL_S

_INTERRUPTED: dict[Wish, str] = {"stop": "interrupted", "hurry": "interrupted again"}
TOLD = 20
"""How often, about, it is said how far a queue is."""


class Observer(Protocol):
    """Whoever watches runs being driven."""

    def event(self, kind: str, detail: str) -> None:
        """Hear of a change."""
        ...

    def log(self, chunk: bytes) -> None:
        """Hear the output of a job."""
        ...

    def progress(self, phase: str, status: dict[str, Any]) -> None:
        """Be told, twice a second, the phase and the hub's latest status."""
        ...

    def choose(self, pressed_again: Callable[[], bool]) -> Choice:
        """Ask what a Ctrl-C means; one pressed again means `cancel`, and so does nobody to ask."""
        ...


def drive(ledger: Ledger, leases: Sequence[Lease], clock: Clock, observer: Observer) -> bool:
    """Drive a run, or those of one queue, until they have ended or are detached; returns whether all ended.

    The first Ctrl-C asks what is wanted, any other interrupt asks the jobs to stop, the next one takes the
    hubs down at once. What fails in one run does not keep the others from their ends; it is raised when they
    have come to them.
    """
    stir = threading.Event()
    show = _Show(ledger, leases, observer, stir)
    runs = [DrivenRun(ledger, lease, clock, show.hear, stir) for lease in leases]
    with heard_interrupts(stir) as interrupts, _renewing(ledger, runs):
        for run in runs:
            run.start()
        while not all(run.is_over for run in runs):
            wish = interrupts.wish(observer.choose)
            if wish == "detach":
                break
            if wish is not None:
                for run in runs:
                    run.ask_to_stop(_INTERRUPTED[wish], hurry=wish == "hurry")
                if wish == "stop":
                    observer.event("stop", "stopping; press Ctrl-C again to take the hub down at once")
            show.show(runs)
            stir.wait(POLL_S)
            stir.clear()
        for run in runs:
            run.leave()
    show.show(runs)
    for run in runs:
        if run.error is None:
            with suppress(LeaseLostError):
                ledger.release(run.lease)
    for run in runs:
        if run.error is not None:
            raise run.error
    return all(run.has_ended for run in runs)


class _Show:
    """Tells an observer what happens to runs: events at once, logs and progress when asked to.

    Of several runs each event and each line of a log says whose it is.
    """

    def __init__(
        self, ledger: Ledger, leases: Sequence[Lease], observer: Observer, stir: threading.Event
    ) -> None:
        self._ledger, self._observer, self._stir = ledger, observer, stir
        self._queue: str | None = ledger.run(leases[0].run)["queue"]
        self._items, self._told = Items(ledger), 0
        self._tails = {lease.run: LogTail(ledger, lease.run) for lease in leases}
        self._marked = {run: MarkedTail(tail, mark_of(run)) for run, tail in self._tails.items()}
        self._said: SimpleQueue[tuple[str, str, str]] = SimpleQueue()

    def hear(self, run: str, kind: str, detail: str) -> None:
        """Take an event of a run, on any thread."""
        self._said.put((run, kind, detail))
        self._stir.set()

    def show(self, runs: Sequence[DrivenRun]) -> None:
        """Tell what is new; a ledger that is out of reach has nothing to say meanwhile."""
        over = {run.lease.run for run in runs if run.is_over}
        with suppress(Empty):
            while True:
                run, kind, detail = self._said.get_nowait()
                self._observer.event(kind, detail if self._queue is None else f"{run}: {detail}")
        with suppress(LedgerUnwritableError):
            self._show_work(len(runs) - len(over), over)

    def _show_work(self, hubs: int, over: set[str]) -> None:
        for run, tail in self._tails.items():
            chunk = tail.read() if self._queue is None else self._marked[run].read(is_over=run in over)
            self._observer.log(chunk)
        if self._queue is not None:
            self._show_items(self._queue, hubs)
            return
        for run, tail in self._tails.items():
            self._observer.progress(self._ledger.run(run)["phase"], tail.status())

    def _show_items(self, queue: str, hubs: int) -> None:
        counts = self._items.counts(queue)
        if counts.done + counts.failed >= self._told:
            self._told = counts.done + counts.failed + max(counts.total // TOLD, 1)
            self._observer.event("items", str(counts))
        self._observer.progress(f"{hubs} hubs, {counts}", {})


@contextmanager
def _renewing(ledger: Ledger, runs: Sequence[DrivenRun]) -> Iterator[None]:
    """Renew the leases of runs at a third of their life."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(LEASE_S / 3):
            for run in runs:
                if run.is_over:
                    continue
                try:
                    ledger.renew(run.lease)
                except LeaseLostError as error:
                    run.lose(error)
                except LedgerUnwritableError:
                    continue

    thread = threading.Thread(target=work, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
