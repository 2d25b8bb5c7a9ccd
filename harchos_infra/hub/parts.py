"""Checkpoints of a hub of several nodes: each node stores its part, a generation names what it is made of.

`parts/00000001/…` in a node's own mailbox is what that node wrote, made valid by `parts/00000001.json`, which
is written last. A generation is a manifest in the hub's mailbox that lists the union of one part of every
node (`union.py`), so that it is there only when all of them are: what one node saved without the others never
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harchos_infra.hub.checkpoints import (
    KEPT,
    Stored,
    forget,
    generations,
    publish,
    read_manifest,
    restore,
    started,
)
from harchos_infra.hub.files import ChangingError, DamagedError, Uploads, while_it_changes
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.nodes import node_box, node_boxes
from harchos_infra.hub.union import Share, Signature, Written, united


class Parts:
    """The checkpoint directory of one of a hub's nodes; `hub` is the hub's mailbox."""

    def __init__(self, hub: Mailbox, node: int, nodes: int, directory: Path) -> None:
        self._hub = hub
        self._mailbox = node_box(hub, node)
        self._node = node
        self._nodes = nodes
        self._directory = directory
        self._share = Share(directory)
        self._stored: tuple[tuple[str, bool, Signature], ...] = ()
        self._number: int | None = None
        self._latest = 0

    def restore(self, say: Callable[[str], None]) -> int | None:
        """Fill the directory with all files of the newest valid generation; return its number.

        Raises MailboxError if the mailbox is out of reach; the same can then be tried again.
        """
        restored = restore(self._hub, self._directory, say)
        number, files = restored or (None, [])
        mine = {file.item.path for file in files if self._owner(file) == self._node}
        self._share.started(mine, {file.item.path for file in files} - mine)
        self._stored = ()
        return number

    def upload(self) -> int | None:
        """Store what this node wrote, unless the part before is the same; return its number.

        None where there is nothing. A file that changes meanwhile makes it start again. Raises ChangingError,
        MailboxError, OSError.
        """
        return while_it_changes(self._upload)

    def _upload(self) -> int | None:
        written = self._share.written()
        if not written:
            self._number = None
        elif self._number is None or written != self._stored:
            number = self._latest = 1 + max({*_numbers(self._mailbox), self._latest})
            uploads = Uploads(self._mailbox, self._directory)
            part = [
                Written(uploads.upload(path, _file(number, path)), changed) for path, changed, _ in written
            ]
            if self._share.written() != written:
                raise ChangingError("the checkpoint changed while it was uploaded")
            self._mailbox.put_json(_manifest(number), [file.to_json() for file in part])
            self._stored, self._number = written, number
        return self._number

    def _owner(self, file: Stored) -> int:
        """Return the node that stores a file which nobody changes; with fewer nodes than before the first."""
        return file.node if file.node < self._nodes else 0


class Generations:
    """What node 0 makes of the parts of all nodes."""

    def __init__(self, hub: Mailbox, nodes: int) -> None:
        self._hub = hub
        self._boxes = node_boxes(hub, nodes)
        self._last: tuple[int | None, ...] | None = None

    def publish(self, parts: Sequence[int | None]) -> int | None:
        """Make a generation of one part of each node, by number; None if there is nothing new in them.

        Raises DamagedError where a part is not there, MailboxError.
        """
        numbers = tuple(parts)
        if numbers == self._last or not any(numbers):
            return None
        united_files = united(
            [_read(box, number) if number else [] for box, number in zip(self._boxes, numbers, strict=True)]
        )
        files = [
            Stored(written.item, node, _file(numbers[node] or 0, path))
            for path, (node, written) in sorted(united_files.items())
        ]
        earlier = started(self._hub)
        number = 1 + max(earlier, default=0)
        publish(self._hub, number, files)
        self._last = numbers
        forget(self._hub, [n for n in earlier if n <= number - KEPT])
        self._forget_parts()
        return number

    def _forget_parts(self) -> None:
        """Delete the parts older than those that the generations which are left are made of."""
        needed: dict[int, int] = {}
        for number in generations(self._hub):
            for file in read_manifest(self._hub, number) or []:
                if file.part is not None:
                    part = int(file.part.split("/")[1])
                    needed[file.node] = min(part, needed.get(file.node, part))
        for node, oldest in needed.items():
            for number in sorted(n for n in _numbers(self._boxes[node]) if n < oldest):
                self._boxes[node].delete(_manifest(number))
                for entry in self._boxes[node].list(f"parts/{number:08}"):
                    self._boxes[node].delete(entry.name)


def _read(mailbox: Mailbox, number: int) -> list[Written]:
    entries = mailbox.get_json(_manifest(number))
    if entries is None:
        raise DamagedError(f"{_manifest(number)} of {mailbox.hub} is missing")
    return [Written.parse(entry) for entry in entries]


def _numbers(mailbox: Mailbox) -> set[int]:
    names = (entry.name.removeprefix("parts/")[:8] for entry in mailbox.list("parts"))
    return {int(name) for name in names if name.isdigit()}


def _file(number: int, path: str) -> str:
    return f"parts/{number:08}/{path}"


def _manifest(number: int) -> str:
    return f"parts/{number:08}.json"
