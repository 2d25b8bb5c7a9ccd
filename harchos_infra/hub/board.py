"""The status as the controller sees it: changed here, published at once, tried again until it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from harchos_infra.hub.directory import Directory
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.status import Status, now

_RETRY_S = 2.0
_TICK_S = 0.1


class StatusBoard:
    """One hub's status; safe to change from any thread, none of which waits for the mailbox.

    The mailbox gets the latest status in a thread of its own; the hub's directory has each at once.
    """

    def __init__(self, mailbox: Mailbox, directory: Directory) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._changes = 0
        self._published = 0
        self.status = Status()
        self.mask = Mask(())
        self.change()
        threading.Thread(target=self._publish_on, name="status", daemon=True).start()

    def change(self, *, only_from: str | None = None, **changes: Any) -> None:
        """Set fields and publish, if the phase still is `only_from`."""
        with self._changed:
            if only_from not in (None, self.status.phase):
                return
            for name, value in changes.items():
                setattr(self.status, name, self.mask.text(value) if isinstance(value, str) else value)
            try:
                self._directory.write_status(self.status.to_json())
            except OSError as error:
                print(f"{now()} status.json in the hub's directory: {error}", flush=True)
            self._changes += 1
            self._changed.notify_all()

    def insist(self, give_up: Callable[[], bool]) -> None:
        """Wait until the mailbox has the latest status, or until `give_up` says so."""
        with self._changed:
            while self._published < self._changes and not give_up():
                self._changed.wait(_TICK_S)

    def _publish_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._published < self._changes)
                document, change = self.status.to_json(), self._changes
            try:
                self._mailbox.put_json("status.json", document)
            except MailboxError as error:
                print(f"{now()} {error}", flush=True)
                with self._changed:
                    self._changed.wait(_RETRY_S)
                continue
            with self._changed:
                self._published = change
                self._changed.notify_all()
