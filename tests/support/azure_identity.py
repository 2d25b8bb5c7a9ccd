"""What lets a managed identity into Azurite, which takes bearer tokens over TLS only: a front that asks for
the token, and goes on to the server with a shared-access signature of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode, urlsplit

from support.object_stores import ACCOUNT, KEY

_HOP = ("connection", "transfer-encoding", "content-length", "authorization")


class IdentityFront:
    """The front; a context manager. Who does not show `token` gets 401."""

    def __init__(self, upstream: str, token: str) -> None:
        self.upstream = str(urlsplit(upstream).netloc)
        self.token = token
        self.signature = _account_signature()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"front": self}))
        self._server.daemon_threads = True

    def __enter__(self) -> IdentityFront:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    front: IdentityFront
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def do_PUT(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_DELETE(self) -> None:
        self._forward()

    def log_message(self, *_: object) -> None:
        pass

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {self.front.token}":
            self._answer(401, {"x-ms-error-code": "NoAuthenticationInformation"}, b"")
        elif "comp=batch" in self.path:
            self._delete_all(body)
        else:
            self._answer(*self._ask(self.command, self.path, body))

    def _delete_all(self, batch: bytes) -> None:
        """Do what a batch asks for one by one: Azurite takes no batch under a shared-access signature."""
        answers = b""
        for number, path in enumerate(re.findall(r"^DELETE (\S+) HTTP", batch.decode(), re.MULTILINE)):
            status, headers, _ = self._ask("DELETE", path, b"")
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
            lines += [f"{name}: {value}" for name, value in headers.items() if name.startswith("x-ms")]
            head = f"--answers\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
            answers += (head + "\r\n".join(lines) + "\r\n\r\n").encode()
        self._answer(202, {"content-type": "multipart/mixed; boundary=answers"}, answers + b"--answers--\r\n")

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        upstream = http.client.HTTPConnection(self.front.upstream, timeout=60)
        try:
            target = f"{path}{'&' if '?' in path else '?'}{self.front.signature}"
            upstream.request(method, target, body, {**headers, "Content-Length": str(len(body))})
            answer = upstream.getresponse()
            return answer.status, dict(answer.headers.items()), answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        length = headers.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _account_signature() -> str:
    """Return the query that may do anything with blobs."""
    permissions, services, kinds, expiry, version = "rwdlac", "b", "sco", "2999-01-01T00:00:00Z", "2021-12-02"
    lines = [ACCOUNT, permissions, services, kinds, "", expiry, "", "", version, "", ""]
    digest = hmac.digest(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
    return urlencode(
        {
            "sv": version,
            "ss": services,
            "srt": kinds,
            "sp": permissions,
            "se": expiry,
            "sig": base64.b64encode(digest).decode(),
        }
    )
