"""Threads on which a controller lets runs act: long steps never keep short ones waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Lane:
    """`threads` threads, begun as they are needed, that do what they are given in turn.

    They are daemons: a controller that must go leaves an outside call where it is, as a crash would.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._most = name, threads
        self._todo: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._lock = threading.Lock()

    def put(self, what: Callable[[], None]) -> None:
        """Do `what`, which must not raise, on a thread of this lane."""
        with self._lock:
            self._waiting += 1
            if self._waiting > len(self._threads) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._todo.put(what)

    def _work(self) -> None:
        while True:
            self._todo.get()()
            with self._lock:
                self._waiting -= 1
