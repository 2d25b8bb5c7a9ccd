"""An interactive Python session in the browser, on `$HARCHOS_PORT`, until SIGTERM or the hub's TTL.

Where JupyterLab is installed this is JupyterLab, its notebooks kept in `$HARCHOS_OUTPUT_DIR`. Elsewhere it is
one page with one Python session behind it, and each cell run is kept in `$HARCHOS_OUTPUT_DIR/session.py`.
What is in that folder comes back when the hub goes.

Whoever knows the token may run anything here. It is `$WORKBENCH_TOKEN` if that is set, else it is made up and
printed. `GET /api` answers without it, for the health check.
"""

from __future__ import annotations

import ast
import contextlib
import hmac
import importlib.util
import io
import json
import os
import secrets
import signal
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

HOST = "127.0.0.1"
LARGEST_CELL_BYTES = 2**20
PAGE = Path(__file__).with_name("page.html")


class Session:
    """One Python namespace; cells run one at a time, in the order in which they come."""

    def __init__(self, kept: Path) -> None:
        self._lock = threading.Lock()
        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        self._kept = kept

    def run(self, cell: str) -> str:
        """Run a cell; return what it printed, then the value of its last line, or its traceback."""
        printed = io.StringIO()
        with self._lock, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            with self._kept.open("a") as file:
                file.write(cell.rstrip() + "\n\n")
            try:
                self._execute(cell)
            except (Exception, KeyboardInterrupt, SystemExit):
                traceback.print_exc(limit=-2)
        return printed.getvalue()

    def _execute(self, cell: str) -> None:
        tree = ast.parse(cell)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), self._namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), self._namespace)
            if value is not None:
                print(repr(value))


class Workbench(ThreadingHTTPServer):
    """Serves the page and runs its cells."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], token: str, session: Session) -> None:
        super().__init__(address, Visit)
        self.token = token
        self.session = session

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless it is a client that left."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Visit(BaseHTTPRequestHandler):
    """One request of a browser."""

    server: Workbench

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._reply(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == "/api":
            version = {"python": sys.version.split()[0]}
            self._reply(200, json.dumps(version).encode(), "application/json")
        else:
            self._reply(404, b"no such page\n")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.path != "/run":
            self._reply(404, b"no such page\n")
        elif not hmac.compare_digest(given.encode(), self.server.token.encode()):
            self._reply(403, b"the token is wrong or missing\n")
        elif not length.isdigit() or int(length) > LARGEST_CELL_BYTES:
            self._reply(413, b"a cell has a Content-Length of at most 1 MiB\n")
        else:
            cell = self.rfile.read(int(length)).decode()
            self._reply(200, self.server.session.run(cell).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Health checks come every few seconds."""

    def _reply(self, status: int, content: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def become_jupyter(port: int, token: str, folder: Path) -> None:
    """Replace this process by JupyterLab."""
    options = [f"--ip={HOST}", f"--port={port}", "--no-browser", f"--ServerApp.root_dir={folder}"]
    os.environ["JUPYTER_TOKEN"] = token  # an argument would show in the list of processes
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])


def serve(port: int, token: str, folder: Path) -> int:
    server = Workbench((HOST, port), token, Session(folder / "session.py"))

    def stop(signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()  # from this thread it would wait for itself

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        server.serve_forever()
    print("closed; the cells that ran are in session.py", flush=True)
    return 0


def main() -> int:
    port = int(os.environ["HARCHOS_PORT"])
    folder = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    token = os.environ.get("WORKBENCH_TOKEN")
    if not token:
        token = secrets.token_urlsafe(16)
        print(f"token: {token}", flush=True)
    jupyter = importlib.util.find_spec("jupyterlab") is not None
    print(f"{'JupyterLab' if jupyter else 'Python session'} at http://{HOST}:{port}/", flush=True)
    if jupyter:
        become_jupyter(port, token, folder)
    return serve(port, token, folder)


if __name__ == "__main__":
    sys.exit(main())
