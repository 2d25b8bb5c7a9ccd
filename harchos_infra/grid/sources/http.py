"""Calls to sources: retried, bounded in time, and silent about keys.

A call is tried up to four times within `CALL_S` seconds, waiting as long as `Retry-After` says or, without
it, twice as long each time. All calls of one plan together have `PLAN_S` seconds. A host that fails
`OPEN_AFTER` tries in a row (no connection, no answer in time, 5xx) is not tried again for `OPEN_S` seconds.
An address with its query never appears in an error, since it may hold a key.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlsplit

from harchos_infra.grid.sources.source import SourceError

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx
    from tenacity import RetryCallState

TRIES = 4
TRY_S = 10.0
CALL_S = 25.0
PLAN_S = 90.0
OPEN_AFTER = 6
OPEN_S = 60.0
MOST_BYTES = 32 << 20
_AGAIN = frozenset({429, 500, 502, 503, 504})
_LOOKED_AT, _SHOWN = 1 << 16, 160

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: any status but those that are tried again."""

    place: str
    """Host and path."""
    status: int
    body: bytes
    said: str
    """The beginning of the body on one line, keys masked."""

    def json(self) -> Any:
        """Return the body as JSON; raise SourceError where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise SourceError(f"{self.place} answered {self.status}, and not in JSON: {self.said}") from None


class _TryAgainError(Exception):
    """A try that failed in a way that may pass; `after_s` is what Retry-After asks for."""

    def __init__(self, what: str, after_s: float | None = None, *, broken: bool = True) -> None:
        super().__init__(what)
        self.after_s = after_s
        self.broken = broken


@dataclass(slots=True)
class _Host:
    failures: int = 0
    last: str = ""
    closed_until: float = 0.0
    quiet_until: float = 0.0
    lock: Lock = field(default_factory=Lock)


class Http:
    """The calls of one plan; safe to share among threads."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open nothing yet; `clock` (s) and `sleep` are those of tests."""
        self._clock = clock
        self._sleep = sleep
        self._hosts: dict[str, _Host] = {}
        self._secrets: set[str] = set()
        self._lock = Lock()
        self._client: httpx.Client | None = None
        self._end: float | None = None

    def keep_secret(self, *secrets: str) -> None:
        """Mask these wherever a server's words are shown."""
        for secret in filter(None, secrets):
            self._secrets |= {secret, quote(secret, safe=""), quote_plus(secret)}

    def get(
        self,
        url: str,
        params: Params = (),
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Return the answer; raise SourceError where none came in time."""
        from tenacity import Retrying, retry_if_exception_type

        parts = urlsplit(url)
        server = parts.netloc.rpartition("@")[2]
        place, host = f"{server}{parts.path}", self._host(server)
        end = self._deadline()
        retrying = Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            wait=_wait,
            stop=lambda state: state.attempt_number >= TRIES or self._clock() + state.upcoming_sleep >= end,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer: Answer = retrying(self._once, host, place, end, (url, params, headers, auth))
        except _TryAgainError as error:
            wait = f"; it asks to be left alone for {error.after_s:.0f} s" if error.after_s else ""
            raise SourceError(f"{place} {error}{wait}") from None
        return answer

    def _once(self, host: _Host, place: str, end: float, request: tuple[Any, ...]) -> Answer:
        self._pass(host, place, end)
        try:
            answer = self._try(place, end, *request)
        except _TryAgainError as error:
            self._note(host, error)
            raise
        with host.lock:
            host.failures = 0
        return answer

    def _pass(self, host: _Host, place: str, end: float) -> None:
        """Wait while the host asks for quiet; raise where it is given up or the time is over."""
        with host.lock:
            closed, quiet = host.closed_until - self._clock(), host.quiet_until - self._clock()
        if closed > 0:
            raise SourceError(
                f"{place} is not asked: its host failed {OPEN_AFTER} times, last it {host.last}"
            )
        if self._clock() + max(quiet, 0.0) >= end:
            raise SourceError(f"{place} is not asked: the time for calls of a plan is over")
        if quiet > 0:
            self._sleep(quiet)

    def _note(self, host: _Host, error: _TryAgainError) -> None:
        with host.lock:
            if error.after_s:
                host.quiet_until = max(host.quiet_until, self._clock() + error.after_s)
            if not error.broken:
                return
            host.failures += 1
            host.last = str(error)
            if host.failures >= OPEN_AFTER:
                host.closed_until = self._clock() + OPEN_S
                host.failures = OPEN_AFTER - 1

    def _try(
        self,
        place: str,
        end: float,
        url: str,
        params: Params,
        headers: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
    ) -> Answer:
        import httpx

        limit = min(end, self._clock() + TRY_S)
        timeout = max(limit - self._clock(), 0.05)
        asked = self._opened().stream(
            "GET",
            url,
            params=list(params) or None,
            headers=headers,
            auth=auth or httpx.USE_CLIENT_DEFAULT,
            timeout=timeout,
        )
        try:
            with asked as response:
                body = self._read(place, limit, response)
        except httpx.TimeoutException:
            raise _TryAgainError("did not answer in time") from None
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
            raise _TryAgainError(self._mask(f"cannot be reached: {error or type(error).__name__}")) from None
        said = self._mask(body[:_LOOKED_AT].decode(errors="replace"))[:_SHOWN]
        if response.status_code in _AGAIN:
            after_s = retry_after_s(response.headers.get("retry-after"))
            limited = response.status_code == 429
            what = "limits its calls (429)" if limited else f"answered {response.status_code}"
            raise _TryAgainError(what, after_s, broken=not limited)
        if response.is_redirect:
            raise SourceError(f"{place} answered {response.status_code}: it has moved; set its address anew")
        return Answer(place, response.status_code, body, said)

    def _read(self, place: str, limit: float, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise SourceError(f"{place} answered more than {MOST_BYTES >> 20} MiB")
            if self._clock() > limit:
                raise _TryAgainError("did not answer in time")
        return bytes(body)

    def _opened(self) -> httpx.Client:
        import httpx

        from harchos_infra import __version__

        with self._lock:
            if self._client is None:
                for name in ("httpx", "httpcore"):
                    logging.getLogger(name).setLevel(logging.WARNING)
                self._client = httpx.Client(headers={"User-Agent": f"harchos/{__version__}"}, verify=_tls())
            return self._client

    def _host(self, name: str) -> _Host:
        with self._lock:
            return self._hosts.setdefault(name, _Host())

    def _deadline(self) -> float:
        with self._lock:
            if self._end is None:
                self._end = self._clock() + PLAN_S
            return min(self._clock() + CALL_S, self._end)

    def _mask(self, text: str) -> str:
        """Return text on one line without control characters, keys masked."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@cache
def _tls() -> SSLContext:
    """Return the certificates that are trusted, which take 20 ms to read."""
    import httpx

    return httpx.create_ssl_context()


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next try: what the server asks for, else 0.5, 1, 2 s and a little more."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgainError) and error.after_s is not None:
        return error.after_s
    return 0.5 * 2.0 ** (state.attempt_number - 1) * (1 + random.random() / 4)


def retry_after_s(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header means, a number or a date; None where it says nothing."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - (now or datetime.now(UTC))).total_seconds(), 0.0)
