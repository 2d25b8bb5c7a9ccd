"""The log of a run, read from its mailbox as it grows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.runs.mailboxes import mailbox_url


class LogTail:
    """Reads each chunk of a run's log once; from a mailbox out of reach, nothing until it is back."""

    def __init__(self, run: str, hub: str | None = None) -> None:
        self._box = Mailbox(mailbox_url(), run, hub or f"{run}-h1")
        self._next = 1

    def read(self) -> bytes:
        """Return what has been written since the last call."""
        chunks = []
        with suppress(MailboxError):
            while (chunk := self._box.get(f"logs/{self._next:08d}.log")) is not None:
                chunks.append(chunk)
                self._next += 1
        return b"".join(chunks)

    def status(self) -> dict[str, Any]:
        """Return the hub's latest `harchos.status/1`; empty before the first."""
        with suppress(MailboxError):
            return self._box.get_json("status.json") or {}
        return {}
