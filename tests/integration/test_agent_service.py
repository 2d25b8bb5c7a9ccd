"""A service on a hub: its health gates `ready`, its tokens are counted, its own end is the job's end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.hub.package import build_agent
from support.agent import Hub
from support.machine import survivors

SERVER = """
import http.server, os, pathlib, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            code, text = (200, "ok") if pathlib.Path("warm").exists() else (503, "warming up")
        elif self.path == "/metrics":
            code, text = 200, 'vllm:prompt_tokens_total{model="m"} 30.0\\nvllm:generation_tokens_total 12\\n'
        elif self.path == "/quit":
            threading.Thread(target=lambda: os._exit(0)).start()
            code, text = 200, "bye"
        else:
            code, text = 404, ""
        self.send_response(code); self.end_headers(); self.wfile.write(text.encode())
    def log_message(self, *args): pass
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["HARCHOS_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path, build_agent(tmp_path / "agent.pyz"))
    yield hub
    assert hub.stop().returncode == 0
    assert survivors(hub.hub) == []


def _service(port: int) -> dict[str, Any]:
    return {"port": port, "health_path": "/health", "initial_delay_s": 0.0, "period_s": 0.1}


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_service_is_ready_when_it_is_healthy_counts_tokens_and_ends_by_itself(
    hub: Hub, free_port: int
) -> None:
    hub.job("python", "-c", SERVER, service=_service(free_port))
    hub.start()
    hub.wait_log("listening")
    assert hub.status()["phase"] == "running"
    (hub.directory / "work" / "warm").touch()
    status = hub.wait_phase("ready")
    assert status["endpoint"] == f"http://127.0.0.1:{free_port}" and status["ready_at"]
    hub.wait(lambda: hub.status()["units"] == {"tokens": 42.0}, "the tokens")
    with socket.create_connection(("127.0.0.1", free_port)) as connection:
        connection.sendall(b"GET /quit HTTP/1.0\r\n\r\n")
    status = hub.wait_end()
    assert (status["phase"], status["exit_code"]) == ("succeeded", 0)
    assert status["units"] == {"tokens": 42.0}


def test_tokens_served_just_before_the_stop_are_counted(hub: Hub, free_port: int) -> None:
    hub.job("python", "-c", SERVER, service=_service(free_port))
    hub.start()
    hub.wait(lambda: _accepts(free_port), "the service")
    assert hub.stop().returncode == 0
    assert hub.status()["units"] == {"tokens": 42.0}


def test_a_port_that_somebody_else_serves_is_refused(hub: Hub, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        hub.job("python", "-c", SERVER, service=_service(free_port))
        hub.start()
        status = hub.wait_end()
    assert status["phase"] == "failed" and f"port {free_port} is already in use" in status["reason"]
    assert status["job_started_at"] is None
