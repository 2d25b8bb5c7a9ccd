"""Checkpoints in the mailbox: generations `checkpoints/00000001/…`, each made valid by its manifest.

`checkpoints/00000001.json` is written last, so a generation that was torn by a dying hub has none and is
never restored; one whose files do not match it is passed over for the one before.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from harchos_infra.hub.files import ChangingError, Item, download, regular_files, upload
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.status import now

SCHEMA = "harchos.checkpoint/1"
_KEPT = 2
_ATTEMPTS = 5
_PAUSE_S = 0.2


class Checkpoints:
    """The generations of one hub's mailbox."""

    def __init__(self, mailbox: Mailbox, directory: Path) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._uploaded: tuple[tuple[str, int, int], ...] = ()

    def restore(self, say: Callable[[str], None]) -> int | None:
        """Fill the directory from the newest valid generation; return its number, None if there is none."""
        for number in reversed(self._generations()):
            try:
                items = self._manifest(number)
                for item in items:
                    download(self._mailbox, f"checkpoints/{number:08}/{item.path}", item, self._directory)
            except MailboxError as error:
                say(f"checkpoint {number} is not restored: {error}")
                _empty(self._directory)
                continue
            self._uploaded = self._signature()
            return number
        return None

    def upload(self) -> int | None:
        """Upload the directory as a new generation; None if it is empty or unchanged.

        A file that changes meanwhile makes it start again. Raises ChangingError, MailboxError, OSError.
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
        generations = self._generations()
        number = max([*generations, *self._started()], default=0) + 1
        items = [
            upload(self._mailbox, self._directory, path, f"checkpoints/{number:08}/{path}")
            for path, _, _ in signature
        ]
        if self._signature() != signature:
            raise ChangingError("the checkpoint changed while it was uploaded")
        manifest = {"schema": SCHEMA, "at": now(), "files": [item.to_json() for item in items]}
        self._mailbox.put_json(f"checkpoints/{number:08}.json", manifest)
        self._uploaded = signature
        self._forget([n for n in [*generations, *self._started()] if n <= number - _KEPT])
        return number

    def _generations(self) -> list[int]:
        names = (entry.name.removeprefix("checkpoints/") for entry in self._mailbox.list("checkpoints"))
        return sorted(int(n[:8]) for n in names if n[:8].isdigit() and n[8:] == ".json")

    def _started(self) -> list[int]:
        names = (entry.name.removeprefix("checkpoints/") for entry in self._mailbox.list("checkpoints"))
        return sorted({int(n[:8]) for n in names if n[:8].isdigit() and n[8:9] == "/"})

    def _manifest(self, number: int) -> list[Item]:
        value = self._mailbox.get_json(f"checkpoints/{number:08}.json")
        try:
            if value["schema"] != SCHEMA:
                raise MailboxError(f"its manifest is {value['schema']!r}, not {SCHEMA!r}")
            return [Item(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in value["files"]]
        except (TypeError, KeyError, ValueError) as error:
            raise MailboxError("its manifest cannot be read") from error

    def _forget(self, generations: list[int]) -> None:
        """Delete old generations, manifest first."""
        for number in sorted(set(generations)):
            self._mailbox.delete(f"checkpoints/{number:08}.json")
            for entry in self._mailbox.list(f"checkpoints/{number:08}"):
                self._mailbox.delete(entry.name)

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        paths, _ = regular_files(self._directory)
        stats = ((path, (self._directory / path).lstat()) for path in paths)
        return tuple((path, s.st_size, s.st_mtime_ns) for path, s in stats)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
