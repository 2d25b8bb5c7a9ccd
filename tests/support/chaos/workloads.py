"""The documents that are applied, and the folder of their user."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.chaos.job import pair, train
from tests.support.chaos.records import command, environ

JOBS = Path(train.__file__).parent
WRONG_CLOCK = Path(__file__).with_name("wrong_clock.c")
NOW = "2022-07-17T07:30Z"
"""From then on the plan for two regions pauses and moves, on the replayed week."""
ITEMS = 10
RETRIES = 60
"""A disk may be full for seven seconds, in which a job that writes fails twice a second."""

_ALIKE: Mapping[str, Any] = {
    "workdir": "files",
    "restartPolicy": {"onFailure": "restart", "maxRetries": RETRIES},
    "resources": {"cpu": 1, "memory": "1Gi"},
    "secrets": [{"name": "CHAOS_TOKEN"}],
}
_HERE: Mapping[str, Any] = {"duration": "2m", "placement": {"providers": ["local"]}}
_SAVED: Mapping[str, Any] = {
    "interruptible": True,
    "checkpoint": {"grace": "10s", "restart": "5m", "sizeGiB": 0.01, "interval": "1s"},
}


def prepare(work: Path, home: Path) -> None:
    """Write what is applied into `work`: documents, their jobs, and a plan of several segments."""
    (work / "traces").mkdir(parents=True)
    shutil.copytree(JOBS, work / "files" / "job", ignore=shutil.ignore_patterns("__pycache__"))
    for name, spec in _specs(str(work / "traces")).items():
        document = {
            "apiVersion": "harchos.dev/v1",
            "kind": "Workload",
            "metadata": {"name": "chaos"},
            "spec": {"type": "batch", **_ALIKE, **spec},
        }
        (work / f"{name}.yaml").write_text(json.dumps(document, indent=2))
    shifting = ["cc", "-shared", "-fPIC", "-o", str(work / "wrong_clock.so"), str(WRONG_CLOCK)]
    subprocess.run(shifting, check=True)
    home.mkdir()
    planned = command("plan", "moves.yaml", "--now", NOW, "--out", "plan.json")
    done = subprocess.run(
        planned, cwd=work, env=environ(home) | {"CHAOS_TOKEN": "none"}, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    segments = json.loads((work / "plan.json").read_text())["chosen"]["segments"]
    assert len(segments) > 1, "the plan has one segment only"


def _specs(traces: str) -> dict[str, dict[str, Any]]:
    """Return what differs, by the name of the file."""
    training = {**_SAVED, "command": ["python3", "-m", "job.train", str(train.STEPS), traces]}
    elsewhere = {
        "duration": "12h",
        "deadline": "60h",
        "objective": "greenest",
        "placement": {"providers": ["aws"], "regions": ["aws/us-west-1", "aws/eu-west-2"]},
    }
    items = {"items": {"count": ITEMS, "maxHubs": 2}, "command": ["python3", "-m", "job.item", traces]}
    together = {**_SAVED, "replicas": 2, "command": ["python3", "-m", "job.pair", str(pair.STEPS), traces]}
    return {
        "job": {**_HERE, **training},
        "moves": {**elsewhere, **training},
        "items": {**_HERE, **items},
        "pair": {**_HERE, **together},
    }
