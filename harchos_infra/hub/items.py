"""The items that a hub is given of a queue, and what it says of each: `items.json`, and a series of records.

`items.json` is the controller's: the items that are this hub's to do and of which no record was read yet, and
whether any other may come. `items/00000001.json` and so on are the hub's: one for each item that it has
finished, written when what the item put out is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harchos_infra.hub.files import Item as File
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.series import Series, read_series

SCHEMA = "harchos.items/1"
ASSIGNMENT = "items.json"
_FOLDER, _SUFFIX = "items", ".json"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a queue: its number in it from 0, and its name, which is that of a folder, too."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a hub is to do; `closed`: nothing is added any more."""

    items: tuple[Item, ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class Record:
    """How an item ended on a hub: after how many attempts, and which files it put out."""

    index: int
    exit_code: int | None
    attempts: int
    files: tuple[File, ...]
    """Paths are in the item's own folder."""

    @property
    def done(self) -> bool:
        """Whether it succeeded."""
        return self.exit_code == 0


def assign(mailbox: Mailbox, assignment: Assignment) -> None:
    """Write `items.json`. Raises MailboxError."""
    items = [{"index": item.index, "name": item.name} for item in assignment.items]
    mailbox.put_json(ASSIGNMENT, {"schema": SCHEMA, "closed": assignment.closed, "items": items})


def assigned(mailbox: Mailbox) -> Assignment:
    """Read `items.json`; nothing to do yet where it is not there. Raises MailboxError."""
    document = mailbox.get_json(ASSIGNMENT) or {"schema": SCHEMA, "closed": False, "items": []}
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(document["schema"])
        items = tuple(Item(int(item["index"]), str(item["name"])) for item in document["items"])
        return Assignment(items, bool(document["closed"]))
    except (TypeError, KeyError, ValueError) as error:
        raise MailboxError(f"{ASSIGNMENT} in {mailbox.url} of {mailbox.hub} cannot be read") from error


class Records:
    """Writes the records of one hub."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._series = Series(mailbox, _FOLDER, _SUFFIX)

    def add(self, record: Record) -> None:
        """Publish a record. After MailboxError call again with the same: it is there once."""
        document = {
            "index": record.index,
            "exit_code": record.exit_code,
            "attempts": record.attempts,
            "files": [file.to_json() for file in record.files],
        }
        self._series.append(json.dumps(document).encode())


def read_records(mailbox: Mailbox, first: int = 1) -> Iterator[Record]:
    """Yield the records of a hub from number `first` on. Raises MailboxError."""
    for data in read_series(mailbox, _FOLDER, _SUFFIX, first):
        yield _record(data, mailbox)


def _record(data: bytes, mailbox: Mailbox) -> Record:
    try:
        value: dict[str, Any] = json.loads(data)
        code = value["exit_code"]
        return Record(
            int(value["index"]),
            None if code is None else int(code),
            int(value["attempts"]),
            tuple(File(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in value["files"]),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise MailboxError(f"a record in {mailbox.url} of {mailbox.hub} cannot be read") from error


def object_name(item: str, path: str) -> str:
    """Return the object that holds a file which an item put out."""
    return f"outputs/{item}/{path}"


def names(count: int) -> Sequence[str]:
    """Return the names of so many items that have none: their numbers, all of one length."""
    width = len(str(count - 1))
    return [f"{index:0{width}}" for index in range(count)]
