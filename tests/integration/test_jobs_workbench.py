"""The dev job: a Python session behind a token, whose cells outlive the hub."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_process import Hub

TOKEN = "let-me-in"


class Browser:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=10) as answer:
            return str(answer.read().decode())

    def run(self, cell: str, token: str = TOKEN) -> str:
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.address + "/run", cell.encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub.at(tmp_path, "dev/workbench")


@pytest.fixture
def process(hub: Hub, browser: Browser) -> Iterator[subprocess.Popen[str]]:
    port = browser.address.rsplit(":", 1)[1]
    process = hub.start(["python3", "workbench.py"], HARCHOS_PORT=port, WORKBENCH_TOKEN=TOKEN)
    while True:
        try:
            browser.get("/api")
            break
        except urllib.error.URLError:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def browser() -> Browser:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Browser(int(probe.getsockname()[1]))


@pytest.mark.usefixtures("process")
def test_cells_share_one_session(browser: Browser) -> None:
    assert browser.run("x = 20\ndef double(n): return 2 * n") == ""
    assert browser.run("print('twice')\ndouble(x) + 2") == "twice\n42\n"
    assert "ZeroDivisionError: division by zero" in browser.run("x / 0")
    assert "SyntaxError" in browser.run("x =")
    assert "SystemExit" in browser.run("raise SystemExit(3)")
    assert browser.run("x") == "20\n"
    assert "<title>Workbench</title>" in browser.get("/")


@pytest.mark.usefixtures("process")
def test_nothing_runs_without_the_token(browser: Browser, hub: Hub) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        browser.run("open('hacked', 'w')", token="guess")
    assert not (hub.work / "hacked").exists()


def test_the_cells_are_kept_when_it_is_stopped(
    browser: Browser, hub: Hub, process: subprocess.Popen[str]
) -> None:
    browser.run("answer = 42")
    browser.run("answer")
    process.terminate()
    assert "closed; the cells that ran are in session.py" in process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert (hub.outputs / "session.py").read_text() == "answer = 42\n\nanswer\n\n"
