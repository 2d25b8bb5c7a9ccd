"""A directory that the nodes of a hub hold together: each stores what it wrote, the union is what they have.

Every node starts from the union of before. Of a file that is there already a node is the owner, and stores it
as it is; a file that a node changed or made it stores itself. So of a file that several nodes have, that of
one which changed it counts, and among several of those that of the lowest node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harchos_infra.hub.files import Item, regular_files

Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that a node stores; `changed`: since the node started from the union."""

    item: Item
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        return {**self.item.to_json(), "changed": self.changed}

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Written:
        """Read a manifest's entry; one of a hub of one node does not say whether it changed."""
        item = Item(str(entry["path"]), int(entry["bytes"]), str(entry["sha256"]))
        return cls(item, bool(entry.get("changed", True)))


class Share:
    """One node's copy of the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: dict[str, Signature] = {}
        self._foreign: dict[str, Signature] = {}

    def started(self, own: Iterable[str], foreign: Iterable[str]) -> None:
        """Note which files are there, and of which this node is the owner."""
        self._own = {path: self._signature(path) for path in own}
        self._foreign = {path: self._signature(path) for path in foreign}

    def written(self) -> tuple[tuple[str, bool, Signature], ...]:
        """Return path, whether it changed, and signature of each file that this node stores."""
        paths, _ = regular_files(self._directory)
        there = [(path, self._signature(path)) for path in paths]
        return tuple(
            (path, self._own.get(path) != signature, signature)
            for path, signature in there
            if self._foreign.get(path) != signature
        )

    def _signature(self, path: str) -> Signature:
        found = (self._directory / path).lstat()
        return found.st_size, found.st_mtime_ns, found.st_ino


def united(parts: Sequence[Iterable[Written]]) -> dict[str, tuple[int, Written]]:
    """Return, by path, the node whose file counts, and the file. `parts` are the nodes' in their order."""
    best: dict[str, tuple[int, Written]] = {}
    for node, part in enumerate(parts):
        for written in part:
            known = best.get(written.item.path)
            if known is None or (written.changed and not known[1].changed):
                best[written.item.path] = node, written
    return best
