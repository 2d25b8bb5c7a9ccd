"""The training job: it learns, it stops when asked, and an interruption changes nothing in the result."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from job_process import Hub

pytest.importorskip("torch", reason="needs the `local` extra")


def train(epochs: int, min_accuracy: float = 0) -> list[str]:
    return ["python3", "train.py", "--epochs", str(epochs), "--min-accuracy", str(min_accuracy)]


def metrics(hub: Hub) -> dict[str, object]:
    return json.loads((hub.outputs / "metrics.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hub, int, str]:
    """Three epochs without a break, asked for more than they reach: hub, exit code and what was printed."""
    hub = Hub.at(tmp_path_factory.mktemp("undisturbed"), "training/digits")
    return hub, *hub.run(train(epochs=3, min_accuracy=0.999))


def test_a_missed_accuracy_fails_the_job_but_keeps_its_outputs(undisturbed: tuple[Hub, int, str]) -> None:
    hub, code, printed = undisturbed
    assert code == 1
    assert "misses the 99.9% asked for" in printed
    assert {path.name for path in hub.outputs.iterdir()} == {
        "model.pt",
        "metrics.json",
        "metrics.jsonl",
        "units.json",
    }


@pytest.mark.slow
def test_a_run_stopped_and_resumed_ends_with_the_weights_of_an_undisturbed_one(
    undisturbed: tuple[Hub, int, str], tmp_path: Path
) -> None:
    stopped = Hub.at(tmp_path, "training/digits")
    process = stopped.start(train(epochs=3))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 1/3"):
            process.send_signal(signal.SIGTERM)
            break
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert re.search(r"stopped on SIGTERM after epoch [12]:", printed)
    assert not (stopped.outputs / "metrics.json").exists()
    assert [path.name for path in stopped.checkpoints.iterdir()] == ["digits.pt"]

    code, printed = stopped.run(train(epochs=3))
    assert code == 0
    assert "resumed after epoch" in printed
    assert "epoch 1/3" not in printed
    assert metrics(stopped)["weights_sha256"] == metrics(undisturbed[0])["weights_sha256"]
    assert json.loads((stopped.outputs / "units.json").read_text()) == {"images": 3 * 1437}


@pytest.mark.slow
def test_the_whole_run_reaches_97_percent(tmp_path: Path) -> None:
    hub = Hub.at(tmp_path, "training/digits")
    code, printed = hub.run(train(epochs=30, min_accuracy=0.97))
    assert code == 0
    lines = re.findall(r"^epoch +\d+/30  loss \d\.\d{4}  test accuracy +\d+\.\d\d%  ", printed, re.M)
    assert len(lines) == 30
    assert metrics(hub)["accuracy"] >= 0.97


@pytest.mark.slow
def test_a_training_on_two_processes_is_resumed_by_one(tmp_path: Path) -> None:
    hub = Hub.at(tmp_path, "training/digits")
    torchrun = ["torchrun", "--standalone", "--nproc-per-node"]
    stopped = hub.start([*torchrun, "2", "train_nodes.py", "--epochs", "8"])
    assert stopped.stdout is not None
    for line in stopped.stdout:
        if line.startswith("epoch 1/8"):
            stopped.send_signal(signal.SIGTERM)
            break
    stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert [path.name for path in hub.checkpoints.iterdir()] == ["digits.pt"]
    code, printed = hub.run([*torchrun, "1", "train_nodes.py", "--epochs", "8", "--min-accuracy", "0.8"])
    assert code == 0, printed
    history = metrics(hub)["history"]
    assert isinstance(history, list)
    processes = [epoch["processes"] for epoch in history]
    assert len(processes) == 8
    assert processes == sorted(processes, reverse=True)
    assert set(processes) == {1, 2}
