"""What must come of a training of two nodes: each one's weights, and those that both make together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.support.chaos.job.pair import STEPS, united, weights
from tests.support.chaos.records import query, read_traces
from tests.support.chaos.result import Result


def judge_nodes(result: Result, home: Path, work: Path) -> None:
    """Look at what the nodes of the only run put out, and at what their starts told."""
    (run,) = query(home, "SELECT id FROM run")
    folder = home / "runs" / run["id"] / "outputs"
    there = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    each = [weights(node, STEPS) for node in range(2)]
    if there != {"part-0": each[0], "part-1": each[1], "weights": united(each)}:
        result.wrong.append(f"not what was to be put out: {', '.join(sorted(there)) or 'nothing'}")
    lines = read_traces(work, home, run["id"])
    starts = [line for line in lines if line["event"] == "begun"]
    result.wrong += [f"{s['hub']} went on from a torn checkpoint" for s in starts if not s["whole"]]
    result.wrong += [f"{s['hub']} had found another step of its peer" for s in lines if s["event"] == "apart"]
    result.duplicates += [f"{s['hub']} began the job beside another" for s in starts if not s["alone"]]
    met = Counter((start["meeting"], start["node"]) for start in starts)
    result.duplicates += [f"node {node} began {n} times as {to}" for (to, node), n in met.items() if n > 1]
