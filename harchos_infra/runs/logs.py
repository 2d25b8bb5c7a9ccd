"""The log of a run, read from the mailboxes of its hubs, one after the other, as it grows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.mailboxes import hub_box, node_boxes_of


class LogTail:
    """Reads each chunk of a run's log once; from a mailbox out of reach, nothing until it is back.

    Lines of a hub of several nodes begin with the node's mark, `[n0] `; one that has only begun
    waits for its end until the next call.
    """

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger, self._run = ledger, run
        self._hub = 0
        self._next: dict[int, int] = {}
        self._begun: dict[int, bytes] = {}

    def read(self) -> bytes:
        """Return what has been written since the last call."""
        chunks: list[bytes] = []
        hubs = [node_boxes_of(hub) for hub in self._ledger.hubs(self._run)]
        with suppress(MailboxError):
            while self._hub < len(hubs):
                last = self._hub == len(hubs) - 1
                for node, box in enumerate(hubs[self._hub]):
                    self._read_node(box, node, len(hubs[self._hub]), chunks, is_over=not last)
                if last:
                    break
                self._hub += 1
                self._next, self._begun = {}, {}
        return b"".join(chunks)

    def status(self) -> dict[str, Any]:
        """Return the latest hub's latest `harchos.status/1`; empty before the first."""
        hubs = self._ledger.hubs(self._run)
        with suppress(MailboxError):
            return (hubs and hub_box(hubs[-1]).get_json("status.json")) or {}
        return {}

    def _read_node(self, box: Mailbox, node: int, nodes: int, chunks: list[bytes], *, is_over: bool) -> None:
        before = self._next.setdefault(node, 1)
        while (chunk := box.get(f"logs/{self._next[node]:08d}.log")) is not None:
            self._begun[node] = self._begun.get(node, b"") + chunk
            self._next[node] += 1
        text, begun = self._begun.pop(node, b""), b""
        if nodes > 1 and not is_over and self._next[node] > before:
            whole, newline, begun = text.rpartition(b"\n")
            text = whole + newline
        if begun:
            self._begun[node] = begun
        chunks.append(prefixed(text, node, nodes))


class MarkedTail:
    """One of several runs' logs: each line begins with a mark, and comes when it is whole."""

    def __init__(self, tail: LogTail, mark: str) -> None:
        self._tail, self._mark = tail, mark.encode()
        self._begun = b""

    def read(self, *, is_over: bool) -> bytes:
        """Return what has been written since the last call; `is_over`: no line goes on."""
        text = self._begun + self._tail.read()
        whole, newline, self._begun = (text, b"", b"") if is_over else text.rpartition(b"\n")
        return marked(whole + newline, self._mark)


def mark_of(run: str) -> str:
    """Return what lines of a run begin with among those of others: the end of its name."""
    return f"[{run.rpartition('-')[2]}] "


def prefixed(text: bytes, node: int, nodes: int) -> bytes:
    """Return a node's log with its mark before each line; as it is where there is only one node."""
    return text if nodes == 1 else marked(text, b"[n%d] " % node)


def marked(text: bytes, mark: bytes) -> bytes:
    """Return whole lines, each with a mark before it."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    return b"".join(mark + line for line in lines)
