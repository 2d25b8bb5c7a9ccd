"""The mailbox of one hub: named objects under `<root>/<run>/<hub>/` that controller and agent exchange."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from harchos_infra.hub.object_store import BULK_S, QUICK_S, Place, UrlError
from harchos_infra.hub.store_failure import Failure, explain

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_T = TypeVar("_T")
_ATTEMPTS = 3
_PAUSE_S = 0.2
_SMALL_BYTES = 1 << 20
_RANGE_BYTES = 8 << 20
_PART_BYTES = 8 << 20
_AT_ONCE = 4
COPY_BYTES = 5 << 30
"""What S3 copies at most by one request."""
_NAME_BYTES = 240
"""Encoded; a file name has 255 at most, and a store writes a longer one first."""


class MailboxError(Exception):
    """The object store did not do what was asked, retries included; says which object, where and why.

    `hint` says what to do next; `transient`: the same may succeed later.
    """

    def __init__(self, what: str, *, hint: str | None = None, transient: bool = False) -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what
        self.hint = hint
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a mailbox."""

    name: str
    size: int


class Mailbox:
    """Objects of one hub in a directory, on S3, Google Cloud Storage or Azure Blob (see `object_store`).

    Names are relative paths (`logs/00000001.log`); any text without `..` or an empty part is allowed.
    A `put` is atomic: a reader sees the old object, the new one, or none. What was put is read at once, but
    `list` may lag behind in some stores. No time of the store's is used. Errors are `MailboxError`.
    """

    def __init__(self, url: str, run: str, hub: str) -> None:
        self.url = url.rstrip("/")
        self.run = run
        self.hub = hub
        self._folder = f"{_part(run)}/{_part(hub)}/"
        self._opened: dict[float, ObjectStore] = {}
        self._found: Place | None = None
        self._region: str | None = None

    def put(self, name: str, data: bytes) -> None:
        """Write an object, replacing what it was."""
        import obstore

        key = self._key(name)
        timeout_s = QUICK_S if len(data) <= _SMALL_BYTES else BULK_S
        self._try(
            f"write {name}", lambda: obstore.put(self._store(timeout_s), key, data, **_parts(len(data)))
        )

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it was written.

        Of many that create the same object at once, one gets True. It is not tried again: after MailboxError
        it may be there, so compare its content when a second call gives False.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        key = self._key(name)
        try:
            self._try(
                f"create {name}",
                lambda: obstore.put(self._store(QUICK_S), key, data, mode="create", use_multipart=False),
                attempts=1,
                answers=(AlreadyExistsError, PreconditionError),
            )
        except (AlreadyExistsError, PreconditionError) as error:
            if "ConditionalRequestConflict" in str(error):  # S3: neither was written
                raise MailboxError(
                    f"cannot create {name} in {self.url}: another does", transient=True
                ) from error
            return False
        return True

    def put_file(self, name: str, path: Path) -> None:
        """Write an object from a file without reading it into memory."""
        import obstore

        key = self._key(name)

        def upload() -> None:
            obstore.put(self._store(BULK_S), key, path, **_parts(path.stat().st_size))

        self._try(f"write {name}", upload, absent=True)

    def put_stream(self, name: str, chunks: Callable[[], Iterable[bytes]]) -> None:
        """Write an object from chunks; if they end with an exception, there is no object, and it is raised.

        `chunks` is called again for each attempt.
        """
        import obstore

        key = self._key(name)
        failed: list[Exception] = []

        def upload() -> None:
            failed.clear()
            # obstore asks for chunks from within its runtime, where no other call of it is allowed.
            with ThreadPoolExecutor(1) as pool:
                ahead = _Ahead(chunks, failed)
                pool.submit(ahead.fill)
                try:
                    obstore.put(
                        *(self._store(BULK_S), key, ahead),
                        use_multipart=True,
                        chunk_size=_PART_BYTES,
                        max_concurrency=_AT_ONCE,
                    )
                finally:
                    ahead.stop()

        try:
            self._try(f"write {name}", upload, give_up=lambda: bool(failed))
        except MailboxError:
            if failed:
                raise failed[0] from None
            raise

    def get(self, name: str) -> bytes | None:
        """Return an object's content; None if there is no such object."""
        import obstore

        key = self._key(name)
        try:
            return self._try(
                f"read {name}", lambda: bytes(obstore.get(self._store(QUICK_S), key).bytes()), absent=True
            )
        except FileNotFoundError:
            return None

    def get_file(self, name: str, path: Path) -> bool:
        """Write an object's content to a file, all of one version; False if there is no such object."""

        def download() -> None:
            size, etag = self._head(name)
            with path.open("wb") as file, ThreadPoolExecutor(_AT_ONCE) as pool:
                file.truncate(size)

                def fetch(start: int) -> None:
                    data = self._range(name, start, min(start + _RANGE_BYTES, size), etag)
                    os.pwrite(file.fileno(), data, start)

                for _ in pool.map(fetch, range(0, size, _RANGE_BYTES)):
                    pass

        try:
            self._try(f"read {name}", download, absent=True)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return False
        return True

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield an object's content in order, all of one version. Raises FileNotFoundError, MailboxError."""
        from obstore.exceptions import PreconditionError

        size, etag = self._head(name)
        try:
            for start in range(0, size, _RANGE_BYTES):
                yield self._range(name, start, min(start + _RANGE_BYTES, size), etag)
        except PreconditionError as error:
            raise MailboxError(f"{name} in {self.url} changed while it was read", transient=True) from error

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

    def size(self, name: str) -> int | None:
        """Return an object's bytes; None if there is no such object."""
        try:
            return self._head(name)[0]
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Return whether there is such an object."""
        return self.size(name) is not None

    def list(self, prefix: str = "") -> list[Entry]:
        """Return the objects under a folder (`logs`), or all of them, sorted by name.

        A store may show an object late, and one that was deleted for a while: ask for what must not be
        missed by its name.
        """
        import obstore

        key = self._key(prefix) if prefix else self._prefix.rstrip("/")
        found = self._try(
            f"list {prefix or 'objects'}", lambda: obstore.list(self._store(QUICK_S), key + "/").collect()
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
            self._try(f"delete {name}", lambda: obstore.delete(self._store(QUICK_S), key), absent=True)
        except FileNotFoundError:
            return

    def same_store(self, other: Mailbox) -> bool:
        """Return whether both lie in one bucket, so that objects can be copied there."""
        return self._place.same_store(other._place)

    def copy(self, source: Mailbox, source_name: str, name: str) -> None:
        """Copy an object within the store, 5 GiB at most; FileNotFoundError if it is not there."""
        import obstore

        start, end = source._key(source_name), self._key(name)
        self._try(
            f"copy {source_name} to {name}",
            lambda: obstore.copy(self._store(BULK_S), start, end),
            absent=True,
        )

    @property
    def _place(self) -> Place:
        if self._found is None:
            try:
                self._found = Place.parse(self.url)
            except UrlError as error:
                raise MailboxError(str(error)) from error
        return self._found

    @property
    def _prefix(self) -> str:
        return "".join(f"{_part(part)}/" for part in self._place.prefix.split("/") if part) + self._folder

    def _key(self, name: str) -> str:
        return self._prefix + "/".join(_part(part) for part in name.rstrip("/").split("/"))

    def _store(self, timeout_s: float) -> ObjectStore:
        if timeout_s not in self._opened:
            self._opened[timeout_s] = self._place.open(timeout_s, self._region)
        return self._opened[timeout_s]

    def _head(self, name: str) -> tuple[int, str | None]:
        import obstore

        key = self._key(name)
        meta = self._try(f"look at {name}", lambda: obstore.head(self._store(QUICK_S), key), absent=True)
        return meta["size"], meta["e_tag"]

    def _range(self, name: str, start: int, end: int, etag: str | None) -> bytes:
        """Read a part of the version that `etag` names. Raises PreconditionError if it is there no more."""
        import obstore
        from obstore.exceptions import PreconditionError

        key = self._key(name)

        def fetch() -> bytes:
            result = obstore.get(self._store(BULK_S), key, options={"range": (start, end), "if_match": etag})
            data = bytes(result.bytes())
            if len(data) != end - start:
                raise OSError(f"{len(data)} bytes came instead of {end - start}")
            return data

        return self._try(f"read {name}", fetch, absent=True, answers=(PreconditionError,))

    def _try(
        self,
        what: str,
        action: Callable[[], _T],
        *,
        attempts: int = _ATTEMPTS,
        absent: bool = False,
        answers: tuple[type[Exception], ...] = (),
        give_up: Callable[[], bool] = lambda: False,
    ) -> _T:
        """Do it up to three times; `answers`, and with `absent` FileNotFoundError, are no failures."""
        for attempt in range(1, attempts + 1):
            try:
                return action()
            except MailboxError:
                raise
            except Exception as error:
                if isinstance(error, answers):
                    raise
                failure = explain(error, self._place)
                if absent and failure.missing:
                    raise FileNotFoundError(what) from error
                if failure.region_is_wrong and self._moved():
                    return self._try(
                        what, action, attempts=attempts, absent=absent, answers=answers, give_up=give_up
                    )
                if attempt == attempts or not failure.transient or give_up():
                    raise self._error(what, failure) from error
                time.sleep(_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    def _moved(self) -> bool:
        """Go on in the bucket's own region, if S3 says one that was not tried."""
        region = self._place.region()
        if region is None or region == self._region:
            return False
        self._region = region
        self._opened.clear()
        return True

    def _error(self, what: str, failure: Failure) -> MailboxError:
        return MailboxError(
            f"cannot {what} in {self.url}: {failure.what}", hint=failure.hint, transient=failure.transient
        )


