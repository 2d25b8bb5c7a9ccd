"""What must come of a training: the weights of an undisturbed one."""

from __future__ import annotations

from pathlib import Path

from tests.support.chaos.job.train import STEPS, weights
from tests.support.chaos.records import query, read_traces
from tests.support.chaos.result import Result


def judge_training(result: Result, home: Path, work: Path) -> None:
    """Look at the weights of the only run, and at what its starts told."""
    (run,) = query(home, "SELECT id FROM run")
    file = home / "runs" / run["id"] / "outputs" / "weights"
    if not file.exists():
        result.wrong.append("there are no weights")
    elif file.read_text().strip() != weights(STEPS).hex():
        result.wrong.append("the weights are not those")
    starts = read_traces(work, home, run["id"])
    result.wrong += [f"{s['hub']} went on from a torn checkpoint" for s in starts if not s["whole"]]
    result.duplicates += [f"{s['hub']} began the job beside another" for s in starts if not s["alone"]]
