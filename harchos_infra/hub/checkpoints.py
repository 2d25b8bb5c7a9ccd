"""Checkpoints in the mailbox: generations `checkpoints/00000001/…`, each made valid by its manifest.

`checkpoints/00000001.json` is written last, so a generation that was torn by a dying hub has none and is
never restored; one whose files do not match it is passed over for the one before. `checkpoints.json` names
the newest, so that a listing that lags behind hides none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harchos_infra.hub.files import (
    ChangingError,
    DamagedError,
    Item,
    Uploads,
    download,
    regular_files,
    while_it_changes,
)
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.nodes import node_box
from harchos_infra.hub.status import now

SCHEMA = "harchos.checkpoint/1"
NEWEST = "checkpoints.json"
KEPT = 2
"""Generations that are kept."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a generation: which node wrote it, and the object that holds it.

    `part` is an object in that node's own mailbox (`parts.py`); None: the file lies with the generation.
    """

    item: Item
    node: int = 0
    part: str | None = None

    def lies(self, mailbox: Mailbox, number: int) -> tuple[Mailbox, str]:
        """Return mailbox and name of the object, for the generation of this number of a hub's mailbox."""
        if self.part is None:
            return mailbox, file_name(number, self.item.path)
        return node_box(mailbox, self.node), self.part

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        node = {"node": self.node} if self.node else {}
        return {**self.item.to_json(), **node, **({"part": self.part} if self.part else {})}


def generations(mailbox: Mailbox) -> list[int]:
    """Return the numbers of generations that have a manifest, newest first. Raises MailboxError."""
    names = (entry.name.removeprefix("checkpoints/") for entry in mailbox.list("checkpoints"))
    found = {int(n[:8]) for n in names if n[:8].isdigit() and n[8:] == ".json"}
    newest = None
    with suppress(ValueError):  # torn by a machine that died
        newest = json.loads(mailbox.get(NEWEST) or b"null")
    if isinstance(newest, dict) and isinstance(newest.get("generation"), int):
        # The next may have got its manifest just before its hub died; the one before is kept as well.
        near = {newest["generation"] + step for step in (-1, 0, 1)} - found
        found |= {number for number in near if number > 0 and mailbox.exists(manifest_name(number))}
    return sorted(found, reverse=True)


def read_manifest(mailbox: Mailbox, number: int) -> list[Stored] | None:
    """Return the files of a generation; None if it has no manifest. Raises DamagedError, MailboxError."""
    data = mailbox.get(manifest_name(number))
    if data is None:
        return None
    try:
        value = json.loads(data)
        if value["schema"] != SCHEMA:
            raise DamagedError(f"its manifest is {value['schema']!r}, not {SCHEMA!r}")
        return [
            Stored(
                Item(str(f["path"]), int(f["bytes"]), str(f["sha256"])), int(f.get("node", 0)), f.get("part")
            )
            for f in value["files"]
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise DamagedError("its manifest cannot be read") from error


def publish(mailbox: Mailbox, number: int, files: list[Stored]) -> None:
    """Make a generation valid whose files are there. Raises MailboxError."""
    manifest = {"schema": SCHEMA, "at": now(), "files": [file.to_json() for file in files]}
    mailbox.put_json(manifest_name(number), manifest)
    mailbox.put_json(NEWEST, {"generation": number})


def file_name(number: int, path: str) -> str:
    """Return the object that holds a file of a generation."""
    return f"checkpoints/{number:08}/{path}"


class Checkpoints:
    """The generations of one hub's mailbox."""

    def __init__(self, mailbox: Mailbox, directory: Path) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._uploaded: tuple[tuple[str, int, int], ...] = ()
        self._last = 0
        self._unfinished: tuple[int, tuple[tuple[str, int, int], ...], Uploads] | None = None

    def restore(self, say: Callable[[str], None]) -> int | None:
        """Fill the directory from the newest valid generation; return its number, None if there is none.

        Raises MailboxError if the mailbox is out of reach; the same can then be tried again.
        """
        restored = restore(self._mailbox, self._directory, say)
        if restored is None:
            return None
        self._uploaded, self._last = self._signature(), restored[0]
        return restored[0]

    def upload(self) -> int | None:
        """Upload the directory as a new generation; None if it is empty or unchanged.

        A file that changes meanwhile makes it start again; after MailboxError the next call goes on where
        this one was. Raises ChangingError, MailboxError, OSError.
        """
        return while_it_changes(self._upload)

    def _upload(self) -> int | None:
        signature = self._signature()
        if not signature or signature == self._uploaded:
            return None
        earlier = started(self._mailbox)
        if self._unfinished is None or self._unfinished[1] != signature:
            number = max(earlier | {self._last}) + 1
            self._unfinished = number, signature, Uploads(self._mailbox, self._directory)
        number, _, uploads = self._unfinished
        items = [uploads.upload(path, file_name(number, path)) for path, _, _ in signature]
        if self._signature() != signature:
            raise ChangingError("the checkpoint changed while it was uploaded")
        publish(self._mailbox, number, [Stored(item) for item in items])
        self._uploaded, self._last, self._unfinished = signature, number, None
        forget(self._mailbox, [n for n in earlier if n <= number - KEPT])
        return number

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        paths, _ = regular_files(self._directory)
        stats = ((path, (self._directory / path).lstat()) for path in paths)
        return tuple((path, s.st_size, s.st_mtime_ns) for path, s in stats)


def restore(mailbox: Mailbox, directory: Path, say: Callable[[str], None]) -> tuple[int, list[Stored]] | None:
    """Fill a directory from the newest valid generation; return its number and files, None if there is none.

    Raises MailboxError if the mailbox is out of reach.
    """
    for number in generations(mailbox):
        _empty(directory)
        try:
            files = read_manifest(mailbox, number)
            if files is None:
                continue
            for file in files:
                box, name = file.lies(mailbox, number)
                download(box, name, file.item, directory)
        except DamagedError as error:
            say(f"checkpoint {number} is not restored: {error}")
            _empty(directory)
            continue
        return number, files
    return None


def started(mailbox: Mailbox) -> set[int]:
    """Return the numbers of generations of which anything is there. Raises MailboxError."""
    names = (entry.name.removeprefix("checkpoints/") for entry in mailbox.list("checkpoints"))
    return {*generations(mailbox), *(int(n[:8]) for n in names if n[:8].isdigit() and n[8:9] == "/")}


def forget(mailbox: Mailbox, numbers: list[int]) -> None:
    """Delete old generations, manifest first."""
    for number in sorted(numbers):
        mailbox.delete(manifest_name(number))
        for entry in mailbox.list(f"checkpoints/{number:08}"):
            mailbox.delete(entry.name)


def manifest_name(number: int) -> str:
    """Return the name of the object that makes a generation whole."""
    return f"checkpoints/{number:08}.json"


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
