"""Numbered objects of a mailbox, `logs/00000001.log` and so on: each is written once and never changed."""

from __future__ import annotations

from collections.abc import Iterator

from harchos_infra.hub.mailbox import Mailbox


class Series:
    """Writes a series on from where an earlier writer left it."""

    def __init__(self, mailbox: Mailbox, folder: str, suffix: str) -> None:
        self._mailbox = mailbox
        self._folder = folder
        self._suffix = suffix
        used = (_number(entry.name, folder, suffix) for entry in mailbox.list(folder))
        self._next = 1 + max(used, default=0)
        while mailbox.exists(_name(folder, self._next, suffix)):  # a listing may lag behind
            self._next += 1

    def append(self, data: bytes) -> None:
        """Write the next object. After MailboxError call again with the same data: it is there once."""
        while True:
            name = _name(self._folder, self._next, self._suffix)
            if self._mailbox.create(name, data):
                break
            if self._mailbox.get(name) == data:  # the answer to an earlier attempt was lost
                break
            self._next += 1
        self._next += 1


def read_series(mailbox: Mailbox, folder: str, suffix: str, first: int = 1) -> Iterator[bytes]:
    """Yield the objects from number `first` to the first that is not there.

    Asks by name, so that a listing that lags behind hides nothing. Raises MailboxError.
    """
    while (data := mailbox.get(_name(folder, first, suffix))) is not None:
        yield data
        first += 1


def _name(folder: str, number: int, suffix: str) -> str:
    return f"{folder}/{number:08}{suffix}"


def _number(name: str, folder: str, suffix: str) -> int:
    digits = name.removeprefix(f"{folder}/").removesuffix(suffix)
    return int(digits) if digits.isdigit() else 0
