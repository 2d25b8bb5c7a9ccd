"""The job's merged output, masked, as consecutive objects `logs/00000001.log` …, at most a second old.

Reading never waits for the mailbox: what cannot be uploaded yet waits on this machine's disk. Where that is
full the oldest goes, and a line says how much was lost. The pipe is drained by its own thread.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.series import Series
from harchos_infra.hub.spool import Spool

CHUNK_BYTES = 1 << 20
PERIOD_S = 0.5
_READ_BYTES = 1 << 16


class LogShipper:
    """Collects output from any number of pipes and ships it in order; `directory` holds what waits."""

    def __init__(self, mailbox: Mailbox, mask: Mask, directory: Path) -> None:
        self._series = Series(mailbox, "logs", ".log")
        self._mask = mask
        self._spool = Spool(directory)
        self._chunk = b""
        """Taken from the spool and not known to be stored; it is tried again as it is."""
        self._failing = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._ship_on, name="logs", daemon=True)
        self._thread.start()

    def note(self, text: str) -> None:
        """Add a line of the agent's own."""
        self._add(self._mask.text(f"[harchos] {text}\n").encode())

    def read(self, descriptor: int) -> threading.Thread:
        """Read a pipe to its end in a thread of its own; the descriptor is closed there."""
        thread = threading.Thread(target=self._read_on, args=(descriptor,), name="output", daemon=True)
        thread.start()
        return thread

    def close(self, patience: Patience) -> str | None:
        """Ship what is left; return None, or what was lost because it could not be shipped."""
        self._closed.set()
        self._thread.join()
        while left := self._left():
            self._ship()
            if self._left() < left:
                patience.reached()
            elif not patience.wait():
                return f"{left} bytes of output could not be stored"
        self._spool.close()
        return None

    def _read_on(self, descriptor: int) -> None:
        mask = self._mask.stream()
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while data := pipe.read(_READ_BYTES):
                self._add(mask.feed(data))
        self._add(mask.close())

    def _add(self, data: bytes) -> None:
        with self._lock:
            self._spool.add(data)

    def _left(self) -> int:
        with self._lock:
            return len(self._spool) + len(self._chunk)

    def _ship_on(self) -> None:
        while not self._closed.wait(PERIOD_S):
            self._ship()
        self._ship()

    def _ship(self) -> None:
        """Upload full chunks and one that is not, until one fails."""
        while chunk := self._chunk or self._take():
            self._chunk = chunk
            try:
                self._series.append(chunk)
            except MailboxError as error:
                if not self._failing:
                    self._failing = True
                    self.note(f"output is kept on this machine until the mailbox takes it: {error}")
                return
            self._chunk = b""
            self._failing = False
            if len(chunk) < CHUNK_BYTES:
                return

    def _take(self) -> bytes:
        with self._lock:
            lost, self._spool.lost = self._spool.lost, 0
            gap = f"\n[harchos] {lost} bytes of output were lost here\n".encode() if lost else b""
            return gap + self._spool.take(CHUNK_BYTES)
