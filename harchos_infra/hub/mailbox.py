"""The mailbox of one hub: named objects under `<root>/<run>/<hub>/` that controller and agent exchange."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_T = TypeVar("_T")
_ATTEMPTS = 3
_PAUSE_S = 0.2
_PERMANENT = ("PermissionDeniedError", "UnauthenticatedError", "InvalidPathError", "NotSupportedError")
_CHUNK_BYTES = 4 << 20
_PART_BYTES = 240
"""Encoded; a file name has 255 at most, and a store writes a longer one first."""


class MailboxError(Exception):
    """The object store did not do what was asked, retries included; says which object and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a mailbox."""

    name: str
    size: int


class Mailbox:
    """Objects of one hub in any object store that obstore speaks to: `file://`, `s3://`, `gs://`, `az://`.

    Names are relative paths (`logs/00000001.log`); any text without `..` or an empty part is allowed.
    A `put` is atomic: a reader sees the old object, the new one, or none. Errors are `MailboxError`.
    """

    def __init__(self, url: str, run: str, hub: str) -> None:
        self.url = url.rstrip("/")
        self.run = run
        self.hub = hub
        self._prefix = f"{_part(run)}/{_part(hub)}/"
        self._opened: ObjectStore | None = None

    def put(self, name: str, data: bytes) -> None:
        """Write an object, replacing what it was."""
        import obstore

        key = self._key(name)
        self._try(f"write {name}", lambda: obstore.put(self._store(), key, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it was written."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        key = self._key(name)
        try:
            # Not retried: after a lost answer the second try would find its own object and report False.
            obstore.put(self._store(), key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except Exception as error:
            raise MailboxError(f"cannot create {name} in {self.url}: {_first_line(error)}") from error
        return True

    def put_file(self, name: str, path: Path) -> None:
        """Write an object from a file without reading it into memory."""
        import obstore

        key = self._key(name)
        self._try(f"write {name}", lambda: obstore.put(self._store(), key, path))

    def get(self, name: str) -> bytes | None:
        """Return an object's content; None if there is no such object."""
        import obstore

        key = self._key(name)
        try:
            return self._try(f"read {name}", lambda: bytes(obstore.get(self._store(), key).bytes()))
        except FileNotFoundError:
            return None

    def get_file(self, name: str, path: Path) -> bool:
        """Write an object's content to a file in chunks; False if there is no such object."""
        import obstore

        key = self._key(name)

        def download() -> None:
            with path.open("wb") as file:
                for chunk in obstore.get(self._store(), key).stream(min_chunk_size=_CHUNK_BYTES):
                    file.write(chunk)

        try:
            self._try(f"read {name}", download)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return False
        return True

    def put_json(self, name: str, value: Any) -> None:
        """Write a value as JSON."""
        self.put(name, (json.dumps(value, ensure_ascii=False) + "\n").encode())

    def get_json(self, name: str) -> Any:
        """Return an object parsed as JSON; None if there is no such object."""
        data = self.get(name)
        if data is None:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise MailboxError(f"{name} in {self.url} is not JSON: {error}") from error

    def exists(self, name: str) -> bool:
        """Return whether there is such an object."""
        import obstore

        key = self._key(name)
        try:
            self._try(f"look at {name}", lambda: obstore.head(self._store(), key))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> list[Entry]:
        """Return the objects under a folder (`logs`), or all of them, sorted by name."""
        import obstore

        key = self._key(prefix) if prefix else self._prefix.rstrip("/")
        found = self._try(
            f"list {prefix or 'objects'}", lambda: obstore.list(self._store(), key + "/").collect()
        )
        return sorted(
            (Entry(unquote(meta["path"])[len(unquote(self._prefix)) :], meta["size"]) for meta in found),
            key=lambda entry: entry.name,
        )

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        import obstore

        key = self._key(name)
        try:
            self._try(f"delete {name}", lambda: obstore.delete(self._store(), key))
        except FileNotFoundError:
            return

    def _key(self, name: str) -> str:
        return self._prefix + "/".join(_part(part) for part in name.rstrip("/").split("/"))

    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = _open(self.url)
        return self._opened

    def _try(self, what: str, action: Callable[[], _T]) -> _T:
        """Do it up to three times; FileNotFoundError is an answer, not a failure."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return action()
            except FileNotFoundError:
                raise
            except Exception as error:
                if (
                    attempt == _ATTEMPTS
                    or type(error).__name__ in _PERMANENT
                    or isinstance(error, ValueError)
                ):
                    raise MailboxError(f"cannot {what} in {self.url}: {_first_line(error)}") from error
                time.sleep(_PAUSE_S * attempt)
        raise AssertionError("unreachable")


def can_hold(name: str) -> bool:
    """Return whether an object can have this name in every store: Unicode, and parts that a disk takes."""
    try:
        return all(len(_part(part)) <= _PART_BYTES for part in name.split("/"))
    except (MailboxError, UnicodeEncodeError):
        return False


def _open(url: str) -> ObjectStore:
    from obstore.store import LocalStore, from_url

    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise MailboxError(f"mailbox {url}: a file URL names no host; write file:///path")
        return LocalStore(unquote(parts.path), mkdir=True)
    if not parts.scheme:
        raise MailboxError(
            f"mailbox {url!r} is not a URL; write file:///path, s3://bucket/prefix, gs:// or az://"
        )
    return from_url(
        url,
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        client_options={"timeout": timedelta(seconds=300), "connect_timeout": timedelta(seconds=5)},
    )


def _part(text: str) -> str:
    """Encode one part of a name into what every store accepts, and what object_store parses unchanged."""
    if text in ("", ".", ".."):
        raise MailboxError(f"{text!r} cannot be a part of an object's name")
    return quote(text, safe=" +=@,:()!$&'")


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).split("\n\nDebug source")[0]).strip() or type(error).__name__
