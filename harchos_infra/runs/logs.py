"""The log of a run, read from the mailboxes of its hubs, one after the other, as it grows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.mailboxes import hub_box


class LogTail:
    """Reads each chunk of a run's log once; from a mailbox out of reach, nothing until it is back."""

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger, self._run = ledger, run
        self._hub = 0
        self._next = 1

    def read(self) -> bytes:
        """Return what has been written since the last call."""
        chunks: list[bytes] = []
        boxes = [hub_box(hub) for hub in self._ledger.hubs(self._run)]
        with suppress(MailboxError):
            while self._hub < len(boxes):
                self._read_hub(boxes[self._hub], chunks)
                if self._hub == len(boxes) - 1:
                    break
                self._hub, self._next = self._hub + 1, 1
        return b"".join(chunks)

    def status(self) -> dict[str, Any]:
        """Return the latest hub's latest `harchos.status/1`; empty before the first."""
        hubs = self._ledger.hubs(self._run)
        with suppress(MailboxError):
            return (hubs and hub_box(hubs[-1]).get_json("status.json")) or {}
        return {}

    def _read_hub(self, box: Mailbox, chunks: list[bytes]) -> None:
        while (chunk := box.get(f"logs/{self._next:08d}.log")) is not None:
            chunks.append(chunk)
            self._next += 1
