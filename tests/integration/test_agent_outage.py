"""A hub whose mailbox is on a store loses the network: a second here stands for a minute and a half.

That ten real minutes are survived is computed from the real constants in `tests/unit/hub/test_patience.py`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from harchos_infra.hub.checkpoints import Checkpoints
from harchos_infra.hub.series import read_series
from support.agent import Hub
from support.front import Fault
from support.object_stores import REMOTE, Store, environment

OUTAGE_S = 7.0
JOB = """
n=0
while [ ! -e enough ]; do
  n=$((n + 1)); echo "line $n"
  echo "$n" > saved/.step && mv saved/.step saved/step
  sleep 0.05
done
echo "$n" > "$HARCHOS_OUTPUT_DIR/steps"
"""
CHECKPOINT = {"path": "saved", "interval_s": 1.0, "command": None, "grace_s": 2.0}


@pytest.fixture(params=REMOTE)
def store(request: pytest.FixtureRequest, new_store: Callable[[str], Store]) -> Store:
    return new_store(request.param)


@pytest.fixture
def hub(store: Store, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a hub behind the front; this test looks at its mailbox past the front."""
    for name, value in environment(store.kind, store.service.url).items():
        monkeypatch.setenv(name, value)
    made = Hub(tmp_path, agent, url=store.url)
    made.mailbox.exists("job.json")  # connects
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        stack.callback(made.stop)
        stack.callback(store.front.heal)
        made.shell(JOB, checkpoint=CHECKPOINT)
        started = made.start(ttl_s=300.0)
        assert started.returncode == 0, started.stderr
        yield made


def _lines(hub: Hub) -> list[str]:
    said = b"".join(read_series(hub.mailbox, "logs", ".log")).decode().splitlines()
    return [line for line in said if not line.startswith("[harchos]")]


def _is_whole(hub: Hub, tmp_path: Path) -> None:
    """Look for every line, the last checkpoint, the outputs and an unbroken row of power samples."""
    lines = _lines(hub)
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]
    assert hub.mailbox.get("outputs/steps") == b"%d\n" % len(lines)
    (tmp_path / "restored").mkdir()
    assert Checkpoints(hub.mailbox, tmp_path / "restored").restore(print)
    assert (tmp_path / "restored" / "step").read_text() == f"{len(lines)}\n"
    power = [line for chunk in read_series(hub.mailbox, "power", ".jsonl") for line in chunk.splitlines()]
    samples = hub.power()
    assert len(samples) == len(power)
    ends = [datetime.fromisoformat(sample["at"]).timestamp() for sample in samples]
    for (last, end), sample in zip(itertools.pairwise(ends), samples[1:], strict=True):
        assert abs(end - last - sample["seconds"]) < 0.5, "a gap between two samples"


@pytest.mark.parametrize("down", ["refused", "silent"])
def test_a_job_that_runs_through_an_outage_loses_nothing(
    hub: Hub, store: Store, tmp_path: Path, down: str
) -> None:
    hub.wait_log("line 10")
    store.front.down = down
    time.sleep(OUTAGE_S)
    seen = len(_lines(hub))
    store.front.heal()
    hub.wait(lambda: len(_lines(hub)) > seen + 20, "the output of the outage")
    (hub.directory / "work" / "enough").touch()
    ended = hub.wait_end()
    assert ended["phase"] == "succeeded", (ended, hub.agent_log())
    _is_whole(hub, tmp_path)


def test_a_job_that_ends_during_an_outage_loses_nothing(hub: Hub, store: Store, tmp_path: Path) -> None:
    hub.wait_log("line 10")
    store.front.down = "refused"
    time.sleep(OUTAGE_S / 2)
    (hub.directory / "work" / "enough").touch()
    time.sleep(OUTAGE_S / 2)
    store.front.heal()
    ended = hub.wait_end()
    assert ended["phase"] == "succeeded", (ended, hub.agent_log())
    _is_whole(hub, tmp_path)


def test_a_store_that_fails_now_and_then_with_a_wrong_clock_and_late_listings_loses_nothing(
    hub: Hub, store: Store, tmp_path: Path
) -> None:
    store.front.clock_s = 3600.0
    hub.wait_log("line 10")
    store.front.lag()
    for method, part in (("PUT", "logs/"), ("PUT", "power/"), ("PUT", "checkpoints"), ("GET", "checkpoints")):
        store.front.fail(method, part, Fault(lose_answer=True), times=2)
        store.front.fail(method, part, Fault(status=503, code="SlowDown"), times=5)
        store.front.fail(method, part, Fault(cut_sent=0), times=2)
    time.sleep(OUTAGE_S)
    (hub.directory / "work" / "enough").touch()
    ended = hub.wait_end()
    assert ended["phase"] == "succeeded", (ended, hub.agent_log())
    store.front.catch_up()
    _is_whole(hub, tmp_path)


def test_a_hub_that_starts_without_a_network_waits_for_it(
    store: Store, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(store.kind, store.service.url).items():
        monkeypatch.setenv(name, value)
    hub = Hub(tmp_path, agent, url=store.url)
    hub.shell("echo better late than never")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    store.front.down = "refused"
    assert hub.start(ttl_s=300.0).returncode == 0
    try:
        time.sleep(OUTAGE_S / 2)
        assert hub.status()["phase"] is None
        store.front.heal()
        ended = hub.wait_end()
        assert ended["phase"] == "succeeded", (ended, hub.agent_log())
        assert "better late than never" in hub.log()
    finally:
        hub.stop()