class _Ahead:
    """Chunks that a thread makes ahead of the one that takes them; the error they end with is in `failed`."""

    def __init__(self, chunks: Callable[[], Iterable[bytes]], failed: list[Exception]) -> None:
        self._chunks = chunks
        self._failed = failed
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=2)
        self._stopped = False

    def fill(self) -> None:
        """Make the chunks, until they end or nobody wants them."""
        try:
            for chunk in self._chunks():
                self._queue.put(chunk)
                if self._stopped:
                    return
        except Exception as error:
            self._failed.append(error)
        self._queue.put(None)

    def stop(self) -> None:
        """Want no more; lets `fill` end."""
        self._stopped = True
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> bytes:
        chunk = self._queue.get()
        if chunk is not None:
            return chunk
        if self._failed:
            raise self._failed[0]
        raise StopIteration


def can_hold(name: str) -> bool:
    """Return whether an object can have this name in every store: Unicode, and parts that a disk takes."""
    try:
        return all(len(_part(part)) <= _NAME_BYTES for part in name.split("/"))
    except (MailboxError, UnicodeEncodeError):
        return False


def _parts(size: int) -> dict[str, Any]:
    """Return how an object of this size is sent; a store takes ten thousand parts at most."""
    return {"chunk_size": max(_PART_BYTES, -(-size // 9000)), "max_concurrency": _AT_ONCE}


def _part(text: str) -> str:
    """Encode one part of a name into what every store accepts, and what object_store parses unchanged."""
    if text in ("", ".", ".."):
        raise MailboxError(f"{text!r} cannot be a part of an object's name")
    return quote(text, safe=" +=@,:()!$&'")
