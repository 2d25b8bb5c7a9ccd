"""An HTTP front for a model server without `/metrics`: passes `/v1` on, streams too, and counts tokens."""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

UPSTREAM_TIMEOUT_S = 600
LARGEST_REQUEST_BYTES = 16 * 2**20
LAST_CHUNK = b"0\r\n\r\n"
PASSED_ON = ("authorization", "content-type", "x-request-id")


class Tokens:
    """Tokens since the start, under the names that vLLM gives them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.prompt = 0
        self.generated = 0

    def add(self, prompt: int, generated: int) -> None:
        with self._lock:
            self.prompt += prompt
            self.generated += generated

    def exposition(self) -> str:
        """Return the counters in the Prometheus text format."""
        with self._lock:
            counters = [
                ("vllm:prompt_tokens_total", "Tokens of prompts answered.", self.prompt),
                ("vllm:generation_tokens_total", "Tokens generated.", self.generated),
            ]
        return "".join(
            f"# HELP {name} {text}\n# TYPE {name} counter\n{name} {value}\n" for name, text, value in counters
        )


class AnswerUsage:
    """What one answer used: the server's own count; of a stream cut short, the chunks of text that came."""

    def __init__(self) -> None:
        self.prompt = 0
        self.generated = 0

    def see(self, document: Any) -> None:
        """Take note of a JSON answer, or of one event of a stream."""
        if not isinstance(document, dict):
            return
        usage = document.get("usage") or (document.get("response") or {}).get("usage")
        if usage:
            self.prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0))
            self.generated = usage.get("completion_tokens", usage.get("output_tokens", 0))
        elif any(_text(choice) for choice in document.get("choices", ())):
            self.generated += 1

    def see_line(self, line: bytes) -> None:
        """Take note of one line of an event stream."""
        if line.startswith(b"data: {"):
            self.see(json.loads(line.removeprefix(b"data: ")))


def _text(choice: dict[str, Any]) -> str | None:
    return choice.get("text") or (choice.get("delta") or {}).get("content")


class Front(ThreadingHTTPServer):
    """Listens on `address` and passes requests to the server on the loopback port `upstream_port`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], upstream_port: int) -> None:
        super().__init__(address, Passage)
        self.upstream_port = upstream_port
        self.tokens = Tokens()
        self._idle = threading.Condition()
        self._under_way = 0

    def __enter__(self) -> Front:
        threading.Thread(target=self.serve_forever, name="front").start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless it is a client that left."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def begin(self) -> None:
        with self._idle:
            self._under_way += 1

    def end(self) -> None:
        with self._idle:
            self._under_way -= 1
            self._idle.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Take no new connection and wait for the answers under way, at most `timeout_s`."""
        self.shutdown()
        with self._idle:
            self._idle.wait_for(lambda: self._under_way == 0, timeout_s)


class Passage(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._reply(200, self.server.tokens.exposition().encode(), "text/plain; version=0.0.4")
        elif self.path == "/health" or self.path.startswith("/v1/"):
            self._pass_on(b"")
        else:
            self._refuse(404, f"no such path: {self.path}")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_REQUEST_BYTES:
            self.close_connection = True
            self._refuse(
                413 if length.isdigit() else 411, "a request needs a Content-Length of at most 16 MiB"
            )
            return
        body = self.rfile.read(int(length))
        if self.path.startswith("/v1/"):
            self._pass_on(body)
        else:
            self._refuse(404, f"no such path: {self.path}")

    def log_message(self, format: str, *args: Any) -> None:
        """Health checks and scrapes come every few seconds: the log is for answers."""

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self.server.upstream_port, timeout=UPSTREAM_TIMEOUT_S
        )
        headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
        self.server.begin()
        try:
            try:
                upstream.request(self.command, self.path, body or None, headers)
                answer = upstream.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._refuse(503, f"the model server does not answer: {error}")
            else:
                self._pass_back(answer)
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True  # one side has left; closing the other ends the generation
            print(f"{self.command} {self.path} broke off: {error}", flush=True)
        finally:
            upstream.close()
            self.server.end()

    def _pass_back(self, answer: http.client.HTTPResponse) -> None:
        """Send the answer on; its tokens are counted by the time the client has all of it."""
        content_type = answer.headers.get("Content-Type", "application/octet-stream")
        usage = AnswerUsage()
        if content_type.startswith("text/event-stream"):
            try:
                self._stream(answer, content_type, usage)
            finally:
                self._count(answer.status, usage)
            self.wfile.write(LAST_CHUNK)
        else:
            content = answer.read()
            if content_type.startswith("application/json"):
                usage.see(json.loads(content))
            self._count(answer.status, usage)
            self._reply(answer.status, content, content_type)

    def _count(self, status: int, usage: AnswerUsage) -> None:
        self.server.tokens.add(usage.prompt, usage.generated)
        if self.command == "POST":
            print(f"POST {self.path} {status}  {usage.prompt} + {usage.generated} tokens", flush=True)

    def _stream(self, answer: http.client.HTTPResponse, content_type: str, usage: AnswerUsage) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in _events(answer):
            for line in event.splitlines():
                usage.see_line(line)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _reply(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, message: str) -> None:
        self._reply(status, json.dumps({"error": {"message": message}}).encode(), "application/json")


def _events(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Split a stream at the blank line that ends each event."""
    event = b""
    while line := answer.readline():
        event += line
        if not line.strip():
            yield event
            event = b""
    if event:
        yield event
