"""A reverse proxy in front of an object store: the network between a hub and its mailbox, with its faults.

Counts of bytes and durations are the test's; the store behind is untouched. Listings can lag: what was
written after `lag()` is missing from them, and what was deleted is still in them, until `catch_up()`.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_BLOCK_BYTES = 1 << 16
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request: an answer with `status`, a wait, or a cut after so many bytes."""

    status: int | None = None
    code: str = "InternalError"
    headers: tuple[tuple[str, str], ...] = ()
    wait_s: float = 0.0
    cut_sent: int | None = None
    """The connection is reset after so many bytes of the request's body."""
    cut_received: int | None = None
    """The connection is reset after so many bytes of the answer's body."""
    lose_answer: bool = False
    """The store does what it was asked; the answer never arrives."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a fault has cut."""


class Front:
    """The proxy; a context manager. `url` is the store's address as the hub sees it."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self.host, self.upstream_port = str(parts.hostname), int(parts.port or 80)
        self.clock_s = 0.0
        """How far `Date` and `Last-Modified` are ahead."""
        self.down: str | None = None
        """`refused`: connections are reset; `silent`: requests are never answered."""
        self.requests: list[tuple[str, str]] = []
        self.log: list[tuple[str, str, int]] = []
        self._scopes: list[tuple[str, str]] = []
        self._faults: list[tuple[Callable[[str, str], bool], Fault, int]] = []
        self._lock = threading.Lock()
        self._lagging = False
        self._new: set[str] = set()
        self._seen: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"front": self}))

    def __enter__(self) -> Front:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.down = None
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, method: str, part: str, fault: Fault, times: int = 1) -> None:
        """Let the next `times` requests of this method whose address contains `part` go wrong."""

        def matches(command: str, target: str) -> bool:
            return command == method and part in unquote(target)

        with self._lock:
            self._faults.append((matches, fault, times))

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.down = None
        with self._lock:
            self._faults.clear()

    def next_fault(self, method: str, target: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, target))
            for index, (matches, fault, times) in enumerate(self._faults):
                if matches(method, target):
                    if times > 1:
                        self._faults[index] = matches, fault, times - 1
                    else:
                        del self._faults[index]
                    return fault
        return None

    def scopes(self, part: str) -> list[str]:
        """Return the credential scopes (`KEY/day/region/s3/…`) of signed requests to such addresses."""
        with self._lock:
            return [scope for target, scope in self._scopes if part in target]

    def sign(self, target: str, authorization: str) -> None:
        scope = re.search(r"Credential=([^,]+)", authorization)
        with self._lock:
            self._scopes.append((unquote(target), scope.group(1) if scope else ""))

    def asked(self, method: str, part: str) -> int:
        with self._lock:
            return sum(m == method and part in unquote(target) for m, target in self.requests)

    def lag(self) -> None:
        """Let listings stand still from now on."""
        with self._lock:
            self._lagging = True

    def catch_up(self) -> None:
        """Let listings show what is there."""
        with self._lock:
            self._lagging = False
            self._new.clear()
            self._deleted.clear()

    def note(self, method: str, target: str, status: int, body: bytes = b"") -> None:
        """Remember what was written and deleted while listings stand still."""
        path = unquote(urlsplit(target).path)
        # S3 deletes by a list of keys, Azure by a batch of requests.
        many = re.findall(r"<Key>(.*?)</Key>|^DELETE (\S+)", body.decode(errors="replace"), re.M)
        deleted = [f"/{key}" if key else unquote(target) for key, target in many]
        with self._lock:
            self.log.append((method, target, status))
            if not self._lagging or status >= 300:
                return
            if deleted and method == "POST":
                self._deleted.update(deleted)
            elif method == "DELETE":
                self._deleted.add(path)
            elif method in ("PUT", "POST") and not any(path.endswith(f"/{key}") for key in self._seen):
                self._new.add(path)

    def listing(self, body: bytes) -> bytes:
        """Return a listing as it lags; listings of S3, GCS and Azure name objects in `Contents` or `Blob`."""
        text = body.decode()
        with self._lock:
            for element in re.findall(r"<(?:Contents|Blob)>.*?</(?:Contents|Blob)>", text, re.S):
                name = re.search(r"<(?:Key|Name)>(.*?)</(?:Key|Name)>", element, re.S)
                key = unquote(name.group(1)) if name else ""
                if not self._lagging:
                    self._seen[key] = element
                elif any(path.endswith(f"/{key}") for path in self._new):
                    text = text.replace(element, "")
            ghosts = [
                element
                for key, element in self._seen.items()
                if any(path.endswith(f"/{key}") for path in self._deleted)
            ]
            asked = re.search(r"<Prefix>(.*?)</Prefix>", text)
            prefix = unquote(asked.group(1)) if asked else ""
            for ghost in ghosts:
                if element_name(ghost).startswith(prefix) and ghost not in text:
                    text = re.sub(r"(</Blobs>|</ListBucketResult>)", lambda m, g=ghost: g + m.group(1), text)
        return text.encode()


def element_name(element: str) -> str:
    name = re.search(r"<(?:Key|Name)>(.*?)</(?:Key|Name)>", element, re.S)
    return unquote(name.group(1)) if name else ""


class _Handler(BaseHTTPRequestHandler):
    front: Front
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        if self._is_down():
            return
        self.front.sign(self.path, self.headers.get("Authorization", ""))
        fault = self.front.next_fault(self.command, self.path) or Fault()
        time.sleep(fault.wait_s)
        if fault.status is not None:
            self._read_body()
            self._refuse(fault)
            return
        try:
            self._forward(fault)
        except (OSError, http.client.HTTPException, _CutError):
            self._reset()

    def _is_down(self) -> bool:
        if self.front.down is None:
            return False
        while self.front.down == "silent":
            time.sleep(0.02)
        self._reset()
        return True

    def _read_body(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refuse(self, fault: Fault) -> None:
        body = (
            f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>fault</Message></Error>".encode()
        )
        self.front.note(self.command, self.path, fault.status or 0)
        self.send_response(fault.status or 500)
        for name, value in fault.headers:
            self.send_header(name, value)
        self.send_header("x-ms-error-code", fault.code)
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _forward(self, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self.front.host, self.front.upstream_port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            length = int(self.headers.get("Content-Length") or 0)
            small = self.command == "POST" and length <= _BLOCK_BYTES
            body = self.rfile.read(length) if small else b""
            sent = body if small else self._body(length, fault.cut_sent)
            upstream.request(self.command, self.path, sent, headers)
            answer = upstream.getresponse()
            self.front.note(self.command, self.path, answer.status, body)
            if fault.lose_answer:
                raise _CutError
            self._back(answer, fault.cut_received)
        finally:
            upstream.close()

    def _body(self, length: int, cut: int | None) -> Iterator[bytes] | None:
        if not length and cut is None:
            return None
        return self._blocks(length, cut)

    def _blocks(self, length: int, cut: int | None) -> Iterator[bytes]:
        sent = 0
        while sent < length:
            if self.front.down or (cut is not None and sent >= cut):
                raise _CutError
            wanted = min(_BLOCK_BYTES, length - sent, *([cut - sent] if cut is not None else []))
            block = self.rfile.read(wanted)
            if not block:
                raise _CutError
            sent += len(block)
            yield block
        if cut is not None:
            raise _CutError

    def _back(self, answer: http.client.HTTPResponse, cut: int | None) -> None:
        body = answer.read()
        # A HEAD says a length that no body has.
        length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        if b"<ListBucketResult" in body or b"<EnumerationResults" in body:
            body = self.front.listing(body)
            length = str(len(body))
        self.send_response_only(answer.status)
        self.send_header("Date", self._ahead(answer.headers.get("Date")))
        for name, value in answer.headers.items():
            if name.lower() == "last-modified":
                self.send_header(name, self._ahead(value))
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), _BLOCK_BYTES):
            if self.front.down or (cut is not None and start + _BLOCK_BYTES > cut):
                self.wfile.write(body[start:cut])
                self.wfile.flush()
                raise _CutError
            self.wfile.write(body[start : start + _BLOCK_BYTES])

    def _ahead(self, text: str | None) -> str:
        moment = parsedate_to_datetime(text) if text else parsedate_to_datetime(self.date_time_string())
        return format_datetime(moment + timedelta(seconds=self.front.clock_s), usegmt=True)

    def _reset(self) -> None:
        self.close_connection = True
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        except OSError:
            return


class _CutError(Exception):
    """The connection is to be reset."""
