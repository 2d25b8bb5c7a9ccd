"""What the controller wants of the hub: `control.json`, looked at every second."""

from __future__ import annotations

import threading

from harchos_infra.hub.mailbox import Mailbox, MailboxError

PERIOD_S = 1.0


class Control:
    """Holds why the job should end, and within how many seconds, once the controller wants that."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.end: str | None = None
        self.grace_s: float | None = None
        threading.Thread(target=self._look_on, name="control", daemon=True).start()

    def _look_on(self) -> None:
        pause = threading.Event()
        while True:
            self._look()
            pause.wait(PERIOD_S)

    def _look(self) -> None:
        try:
            value = self._mailbox.get_json("control.json")
        except MailboxError:
            return
        if isinstance(value, dict) and value.get("want") in ("checkpoint", "stop"):
            grace_s = value.get("grace_s")
            self.grace_s = float(grace_s) if isinstance(grace_s, int | float) else None
            self.end = str(value.get("reason") or f"{value['want']} asked for")
