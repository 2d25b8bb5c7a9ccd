"""The inference job: an OpenAI client streams from it, its tokens are counted, and it ends when told to."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from job_process import Hub

openai = pytest.importorskip("openai")
pytest.importorskip("transformers", reason="needs the `local` extra")

READY_TIMEOUT_S = 120


@dataclass
class Service:
    process: subprocess.Popen[str]
    port: int
    temporary: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def status(self, path: str) -> int:
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            return 0
        return 200

    def tokens(self) -> dict[str, int]:
        lines = [line for line in self.get("/metrics").splitlines() if not line.startswith("#")]
        return {name: int(value) for name, value in (line.split() for line in lines)}

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of_session(session: int) -> list[str]:
    listed = subprocess.run(["ps", "-s", str(session), "-o", "args="], capture_output=True, text=True)
    return listed.stdout.splitlines()


def leave_without_a_word(port: int) -> None:
    """Open a connection and reset it, as a probe with a time limit does."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("tiny-llm")
    temporary = root / "tmp"
    temporary.mkdir()
    port = free_port()
    hub = Hub.at(root, "inference/tiny-llm")
    process = hub.start(["python3", "serve.py"], HARCHOS_PORT=str(port), TMPDIR=str(temporary))
    service = Service(process, port, temporary)
    give_up = time.monotonic() + READY_TIMEOUT_S
    try:
        while service.status("/health") != 200:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < give_up, "not ready in time"
            time.sleep(0.2)
        yield service
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_client_streams_an_answer_and_its_tokens_are_counted(service: Service) -> None:
    client = service.client()
    model = client.models.list().data[0].id
    before = service.tokens()
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Where is the grid green?"}],
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(text) == 24
    assert text.isascii()
    assert text.isprintable()
    assert len(chunks) > 2, "one answer came in one piece: it was not streamed"
    after = service.tokens()
    usage = chunks[-1].usage
    assert usage is not None
    assert after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"] == 24
    assert after["vllm:prompt_tokens_total"] - before["vllm:prompt_tokens_total"] == usage.prompt_tokens > 24


def test_a_whole_answer_is_counted_by_the_servers_own_usage(service: Service) -> None:
    before = service.tokens()
    answer = service.client().completions.create(
        model="harchos/tiny-llm", prompt="twelve bytes", max_tokens=8
    )
    after = service.tokens()
    assert len(answer.choices[0].text) == 8
    assert after["vllm:prompt_tokens_total"] - before["vllm:prompt_tokens_total"] == 12
    assert after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"] == 8


def test_a_stream_that_the_client_leaves_still_counts_what_was_generated(service: Service) -> None:
    before = service.tokens()["vllm:generation_tokens_total"]
    stream = service.client().completions.create(
        model="harchos/tiny-llm", prompt="on and on", max_tokens=1500, stream=True
    )
    for _ in range(3):
        next(stream)
    stream.close()
    while (counted := service.tokens()["vllm:generation_tokens_total"] - before) == 0:
        time.sleep(0.05)
    assert 3 <= counted < 1500


def test_what_is_not_the_api_is_refused(service: Service) -> None:
    assert service.status("/reset") == 404
    with pytest.raises(openai.BadRequestError) as refusal:
        service.client().completions.create(model="another", prompt="x")
    assert "pinned to 'harchos/tiny-llm'" in refusal.value.response.text


def test_sigterm_ends_the_service_with_nothing_left(service: Service) -> None:
    service.client().completions.create(model="harchos/tiny-llm", prompt="the last", max_tokens=4)
    leave_without_a_word(service.port)
    assert len(processes_of_session(service.process.pid)) >= 2
    service.process.send_signal(signal.SIGTERM)
    printed = service.process.communicate(timeout=60)[0]
    assert service.process.returncode == 0
    assert "POST /v1/completions 200  8 + 4 tokens" in printed
    assert "Traceback" not in printed
    assert processes_of_session(service.process.pid) == []
    assert list(service.temporary.iterdir()) == []
    assert service.status("/health") == 0
