"""Hubs of several nodes: a real torchrun training that grows from one to two, and loses a process there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

TRAINING = """\
import hashlib, json, os, pathlib, signal, sys, time
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, world, steps, pause_s = dist.get_rank(), dist.get_world_size(), int(sys.argv[1]), float(sys.argv[2])
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
saved = pathlib.Path(os.environ["HARCHOS_CHECKPOINT_DIR"], "state.pt")
out = pathlib.Path(os.environ["HARCHOS_OUTPUT_DIR"])
double = torch.float64
x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0), dtype=double)
y = x @ torch.arange(8.0, dtype=double)
weights, done = torch.zeros(8, dtype=double), 0
if saved.exists():
    state = torch.load(saved)
    weights, done = state["weights"], state["done"]
print(f"{world} ranks from step {done}", flush=True)
while done < steps:
    stop = torch.tensor(float(bool(asked)))
    dist.all_reduce(stop)
    if stop.item():
        sys.exit(143)
    time.sleep(pause_s)
    gradient = torch.zeros(8, dtype=double)
    for half in range(2):  # a sum of two is the same in any order: the weights tell nothing of the nodes
        if half % world == rank:
            mine = slice(32 * half, 32 * half + 32)
            gradient = gradient + x[mine].T @ (x[mine] @ weights - y[mine]) / 64
    dist.all_reduce(gradient)
    weights, done = weights - 0.1 * gradient, done + 1
    if rank == 0:
        part = saved.with_suffix(".part")
        torch.save({"weights": weights, "done": done}, part)
        part.replace(saved)
        with (out / "steps.txt").open("a") as file:
            print(done, file=file)
if rank == 0:
    (out / "weights.json").write_text(json.dumps(hashlib.sha256(weights.numpy().tobytes()).hexdigest()))
dist.barrier()
"""
STEPS = 100


def alone(folder: Path) -> str:
    """Return the hash of the weights after an undisturbed training in one process."""
    for name in ("saved", "out"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        **{"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"},
        "HARCHOS_CHECKPOINT_DIR": str(folder / "saved"),
        "HARCHOS_OUTPUT_DIR": str(folder / "out"),
    }
    command = [sys.executable, "train.py", str(STEPS), "0"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    digest: str = json.loads((folder / "out" / "weights.json").read_text())
    return digest


def training_process(hub: str) -> int:
    """Return the pid of the training of a node, torchrun's child."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"HARCHOS_HUB={hub}".encode() in (entry / "environ").read_bytes().split(b"\0")
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if marked and words[1:3] == [b"-u", b"train.py"]:
            return int(entry.name)
    raise AssertionError(f"no training runs on {hub}")


@pytest.mark.slow
def test_a_training_grows_to_two_nodes_and_starts_again_on_both_when_one_of_its_processes_dies(
    road: Road,
) -> None:
    folder = road.work / "training"
    folder.mkdir()
    (folder / "train.py").write_text(TRAINING)
    file = road.workload(
        f"exec torchrun train.py {STEPS} 0.1",
        name="grow",
        type="training",
        workdir="training",
        duration="8h",
        deadline="6h",
        scaling={"minNodes": 1, "maxNodes": 2, "throughput": [1, 1.9]},
        restartPolicy={"onFailure": True, "maxRetries": 2},
        checkpoint={"grace": "10s", "interval": "1s"},
        placement={"providers": ["aws"], "regions": ["aws/us-west-1"]},
        resources={"cpu": 2, "memory": "4Gi"},
        objective="greenest",
    )
    plan = road.work / "plan.json"
    planned = road.harchos("plan", file, "--now", "2022-07-17T07:30Z", "--out", plan)
    assert planned.returncode == 0, planned.stderr
    assert [s["nodes"] for s in json.loads(plan.read_text())["chosen"]["segments"]] == [1, 2]

    apply = road.start("apply", plan, "--rehearse", "--speed", "600", "--yes")
    assert apply.stdout is not None
    assert any("[n1] 2 ranks from step" in line for line in apply.stdout)
    run = road.run_row()["run"]
    os.kill(training_process(f"{run}-h2-n1"), signal.SIGKILL)
    text = apply.communicate(timeout=200)[0]

    assert apply.returncode == 0, text
    assert "attempt 1 of 3 failed" in text
    assert re.search(r"\[n1\] 2 ranks from step [1-9]", text), "node 1 has what node 0 had saved"
    outputs = road.home / "runs" / run / "outputs"
    assert (outputs / "steps.txt").read_text().split() == [str(n) for n in range(1, STEPS + 1)]
    assert json.loads((outputs / "weights.json").read_text()) == alone(folder)
    report = json.loads(road.harchos("report", run, "--format", "json").stdout)
    assert [hub["nodes"] for hub in report["hubs"]] == [1, 2]
    assert road.left() == []
