"""The hub's small parts: time to live, tokens, image names, units, processes, the agent's file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from harchos_infra.hub import ttl
from harchos_infra.hub.agent_log import AgentLog
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.container import Image, probe
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.engine import Engine
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.outputs import reported_units
from harchos_infra.hub.package import build_agent
from harchos_infra.hub.proc import Process, handles
from harchos_infra.hub.runners import qualified
from harchos_infra.hub.service import Tokens, sum_tokens
from harchos_infra.hub.status import keep_clock, now
from harchos_infra.hub.ttl import Ttl
from harchos_infra.hub.worker import Worker


def test_a_time_to_live_counts_down_and_a_past_one_is_over() -> None:
    assert 50 < Ttl.parse((datetime.now(UTC) + timedelta(seconds=60)).isoformat()).left_s() <= 60
    assert Ttl.parse("2001-01-01T00:00:00Z").left_s() < 0
    assert Ttl.parse("2001-01-01T00:00:00").expires.tzinfo == UTC


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """By how many seconds the wall clock was set forward: what a test puts at the end of the list."""
    moved = [0.0]
    real = time.time

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(real() + moved[-1], tz)

    monkeypatch.setattr(ttl, "datetime", Wall)
    monkeypatch.setattr(time, "time", lambda: real() + moved[-1])
    monkeypatch.setenv("HARCHOS_CLOCK", "0")
    keep_clock()
    yield moved


def test_a_clock_that_is_set_forward_ends_a_hub_which_says_so(clock: list[float]) -> None:
    time_left = Ttl(datetime.now(UTC) + timedelta(seconds=600))
    clock.append(3600.0)
    assert time_left.left_s() < -2900
    assert time_left.why().startswith(ttl.CLOCK_SET)
    clock.append(-3600.0)
    assert 500 < time_left.left_s() < 601
    over = Ttl.parse("2001-01-01T00:00:00Z")
    assert over.why() == "the hub's time to live ended at 2001-01-01T00:00:00+00:00"


def test_a_clock_that_was_set_forward_as_the_agent_began_is_not_the_end_of_its_time(
    clock: list[float],
) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=600)
    clock.append(3600.0)
    assert Ttl(expires).left_s() < -2900
    assert Ttl(expires).why().startswith(ttl.CLOCK_SET)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_what_an_agent_writes_is_in_order_however_its_clock_is_set(
    clock: list[float], seconds: float
) -> None:
    keep_clock()
    before = datetime.fromisoformat(now())
    clock.append(seconds)
    assert 0 <= (datetime.fromisoformat(now()) - before).total_seconds() < 60


def test_an_agent_goes_on_when_its_log_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", AgentLog(full))
    print("status.json: no space left on device", flush=True)
    os.close(full)
    print("and a log that is gone", flush=True)


def test_a_container_that_tries_the_network_is_marked_like_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(Engine, "run", lambda self, *words, **_: asked.append(words))
    probe(Engine("podman", "podman"), Image("i", host=False), None, Identity("", "r", "r-h1", "2026-01-01"))
    (words,) = asked
    assert "harchos:hub=r-h1" in words


def test_token_counters_of_all_models_are_summed() -> None:
    text = (
        "# HELP vllm:prompt_tokens_total Number of prefill tokens.\n"
        'vllm:prompt_tokens_total{model_name="a",note="}"} 1.5e+03\n'
        'vllm:prompt_tokens_total{model_name="b"} 10 1700000000000\n'
        "vllm:generation_tokens_total 7\n"
        "vllm:generation_tokens_total_created 999\n"
        "vllm:request_prompt_tokens_bucket 5\n"
    )
    assert sum_tokens(text) == 1517
    assert sum_tokens("http_requests_total 4\n") is None


def test_tokens_of_a_service_that_started_again_are_added() -> None:
    tokens = Tokens()
    assert [tokens.total(n) for n in (None, 5.0, 9.0, None, 2.0, 3.0)] == [None, 5, 9, 9, 11, 12]


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("pytorch/pytorch:2.4", "docker.io/pytorch/pytorch:2.4"),
        ("ghcr.io/o/i:1", "ghcr.io/o/i:1"),
        ("localhost/mine", "localhost/mine"),
        ("registry:5000/i", "registry:5000/i"),
    ],
)
def test_an_image_without_a_registry_is_dockers(image: str, full: str) -> None:
    assert qualified(image) == full


@pytest.mark.parametrize(
    ("text", "units"),
    [('{"rows": 10, "name": "x", "ok": true}', {"rows": 10.0}), ("[1]", {}), ("{torn", {})],
)
def test_units_are_the_numbers_a_job_reports(tmp_path: Path, text: str, units: dict[str, float]) -> None:
    (tmp_path / "units.json").write_text(text)
    assert reported_units(tmp_path) == units


def test_a_process_hears_a_signal_once_it_has_a_handler() -> None:
    script = "read go; trap 'exit 0' TERM; echo up; read end"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        assert not handles(child.pid, "sh", signal.SIGTERM)
        child.stdin.write(b"go\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"up\n"
        assert handles(child.pid, "sh", signal.SIGTERM)
        assert not handles(child.pid, "sh", signal.SIGUSR1)
        assert not handles(child.pid, "init", signal.SIGTERM)
        child.kill()
    assert not handles(child.pid, "sh", signal.SIGTERM)


def test_an_error_of_the_agents_own_is_the_status_and_not_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Worker) -> tuple[str, str | None]:
        raise ValueError("no such luck")

    monkeypatch.setattr(Worker, "_carry_out", fail)
    monkeypatch.setattr("harchos_infra.hub.ending.Endings.take_signals", lambda _self: None)
    monkeypatch.setattr("harchos_infra.hub.worker.Cgroup.join", lambda _self, _below: None)
    identity = Identity((tmp_path / "mailbox").as_uri(), "r-000000", "r-000000-h1", "2099-01-01T00:00:00Z")
    (tmp_path / "machine").mkdir()
    try:
        Worker(Directory(tmp_path / "machine"), identity).run()
    finally:
        Cgroup("r-000000-h1").remove()
    status = Mailbox(identity.mailbox, identity.run, identity.hub).get_json("status.json")
    assert (status["phase"], status["reason"]) == ("failed", "the agent failed: ValueError: no such luck")


def test_a_process_with_another_start_time_is_never_signalled() -> None:
    child = subprocess.Popen(["sleep", "100"])
    try:
        process = Process.of(child.pid)
        assert process is not None
        assert not Process(child.pid, process.start_ticks + 1).signal(signal.SIGKILL)
        assert child.poll() is None
        assert process.signal(signal.SIGKILL) and process.wait(5)
    finally:
        child.kill()
        child.wait()
    assert Process.of(child.pid) is None


def test_the_agent_is_the_same_bytes_each_time_and_the_very_sources(tmp_path: Path) -> None:
    first, second = build_agent(tmp_path / "a.pyz"), build_agent(tmp_path / "b.pyz")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        import harchos_infra.hub.agent as source

        assert archive.read("harchos_infra/hub/agent.py") == Path(source.__file__).read_bytes()


def test_the_agent_imports_nothing_but_the_standard_library_before_it_opens_a_mailbox(tmp_path: Path) -> None:
    agent = build_agent(tmp_path / "agent.pyz")
    script = (
        f"import sys, json; sys.path.insert(0, {str(agent)!r}); import harchos_infra.hub.worker, "
        "harchos_infra.hub.guard; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    )
    bare = [sys.executable, "-I", "-S", "-c", script]
    done = subprocess.run(bare, capture_output=True, text=True, check=True, env={"PATH": os.defpath})
    modules = set(json.loads(done.stdout))
    assert "harchos_infra" in modules
    assert modules - set(sys.stdlib_module_names) <= {"harchos_infra", "__main__"}


@pytest.mark.parametrize("arguments", [[], ["start"], ["stop", "--dir", "x", "--grace", "-1"], ["fly"]])
def test_a_wrong_command_line_is_refused_without_a_traceback(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "harchos_infra.hub", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
