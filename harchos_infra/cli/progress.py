"""What a user sees while a run is driven: events, the job's log, one progress line on a terminal."""

from __future__ import annotations

import sys
import time
from select import select
from typing import TYPE_CHECKING, Any, TextIO

from harchos_infra.cli.output import discard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harchos_infra.runs.interrupts import Choice
    from harchos_infra.runs.ledger import Lease, Ledger

_QUESTION = """
d  detach: the run goes on without this terminal
c  cancel: its job may save its work, then its hub goes
g  go on as before
d, c or g? (Ctrl-C: c) """
_CLEAR = "\r\x1b[K"


class Progress:
    """Prints events and log lines; on a TTY a progress line stays below them.

    A stream that refuses (its reader is gone, the terminal is closed, the disk is full) is given up: the
    run goes on, and its log is kept in the home directory.
    """

    def __init__(self) -> None:
        self._line = ""
        self._partial = b""
        self._tty = sys.stderr.isatty()
        self._started = time.monotonic()

    def event(self, kind: str, detail: str) -> None:
        """Print one event on standard error."""
        self._write(sys.stderr, f"[{self._elapsed()}] {kind:<9} {detail}\n")

    def log(self, chunk: bytes) -> None:
        """Print whole lines of the job's output on standard output."""
        lines = (self._partial + chunk).splitlines(keepends=True)
        self._partial = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        for line in lines:
            self._write(sys.stdout, "  | " + line.decode(errors="replace").rstrip("\r\n") + "\n")

    def progress(self, phase: str, status: dict[str, Any]) -> None:
        """Redraw the progress line (only on a terminal)."""
        if not self._tty:
            return
        hub = f" · {status['phase']} ({status.get('runner', '?')})" if status.get("phase") else ""
        self._line = f"{self._elapsed()} {phase}{hub}"
        self._put(sys.stderr, f"{_CLEAR}{self._line}")

    def choose(self, pressed_again: Callable[[], bool]) -> Choice:
        """Ask on the terminal whether to detach, cancel or go on; without one, `cancel`."""
        if not (self._tty and sys.stdin.isatty()):
            return "cancel"
        self._write(sys.stderr, _QUESTION)
        answers: dict[str, Choice] = {"d": "detach", "c": "cancel", "g": "go on"}
        while not pressed_again():
            if not select([sys.stdin], [], [], 0.1)[0]:
                continue
            line = sys.stdin.readline()
            if not line:
                break
            answer = answers.get(line.strip().lower()[:1])
            if answer is not None:
                return answer
            self._put(sys.stderr, "d, c or g? ")
        return "cancel"

    def close(self) -> None:
        """Print what is left of an unfinished line and clear the progress line."""
        if self._partial:
            self.log(b"\n")
        if self._line:
            self._put(sys.stderr, _CLEAR)

    def _write(self, stream: TextIO, text: str) -> None:
        if self._line:
            self._put(sys.stderr, _CLEAR)
        self._put(stream, text)
        if self._line:
            self._put(sys.stderr, self._line)

    def _put(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            discard(stream)
            if stream is sys.stdout:
                self.event("output", f"no longer printed here: {error.strerror}")

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:d}:{seconds:02d}"


def drive_and_show(ledger: Ledger, leases: Sequence[Lease]) -> bool:
    """Drive a run, or those of a queue, in the foreground and show it; returns whether all have ended."""
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.runs.driver import drive
    from harchos_infra.runs.notify import Notifier

    progress = Progress()

    def hear(_run: str, kind: str, detail: str) -> None:
        progress.event(kind, detail)

    try:
        notifier = Notifier.of_settings(ledger, leases[0].owner, hear)
    except HarchosError as error:
        progress.event("notify", f"nobody is told: {error.what}")
        notifier = Notifier(ledger, leases[0].owner, [], hear)
    try:
        with notifier:
            return drive(ledger, leases, RealClock(), progress)
    finally:
        progress.close()
