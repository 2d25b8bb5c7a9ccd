"""Checkpoints in the mailbox: generations `checkpoints/00000001/…`, each made valid by its manifest.

`checkpoints/00000001.json` is written last, so a generation that was torn by a dying hub has none and is
never restored; one whose files do not match it is passed over for the one before. `checkpoints.json` names
the newest, so that a listing that lags behind hides none.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harchos_infra.hub.files import ChangingError, DamagedError, Item, Uploads, download, regular_files
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.status import now

SCHEMA = "harchos.checkpoint/1"
NEWEST = "checkpoints.json"
_KEPT = 2
_ATTEMPTS = 5
_PAUSE_S = 0.2


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


def read_manifest(mailbox: Mailbox, number: int) -> list[Item] | None:
    """Return the files of a generation; None if it has no manifest. Raises DamagedError, MailboxError."""
    data = mailbox.get(manifest_name(number))
    if data is None:
        return None
    try:
        value = json.loads(data)
        if value["schema"] != SCHEMA:
            raise DamagedError(f"its manifest is {value['schema']!r}, not {SCHEMA!r}")
        return [Item(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in value["files"]]
    except (TypeError, KeyError, ValueError) as error:
        raise DamagedError("its manifest cannot be read") from error


def publish(mailbox: Mailbox, number: int, items: list[Item]) -> None:
    """Make a generation valid whose files are there. Raises MailboxError."""
    manifest = {"schema": SCHEMA, "at": now(), "files": [item.to_json() for item in items]}
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
        for number in generations(self._mailbox):
            _empty(self._directory)
            try:
                items = read_manifest(self._mailbox, number)
                if items is None:
                    continue
                for item in items:
                    download(self._mailbox, file_name(number, item.path), item, self._directory)
            except DamagedError as error:
                say(f"checkpoint {number} is not restored: {error}")
                _empty(self._directory)
                continue
            self._uploaded, self._last = self._signature(), number
            return number
        return None

    def upload(self) -> int | None:
        """Upload the directory as a new generation; None if it is empty or unchanged.

        A file that changes meanwhile makes it start again; after MailboxError the next call goes on where
        this one was. Raises ChangingError, MailboxError, OSError.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._upload()
            except (ChangingError, FileNotFoundError):
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    def _upload(self) -> int | None:
        signature = self._signature()
        if not signature or signature == self._uploaded:
            return None
        earlier = {*generations(self._mailbox), *self._started()}
        if self._unfinished is None or self._unfinished[1] != signature:
            number = max(earlier | {self._last}) + 1
            self._unfinished = number, signature, Uploads(self._mailbox, self._directory)
        number, _, uploads = self._unfinished
        items = [uploads.upload(path, file_name(number, path)) for path, _, _ in signature]
        if self._signature() != signature:
            raise ChangingError("the checkpoint changed while it was uploaded")
        publish(self._mailbox, number, items)
        self._uploaded, self._last, self._unfinished = signature, number, None
        self._forget([n for n in earlier if n <= number - _KEPT])
        return number

    def _started(self) -> list[int]:
        names = (entry.name.removeprefix("checkpoints/") for entry in self._mailbox.list("checkpoints"))
        return sorted({int(n[:8]) for n in names if n[:8].isdigit() and n[8:9] == "/"})

    def _forget(self, numbers: list[int]) -> None:
        """Delete old generations, manifest first."""
        for number in sorted(numbers):
            self._mailbox.delete(manifest_name(number))
            for entry in self._mailbox.list(f"checkpoints/{number:08}"):
                self._mailbox.delete(entry.name)

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        paths, _ = regular_files(self._directory)
        stats = ((path, (self._directory / path).lstat()) for path in paths)
        return tuple((path, s.st_size, s.st_mtime_ns) for path, s in stats)


def manifest_name(number: int) -> str:
    """Return the name of the object that makes a generation whole."""
    return f"checkpoints/{number:08}.json"


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
