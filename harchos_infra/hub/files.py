"""Directories in the mailbox: what to upload, with size and SHA-256, and how to bring it back unharmed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from harchos_infra.hub.mailbox import Mailbox, can_hold

_BLOCK_BYTES = 1 << 20
_ATTEMPTS = 5
_PAUSE_S = 0.2
_T = TypeVar("_T")


class ChangingError(Exception):
    """A file changed while it was being read; says which."""


class DamagedError(Exception):
    """What lies in the mailbox is not what its manifest says, and will not be later; says what."""


def while_it_changes(upload: Callable[[], _T]) -> _T:
    """Upload a directory, a few times where a file of it changes meanwhile; then raises what it raised."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return upload()
        except (ChangingError, FileNotFoundError):
            time.sleep(_PAUSE_S * attempt)
    return upload()


def disk_is_full(error: BaseException | None) -> bool:
    """Return whether an error, or what it came from, is that a disk has no room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


@dataclass(frozen=True, slots=True)
class Item:
    """A file as listed in a manifest; `path` is relative, with `/`."""

    path: str
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        return asdict(self)


def regular_files(directory: Path) -> tuple[list[str], list[str]]:
    """Return relative paths of the regular files under a directory, and of what is refused there.

    Refused are symbolic links (they may lead out of the directory), sockets, pipes, devices, and names
    that no object can have. Links are not followed to directories either.
    """
    found: list[str] = []
    refused: list[str] = []
    for root, folders, names in os.walk(directory, followlinks=False):
        for name in sorted(folders + names):
            path = Path(root, name)
            mode = path.lstat().st_mode
            relative = path.relative_to(directory).as_posix()
            if stat.S_ISREG(mode) and can_hold(relative):
                found.append(relative)
            elif not stat.S_ISDIR(mode):
                refused.append(relative.encode(errors="backslashreplace").decode())
    return sorted(found), sorted(refused)


class Uploads:
    """Files of a directory on their way to the mailbox; what is there and unchanged is not sent again."""

    def __init__(self, mailbox: Mailbox, directory: Path) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._arrived: dict[str, tuple[tuple[int, int, int], Item]] = {}

    def upload(self, path: str, name: str) -> Item:
        """Upload one file as object `name`. Raises ChangingError, MailboxError, OSError."""
        file = self._directory / path
        before = _signature(file)
        signature, item = self._arrived.get(name, (None, None))
        if item and signature == before:
            return item
        digest = sha256(file)
        self._mailbox.put_file(name, file)
        if _signature(file) != before:
            raise ChangingError(f"{path} changed while it was uploaded")
        self._arrived[name] = before, Item(path, before[0], digest)
        return self._arrived[name][1]


def download(mailbox: Mailbox, name: str, item: Item, directory: Path) -> None:
    """Bring one file back and check it. Raises DamagedError, MailboxError."""
    target = (directory / item.path).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise DamagedError(f"{item.path} leads out of its directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not mailbox.get_file(name, target):
        raise DamagedError(f"{name} is missing")
    if target.stat().st_size != item.bytes or sha256(target) != item.sha256:
        raise DamagedError(f"{name} is not what its manifest says")


def sha256(file: Path) -> str:
    """Return a file's SHA-256 in hex; symbolic links are not followed."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _signature(file: Path) -> tuple[int, int, int]:
    found = file.lstat()
    return found.st_size, found.st_mtime_ns, found.st_ino
