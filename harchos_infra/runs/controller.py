"""Driving many runs at once: one process that claims what nobody drives, and lets each act when it is due.

A waiting run is a row here and an entry in a heap: no thread, no question to the database until its hour
comes. A run with a job is looked at by the time of its `status.json`, and acts when that has changed, when
its schedule says so, or every `STEADY_S`. What acts does so on one of three lanes: Terraform, planning again,
and all else.

The controller holds its runs by one lease and gives them up when it is asked to end. It never takes a hub
down because of its own troubles: hubs live without it, and end themselves.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from sqlalchemy import RowMapping

from harchos_infra.errors import HarchosError
from harchos_infra.runs.admission import Admission
from harchos_infra.runs.clock import Clock
from harchos_infra.runs.controller_held import Held, StatusFile
from harchos_infra.runs.controller_lanes import Lane
from harchos_infra.runs.ledger import LEASE_S, Lease, LeaseLostError, Ledger, LedgerUnwritableError
from harchos_infra.runs.occurrences import Occurrences
from harchos_infra.runs.reconcile import Reconciler
from harchos_infra.settings import queue_limit

TICK_S = 0.5
"""How often wishes, free runs and the jobs' own words are looked for."""
STEADY_S, REMOTE_STEADY_S, STOPPING_S = 10.0, 5.0, 1.0
"""How often a run acts whose job just runs; whose mailbox cannot be watched; whose job is to stop."""
QUEUE_S = 1.0
RECUR_S = 1.0
"""How often it is looked whether a recurring workload's tick has come."""
UNWRITABLE_PAUSE_S = 3.0
TROUBLE_S, MOST_TROUBLE_S = 15.0, 600.0
"""Pause after a step that failed, doubled each time."""
CLAIM = 100
"""Runs taken up in one transaction, so that controllers that start together share them."""
GRACE_S = 120.0
"""How long outside calls under way may take when the controller is asked to end."""
LONG, SHORT, PLANNING = 16, 4, 1
SKEW_S = 1.0

Hear = Callable[[str, str, str], None]
"""Hears of what happens: run, kind, detail."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a step: the pause it asked for, the run's row where that may have changed, what failed."""

    lease: Lease
    delay_s: float | None = None
    row: RowMapping | None = None
    status: StatusFile | None = None
    error: Exception | None = None


