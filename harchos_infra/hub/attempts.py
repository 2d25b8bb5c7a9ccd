"""The job's attempts: start it, watch it, end it, and start it again if it may."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from harchos_infra.hub import service
from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.directory import Directory
from harchos_infra.hub.ending import Ending, Endings
from harchos_infra.hub.gang import KILLED, Gang, Store
from harchos_infra.hub.job import Job
from harchos_infra.hub.log_shipper import LogShipper
from harchos_infra.hub.runner import JobLostError, Runner, RunnerError
from harchos_infra.hub.status import now

_TICK_S = 0.05
_DRAIN_S = 5.0
_RETRY_PAUSE_S = 1.0


class Watch(Protocol):
    """Something done again and again while the job runs."""

    def close(self) -> None:
        """Do it no more."""


class Attempts:
    """Runs the job up to `max_retries + 1` times; `watches` are started with each attempt.

    `gang` has a word in it where the hub has several nodes, and `store` is what the node then keeps between
    attempts. `last_look` is taken just before the job is asked to end: what it served since the last watch
    counts, too.
    """

    def __init__(
        self,
        job: Job,
        runner: Runner,
        environment: dict[str, str],
        board: StatusBoard,
        logs: LogShipper,
        endings: Endings,
        directory: Directory,
        watches: Callable[[], list[Watch]],
        last_look: Callable[[], object],
        gang: Gang,
        store: Store,
    ) -> None:
        self._job = job
        self._runner = runner
        self._environment = environment
        self._board = board
        self._logs = logs
        self._endings = endings
        self._directory = directory
        self._watches = watches
        self._last_look = last_look
        self._gang = gang
        self._store = store
        self._where = ""
        self._lost: JobLostError | None = None

    def run(self) -> tuple[str, str | None]:
        """Return the final phase and its reason. Raises RunnerError if the job cannot be started."""
        last = self._job.max_retries + 1
        for attempt in range(1, last + 1):
            ending = None
            try:
                ending = self._endings.now() or self.once(attempt)
                failure = describe(self._board.status.exit_code) + self._where
            except JobLostError as error:
                if attempt == last or self._endings.now():
                    raise
                failure = str(error)
            if ending:
                return ending.phase, ending.reason
            if self._board.status.exit_code == 0:
                return "succeeded", None
            if attempt < last:
                self._logs.note(f"attempt {attempt} of {last} failed: {failure}; starting again")
                time.sleep(_RETRY_PAUSE_S)
                self._gang.again(attempt + 1, self._store)
        return "failed", failure

    def once(self, attempt: int, more: Mapping[str, str] | None = None) -> Ending | None:
        """Run the job once; return why it was ended, None if it ended by itself.

        The status then has its exit code. `more`: what it is told beside its environment.
        Raises JobLostError.
        """
        self._lost = None
        told = self._gang.begin(attempt)
        if told is None:
            return self._endings.now()
        own = {name for name in self._job.env if not name.startswith("HARCHOS_")}
        self._environment |= {name: value for name, value in told.items() if name not in own}
        if self._job.service and service.port_taken(self._job.service):
            raise RunnerError(f"port {self._job.service.port} is already in use on this machine")
        reader = self._logs.read(self._runner.start(self._job.command, {**self._environment, **(more or {})}))
        self._board.change(
            phase="running",
            attempt=attempt,
            exit_code=None,
            job_started_at=self._board.status.job_started_at or now(),
        )
        watches = self._watches()
        try:
            ending = self._wait()
            code = self._poll()
        finally:
            for watch in watches:
                watch.close()
            self._runner.kill()
            reader.join(_DRAIN_S)
        code, self._where = self._gang.settle(self._poll() if code is None else code)
        if self._lost is not None:
            raise self._lost
        self._board.change(exit_code=code)
        return ending

    def _poll(self) -> int | None:
        """Return how the job ended; to the gang, one of which nothing can be told any more was killed."""
        try:
            return self._runner.poll() if self._lost is None else KILLED
        except JobLostError as error:
            self._lost = error
            return KILLED

    def _wait(self) -> Ending | None:
        while not self._gang.over(self._poll()):
            ending = self._endings.now()
            if ending:
                return self._end(ending)
            time.sleep(_TICK_S)
        return None

    def _end(self, ending: Ending) -> Ending:
        """Ask the job to save and end, wait as long as it may take; return why in the end."""
        self._board.change(phase="stopping", reason=ending.reason)
        until = time.monotonic() + self._grace_s(ending)
        if until > time.monotonic():
            self._last_look()
        self._checkpoint(until)
        if self._poll() is None and until > time.monotonic():
            self._runner.terminate()
        while self._poll() is None and time.monotonic() < until:
            later = self._endings.now()
            if later and (later.phase, later.grace_s) != (ending.phase, ending.grace_s):
                ending = later
                until = min(until, time.monotonic() + self._grace_s(later))
            time.sleep(_TICK_S)
        return ending

    def _grace_s(self, ending: Ending) -> float:
        checkpoint = self._job.checkpoint
        asked = [
            checkpoint.grace_s if checkpoint else self._job.grace_s,
            ending.grace_s,
            self._directory.stop_grace_s(),
        ]
        return min(seconds for seconds in asked if seconds is not None)

    def _checkpoint(self, until: float) -> None:
        command = self._job.checkpoint.command if self._job.checkpoint else None
        if command is None or until <= time.monotonic():
            return
        try:
            code = self._runner.execute(command, self._environment, until - time.monotonic(), self._logs.read)
        except RunnerError as error:
            self._logs.note(f"checkpoint command: {error}")
            return
        if code != 0:
            self._logs.note(f"checkpoint command: {describe(code)}")


class Repeated:
    """A watch that calls something every `period_s` in a thread of its own, until closed or told to stop."""

    def __init__(
        self, name: str, period_s: float, action: Callable[[], bool], delay_s: float | None = None
    ) -> None:
        self._closed = threading.Event()
        self._period_s = period_s
        self._delay_s = period_s if delay_s is None else delay_s
        self._action = action
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for a call in progress to end, and make no more."""
        self._closed.set()
        self._thread.join()

    def _repeat(self) -> None:
        pause_s = self._delay_s
        while not self._closed.wait(pause_s) and self._action():
            pause_s = self._period_s


def describe(code: int | None) -> str:
    """Say how the job ended."""
    if code is None:
        return "the job did not end"
    if code > 128:
        try:
            return f"the job was ended by {signal.Signals(code - 128).name} (exit code {code})"
        except ValueError:
            pass
    return f"the job exited with code {code}"
