"""The job's merged output, masked, as consecutive objects `logs/00000001.log` …, at most a second old.

Reading never waits for the mailbox: what cannot be uploaded yet is kept in memory, up to a bound beyond
which the oldest goes and a line says how much was lost. The pipe is drained by its own thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask

CHUNK_BYTES = 1 << 20
BUFFER_BYTES = 64 << 20
PERIOD_S = 0.5
_READ_BYTES = 1 << 16


class LogShipper:
    """Collects output from any number of pipes and ships it in order."""

    def __init__(self, mailbox: Mailbox, mask: Mask) -> None:
        self._mailbox = mailbox
        self._mask = mask
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._lost = 0
        self._failing = False
        self._next = 1 + max((_number(e.name) for e in mailbox.list("logs")), default=0)
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

    def close(self, timeout_s: float) -> str | None:
        """Ship what is left; return None, or what was lost because it could not be shipped in time."""
        self._closed.set()
        self._thread.join()
        until = time.monotonic() + timeout_s
        while self._chunks and time.monotonic() < until:
            time.sleep(PERIOD_S)
            self._ship()
        return f"{self._held} bytes of output could not be stored" if self._chunks else None

    def _read_on(self, descriptor: int) -> None:
        mask = self._mask.stream()
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while data := pipe.read(_READ_BYTES):
                self._add(mask.feed(data))
        self._add(mask.close())

    def _add(self, data: bytes) -> None:
        if not data:
            return
        with self._lock:
            self._chunks.append(data)
            self._held += len(data)
            while self._held > BUFFER_BYTES:
                dropped = len(self._chunks.popleft())
                self._held -= dropped
                self._lost += dropped

    def _ship_on(self) -> None:
        while not self._closed.wait(PERIOD_S):
            self._ship()
        self._ship()

    def _ship(self) -> None:
        """Upload full chunks and one that is not; what fails is taken back and tried next time."""
        while chunk := self._take():
            try:
                self._mailbox.put(f"logs/{self._next:08}.log", chunk)
            except MailboxError as error:
                with self._lock:
                    self._chunks.appendleft(chunk)
                    self._held += len(chunk)
                if not self._failing:
                    self._failing = True
                    self.note(f"output is kept in memory: {error}")
                return
            self._failing = False
            self._next += 1
            if len(chunk) < CHUNK_BYTES:
                return

    def _take(self) -> bytes:
        with self._lock:
            parts: list[bytes] = []
            size = 0
            if self._lost:
                parts.append(f"\n[harchos] {self._lost} bytes of output were lost here\n".encode())
                self._lost = 0
            while self._chunks and size < CHUNK_BYTES:
                part = self._chunks.popleft()
                room = CHUNK_BYTES - size
                if len(part) > room:
                    self._chunks.appendleft(part[room:])
                    part = part[:room]
                parts.append(part)
                size += len(part)
            self._held -= size
            return b"".join(parts)


def _number(name: str) -> int:
    digits = name.removeprefix("logs/").removesuffix(".log")
    return int(digits) if digits.isdigit() else 0
