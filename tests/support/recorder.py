"""A server that answers as told and keeps what it was asked."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder:
    """The server; a context manager. `answers` are given one after the other, the last for ever."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.headers: dict[str, str] = {}
        """Of every answer."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers (names in lower case) of each."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"recorder": self}))

    def __enter__(self) -> Recorder:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Return method and path of each request, without its query."""
        return [(method, path.partition("?")[0]) for method, path, _ in self.requests]

    def next_answer(self) -> tuple[int, bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    recorder: Recorder

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.recorder.requests.append((self.command, self.path, headers))
        status, body = self.recorder.next_answer()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **self.recorder.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
