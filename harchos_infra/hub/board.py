"""The status as the controller sees it: changed here, published at once, tried again until it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from harchos_infra.hub.directory import Directory
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.status import Status, now

_RETRY_S = 2.0


class StatusBoard:
    """One hub's status; safe to change from any thread."""

    def __init__(self, mailbox: Mailbox, directory: Directory) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._lock = threading.Lock()
        self._pending = False
        self.status = Status()
        self.mask = Mask(())
        self.change()

    def change(self, *, only_from: str | None = None, **changes: Any) -> None:
        """Set fields and publish, if the phase still is `only_from`; `retry` publishes what failed."""
        with self._lock:
            if only_from not in (None, self.status.phase):
                return
            for name, value in changes.items():
                setattr(self.status, name, self.mask.text(value) if isinstance(value, str) else value)
            self._publish()

    def retry(self) -> None:
        """Publish again what the mailbox did not take."""
        with self._lock:
            if self._pending:
                self._publish()

    def insist(self, give_up: Callable[[], bool]) -> None:
        """Publish until it succeeds, or until `give_up` says so."""
        self.retry()
        while self._pending and not give_up():
            time.sleep(_RETRY_S)
            self.retry()

    def _publish(self) -> None:
        document = self.status.to_json()
        self._pending = True
        try:
            self._directory.write_status(document)
        except OSError as error:
            print(f"{now()} status.json in the hub's directory: {error}", flush=True)
        try:
            self._mailbox.put_json("status.json", document)
        except MailboxError as error:
            print(f"{now()} {error}", flush=True)
            return
        self._pending = False
