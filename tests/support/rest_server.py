"""A JSON server on a local port, with faults per call: what the fakes of Google Cloud and Azure stand on."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """One call as it came in. Names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]

    pairs: tuple[tuple[str, str], ...] = ()
    """The query whole: a name may come more than once."""

    def every(self, name: str) -> list[str]:
        """Return every value of a name in the query."""
        return [value for key, value in self.pairs if key == name]

    @property
    def line(self) -> str:
        """`DELETE /path`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer(Exception):  # noqa: N818 (a refusal is raised, an answer returned)
    """Status, document and headers; None as document is an empty body, bytes are sent as they are."""

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Answer | Callable[[Request], Answer]


def reset(request: Request) -> Answer:
    """Reset the connection instead of answering."""
    raise ConnectionResetError


class RestServer:
    """Answers by `respond`, one call at a time; a context manager. `requests` holds every call so far."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._faults: list[tuple[str, Fault, int]] = []
        self._lock = RLock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"rest": self}))
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, request: Request) -> Answer:
        raise NotImplementedError

    def fail(self, part_of_line: str, fault: Fault, *, times: int = 10**9) -> None:
        """Answer calls whose `METHOD /path` holds a text with `fault`, that many times."""
        self._faults.append((part_of_line, fault, times))

    def heal(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def calls(self, part_of_line: str) -> int:
        """Return how many calls hold a text in `METHOD /path`."""
        return sum(part_of_line in request.line for request in self.requests)

    def handle(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            try:
                return self._fault(request) or self.respond(request)
            except Answer as answer:
                return answer

    def _fault(self, request: Request) -> Answer | None:
        for n, (part, fault, times) in enumerate(self._faults):
            if part in request.line and times > 0:
                self._faults[n] = (part, fault, times - 1)
                return fault if isinstance(fault, Answer) else fault(request)
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a fault has closed."""


class _Handler(BaseHTTPRequestHandler):
    rest: RestServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Head and body leave together: apart, the second waits 40 ms for the first one's acknowledgement."""

    def _any(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        body: Any = None
        if content:
            is_form = "form-urlencoded" in kind
            body = dict(parse_qsl(content.decode())) if is_form else json.loads(content)
        request = Request(
            self.command,
            unquote(parts.path),
            dict(parse_qsl(parts.query)),
            body,
            {name.lower(): value for name, value in self.headers.items()},
            tuple(parse_qsl(parts.query)),
        )
        try:
            self._send(self.rest.handle(request))
        except ConnectionResetError:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        is_raw = isinstance(answer.document, bytes)
        content = answer.document if is_raw else json.dumps(answer.document).encode()
        content = b"" if answer.document is None else content
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if content:
            self.send_header("Content-Type", "text/html" if is_raw else "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
