"""The agent's sign of life in the mailbox, every two seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.status import now

PERIOD_S = 2.0


class Heartbeat:
    """Writes `heartbeat.json` until closed; a beat that cannot be written is not made up for."""

    def __init__(self, mailbox: Mailbox, phase: Callable[[], str]) -> None:
        self._mailbox = mailbox
        self._phase = phase
        self._seq = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Write the last beat."""
        self._closed.set()
        self._thread.join(timeout_s)

    def _beat_on(self) -> None:
        self._beat()
        while not self._closed.wait(PERIOD_S):
            self._beat()
        self._beat()

    def _beat(self) -> None:
        self._seq += 1
        try:
            self._mailbox.put_json("heartbeat.json", {"at": now(), "seq": self._seq, "phase": self._phase()})
        except MailboxError as error:
            print(f"{now()} heartbeat {self._seq}: {error}", flush=True)
