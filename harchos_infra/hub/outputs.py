"""The job's outputs in the mailbox: files first, then the manifest `outputs.json`.

What the hub before had put out lies under `carried/`, its manifest is `carried.json`: a hub that dies while
it stores its own leaves that whole.

Of a hub of several nodes each stores what it wrote (`union.py`). Where two wrote a file of one name and it is
not the same, that of the lower node has the name, and that of node i is `n<i>/<name>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from harchos_infra.hub.files import (
    ChangingError,
    DamagedError,
    Item,
    Uploads,
    download,
    regular_files,
    sha256,
)
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.union import Share, Written, united

Found = tuple[Mailbox, str, Item]
"""A file that was put out: the mailbox and the object that hold it, and what it is; its path is its name."""
UNITS = "units.json"
_OWN = re.compile(r"n[1-9]\d*/")


class Outputs:
    """`$HARCHOS_OUTPUT_DIR` of one node; `mailbox` is its own."""

    def __init__(self, mailbox: Mailbox, directory: Path, node: int = 0) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._node = node
        self._share = Share(directory)
        self._uploads = Uploads(mailbox, directory)

    def restore(self, found: Sequence[Found]) -> int:
        """Start from what was put out before; return how many files. Raises MailboxError.

        Node 0 gets all of it, another node the files of one name as it had them itself.
        """
        try:
            paths = [self._restore(*each) for each in _seen_by(self._node, found)]
        except DamagedError as error:
            raise MailboxError(f"carried outputs: {error}") from error
        self._share.started(*((paths, []) if self._node == 0 else ([], paths)))
        return len(paths)

    def upload(self) -> list[str]:
        """Upload what this node wrote; return what was refused. Raises MailboxError, OSError: call again."""
        _, refused = regular_files(self._directory)
        manifest = []
        for path, changed, _ in self._share.written():
            try:
                item = self._uploads.upload(path, f"outputs/{path}")
            except ChangingError:
                item = self._uploads.upload(path, f"outputs/{path}")
            manifest.append(Written(item, changed).to_json())
        self._mailbox.put_json("outputs.json", manifest)
        return refused

    def units(self) -> dict[str, float]:
        """Return the numbers in `units.json`, if this node wrote any."""
        wrote = any(path == UNITS for path, _, _ in self._share.written())
        return reported_units(self._directory) if wrote else {}

    def _restore(self, box: Mailbox, name: str, item: Item) -> str:
        target = self._directory / item.path
        if not _is_there(target, item):
            download(box, name, item, self._directory)
        return item.path


def put_out(boxes: Sequence[Mailbox]) -> list[Found] | None:
    """Return what the nodes of a hub have put out, by path; None unless all have. Raises MailboxError."""
    manifests = [box.get_json("outputs.json") for box in boxes]
    if any(manifest is None for manifest in manifests):
        return None
    parts = [_parse(manifest, box) for manifest, box in zip(manifests, boxes, strict=True)]
    best = united(parts)
    found = {path: (boxes[node], f"outputs/{path}", file.item) for path, (node, file) in best.items()}
    for node, part in enumerate(parts):
        for file in part:
            winner, counts = best[file.item.path]
            if winner != node and file.changed and counts.item != file.item:
                own = Item(f"n{node}/{file.item.path}", file.item.bytes, file.item.sha256)
                found[own.path] = boxes[node], f"outputs/{file.item.path}", own
    return [found[path] for path in sorted(found)]


def carried(mailbox: Mailbox) -> list[Found]:
    """Return what the hub before had put out, if this one goes on from its work. Raises MailboxError."""
    items = (file.item for file in _parse(mailbox.get_json("carried.json") or [], mailbox))
    return [(mailbox, f"carried/{item.path}", item) for item in items]


def _parse(manifest: object, box: Mailbox) -> list[Written]:
    try:
        return [Written.parse(entry) for entry in manifest]  # type: ignore[attr-defined]
    except (TypeError, KeyError, ValueError) as error:
        raise MailboxError(f"the manifest of outputs in {box.url} of {box.hub} cannot be read") from error


def _seen_by(node: int, found: Sequence[Found]) -> list[Found]:
    """Return the files as a node sees them: its own of each name, none that is another's own."""
    if node == 0:
        return list(found)
    mine = f"n{node}/"
    own = {
        item.path.removeprefix(mine): (box, name, item)
        for box, name, item in found
        if item.path.startswith(mine)
    }
    seen = []
    for box, name, item in found:
        if item.path in own:
            box, name, theirs = own[item.path]
            item = Item(item.path, theirs.bytes, theirs.sha256)
        if not _OWN.match(item.path):
            seen.append((box, name, item))
    return seen


def _is_there(file: Path, item: Item) -> bool:
    try:
        return file.stat().st_size == item.bytes and sha256(file) == item.sha256
    except OSError:
        return False


def reported_units(directory: Path) -> dict[str, float]:
    """Return the numbers in `units.json`, if the job left any."""
    try:
        value = json.loads((directory / UNITS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        str(name): float(n)
        for name, n in value.items()
        if isinstance(n, int | float) and not isinstance(n, bool)
    }