class Controller:
    """Drives every run of a ledger that nobody else drives, as `owner`, until it is asked to end."""

    def __init__(self, ledger: Ledger, owner: str, clock: Clock, hear: Hear) -> None:
        self._ledger, self._owner, self._clock, self._hear = ledger, owner, clock, hear
        self._admission = Admission(ledger.database, owner)
        self._held: dict[str, Held] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._done: SimpleQueue[_Done] = SimpleQueue()
        self._wake, self._ending, self._hurry = threading.Event(), threading.Event(), threading.Event()
        self._long, self._short = Lane("terraform", LONG), Lane("steps", SHORT)
        self._planning = Lane("planning", PLANNING)
        self._occurrences, self._recurring = Occurrences(ledger, clock, hear), threading.Event()
        self._renew_at = self._look_at = self._admit_at = self._recur_at = float("-inf")
        self._skew = self._skew_now()

    def end(self) -> None:
        """Ask it to end: what is under way may finish, every run is given up, no hub is touched.

        Asked twice, it does not wait for what is under way.
        """
        if self._ending.is_set():
            self._hurry.set()
        self._ending.set()
        self._wake.set()

    def run(self) -> None:
        """Drive runs until `end` is called."""
        trouble = ""
        while not self._ending.is_set():
            pause_s = TICK_S
            try:
                self._turn()
                trouble = ""
                if self._heap:
                    pause_s = min(max(self._heap[0][0] - time.monotonic(), 0.0), TICK_S)
            except LedgerUnwritableError as error:
                if error.what != trouble:
                    self._hear("-", "ledger", error.what)
                trouble, pause_s = error.what, UNWRITABLE_PAUSE_S
            self._wake.wait(pause_s)
            self._wake.clear()
        self._give_up()

    def _turn(self) -> None:
        now = time.monotonic()
        self._take_results()
        if now >= self._renew_at:
            self._admission.renew()
            self._renew_at = now + LEASE_S / 3
        if now >= self._look_at:
            self._look_at = now + TICK_S
            self._look()
        while self._heap and self._heap[0][0] <= now:
            due, _, run = heapq.heappop(self._heap)
            held = self._held.get(run)
            if held is not None and held.due == due:
                self._begin(run, held)
        if now >= self._admit_at:
            self._admit_at = now + QUEUE_S
            self._admit()
        if now >= self._recur_at and not self._recurring.is_set():
            self._recur_at = now + RECUR_S
            if self._occurrences.are_due():
                self._recurring.set()
                self._planning.put(self._recur)

    # what is new

    def _look(self) -> None:
        news = self._admission.news()
        if news.free:
            self._claim()
        for run in news.stops:
            held = self._held.get(run)
            if held is not None and not held.stops:
                held.stops, held.queued, held.hasty = True, False, held.due is None
                self._due(run, held, 0.0)
        skewed = abs(self._skew_now() - self._skew) > SKEW_S
        if skewed:
            self._skew = self._skew_now()
        for run, held in self._held.items():
            if held.due is None or held.queued:
                continue
            if (held.status is not None and held.status.has_changed()) or (skewed and held.phase != "wait"):
                self._due(run, held, 0.0)
            elif skewed:
                self._due(run, held, self._until(held))

    def _claim(self) -> None:
        for row in self._admission.claim(CLAIM):
            held = Held(Lease(row["id"], self._owner, row["epoch"]), row["priority"], due=0.0)
            held.read(row)
            self._held[row["id"]] = held
            self._due(row["id"], held, self._until(held) if held.phase == "wait" else 0.0)
            self._hear(row["id"], "taken up", f"in phase {row['phase']}")
            self._look_at = 0.0

    def _skew_now(self) -> float:
        return self._clock.now().timestamp() - time.monotonic()

    def _until(self, held: Held) -> float:
        """Return how long a run has until its schedule wants something of it, in seconds."""
        if held.stops:
            return 0.0
        return max(held.alarm.at_s - self._clock.now().timestamp(), 0.0)

    # what is due

    def _due(self, run: str, held: Held, delay_s: float) -> None:
        """Let a run act after a delay; not one that acts already."""
        if held.due is not None:
            held.due = time.monotonic() + delay_s
            heapq.heappush(self._heap, (held.due, -held.priority, run))

    def _begin(self, run: str, held: Held) -> None:
        starts = held.phase == "wait" and held.alarm.starts and not held.stops
        if starts and queue_limit(held.cloud) is not None:
            held.queued, self._admit_at = True, 0.0
            return
        self._act(run, held)

    def _admit(self) -> None:
        """Give places to runs past their start: the highest priority, then the longest wait, first."""
        queued = [(-held.priority, held.alarm.at_s, run) for run, held in self._held.items() if held.queued]
        full: set[str] = set()
        for _, _, run in sorted(queued):
            held = self._held[run]
            if held.cloud in full:
                continue
            limit = queue_limit(held.cloud)
            if limit is None or self._admission.admit(held.lease, held.cloud, limit):
                held.queued = False
                self._act(run, held)
            else:
                full.add(held.cloud)
        for _, _, run in queued:
            held = self._held[run]
            if held.queued and not held.told:
                held.told = True
                self._say(
                    held, "queue", f"waits for a place: queue.{held.cloud} is {queue_limit(held.cloud)}"
                )

    def _act(self, run: str, held: Held) -> None:
        held.due, held.hasty = None, False
        lane = self._short
        if held.phase in ("provision", "destroy"):
            lane = self._long
        elif held.phase == "wait" and not held.alarm.starts and not held.stops:
            lane = self._planning
        if held.reconciler is None:
            held.reconciler = Reconciler(
                self._ledger, self._clock, lambda kind, detail: self._hear(run, kind, detail)
            )
        reconciler, phase = held.reconciler, held.phase
        steady_s = held.alarm.at_s if held.known else 0.0
        lane.put(lambda: self._finish(self._step(held.lease, reconciler, phase, steady_s)))

    # on a lane

    def _step(self, lease: Lease, reconciler: Reconciler, phase: str, steady_s: float) -> _Done:
        """Let a run act once; until `steady_s`, its row stays as it is while its job runs."""
        try:
            delay_s = reconciler.step(lease)
            if delay_s is None:
                self._admission.vacate(lease.run)
                self._ledger.release(lease)
                return _Done(lease)
            if phase == "run" and delay_s > 0 and self._clock.now().timestamp() < steady_s:
                return _Done(lease, delay_s)
            row = self._ledger.run(lease.run)
            if row["phase"] == "wait" and phase != "wait":
                self._admission.vacate(lease.run)
            status = StatusFile.of(self._ledger.hubs(lease.run)[-1]) if row["phase"] == "run" else None
            return _Done(lease, delay_s, row, status)
        except Exception as error:
            return _Done(lease, error=error)

    def _recur(self) -> None:
        """Act on ticks that have come; what that submits is taken up like any free run."""
        try:
            self._occurrences.act()
        except HarchosError as error:
            self._hear("-", "ledger", error.what)
        finally:
            self._recurring.clear()

    def _finish(self, done: _Done) -> None:
        self._done.put(done)
        self._wake.set()

    # what came of it

    def _take_results(self) -> None:
        with suppress(Empty):
            while True:
                done = self._done.get_nowait()
                run = done.lease.run
                held = self._held.get(run)
                if held is None or held.lease != done.lease:  # it was lost, and taken up again, meanwhile
                    continue
                held.due = 0.0
                if done.error is not None:
                    self._failed(run, held, done.error)
                elif done.delay_s is None:
                    del self._held[run]
                else:
                    held.fails, held.trouble = 0, ""
                    self._go_on(done, held, done.delay_s)

    def _go_on(self, done: _Done, held: Held, delay_s: float) -> None:
        if done.row is not None:
            held.read(done.row)
            held.known = True
            if held.phase == "run":
                held.status = done.status
        if held.hasty:
            delay_s = 0.0
        elif held.phase == "wait":
            delay_s = self._until(held)
        elif held.phase == "run" and delay_s > 0:
            most_s = REMOTE_STEADY_S if held.status is None else STEADY_S
            soon_s = held.alarm.at_s - self._clock.now().timestamp()
            delay_s = STOPPING_S if held.stops or soon_s <= 0 else min(most_s, soon_s)
        self._due(done.lease.run, held, delay_s)

    def _failed(self, run: str, held: Held, error: Exception) -> None:
        if isinstance(error, LeaseLostError):
            del self._held[run]
            self._hear(run, "lease", error.what)
            return
        if isinstance(error, LedgerUnwritableError):
            self._hear(run, "ledger", error.what)
            self._due(run, held, UNWRITABLE_PAUSE_S)
            return
        pause_s = min(TROUBLE_S * 2**held.fails, MOST_TROUBLE_S)
        held.fails += 1
        trouble = str(error) or type(error).__name__
        if trouble != held.trouble:
            held.trouble = trouble
            with suppress(LeaseLostError, LedgerUnwritableError):
                self._say(held, "trouble", f"{trouble}; tried again after {pause_s:.0f} s and longer")
        self._due(run, held, pause_s)

    def _say(self, held: Held, kind: str, detail: str) -> None:
        self._ledger.update_run(held.lease, events=[(kind, detail)])
        self._hear(held.lease.run, kind, detail)

    # the end

    def _give_up(self) -> None:
        """Give every run up: those that rest at once, the others when what they do has ended."""
        until = time.monotonic() + GRACE_S
        acting = {run for run, held in self._held.items() if held.due is None}
        while True:
            with suppress(LedgerUnwritableError):
                self._admission.release(but=acting)
                if acting:
                    self._admission.renew()
            if not acting or time.monotonic() > until or self._hurry.is_set():
                break
            with suppress(Empty):
                acting.discard(self._done.get(timeout=1.0).lease.run)
        for run in sorted(acting):
            self._hear(run, "left", "in the middle of a step; whoever takes it up goes on from there")
