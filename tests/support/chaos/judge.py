"""What must be true of a run after faults: the same result, nothing left, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from tests.support.chaos.machine import Machine
from tests.support.chaos.records import command, environ, query, read_traces
from tests.support.chaos.train import weights

STEPS = 110
TOLERANCE_S = 2.1
"""Per hub: a report does not name gaps under a second, one before and one after what was metered."""
SETTLED_S = 2.0
"""A killed process may take as long to leave /proc."""


class Findings(Protocol):
    """Where faults of the product are written down."""

    wrong: list[str]
    leaks: list[str]
    duplicates: list[str]
    hubs: int


def judge(findings: Findings, home: Path, work: Path, machine: Machine) -> None:
    """Judge every run of a home; nothing of it should be alive any more."""
    runs = query(home, "SELECT * FROM run")
    hubs = query(home, "SELECT * FROM hub ORDER BY created_at")
    findings.hubs = len(hubs)
    if len(runs) != 1:
        findings.wrong.append(f"{len(runs)} runs were recorded")
        return
    run = runs[0]
    findings.wrong += [*_result(run, home), *_traces(read_traces(work, run["id"])), *_commands(home)]
    findings.leaks += [*_left(machine), *_unfinished(hubs)]
    findings.duplicates += [*_calls(home), *_overlaps(hubs)]
    findings.duplicates += [
        f"{start['hub']} began the job beside another"
        for start in read_traces(work, run["id"])
        if not start["alone"]
    ]
    findings.wrong += [*_energy(home, run["id"], hubs), *_account(home, run["id"], hubs)]


def _result(run: Mapping[str, Any], home: Path) -> list[str]:
    if (run["phase"], run["outcome"]) != ("done", "succeeded"):
        return [f"phase {run['phase']}, outcome {run['outcome']}: {run['reason']}"]
    file = home / "runs" / run["id"] / "outputs" / "weights"
    if not file.exists():
        return ["there are no weights"]
    return [] if file.read_text().strip() == weights(STEPS).hex() else ["the weights are not those"]


def _traces(starts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{s['hub']} went on from a torn checkpoint" for s in starts if not s["whole"]]


def _commands(home: Path) -> list[str]:
    said = (home / "commands.log").read_text(errors="replace")
    return ["a command ended with a traceback"] if "Traceback" in said else []


def _left(machine: Machine) -> list[str]:
    until = time.monotonic() + SETTLED_S
    while (left := machine.left()) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def _unfinished(hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    gone = [hub["hub"] for hub in hubs if hub["gone_at"] is None or hub["state"] != "gone"]
    return [f"{hub} is not recorded as gone" for hub in gone]


def _calls(home: Path) -> list[str]:
    """Return the outside calls that were made again although they had succeeded."""
    calls = query(home, "SELECT phase, intent FROM op WHERE state = 'done'")
    done = Counter((call["phase"], json.loads(call["intent"])["hub"]) for call in calls)
    return [f"{phase} of {hub} was done {count} times" for (phase, hub), count in done.items() if count > 1]


def _overlaps(hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{after['hub']} was made before {before['hub']} was gone"
        for before, after in pairwise(hubs)
        if before["gone_at"] is None or after["created_at"] < before["gone_at"]
    ]


def _energy(home: Path, run: str, hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare what hubs measured with what was recorded: nothing lost, nothing twice."""
    wrong = []
    for hub in hubs:
        lines: dict[str, float] = {}
        for file in (home / "mailbox" / run / hub["hub"] / "power").glob("*.jsonl"):
            lines |= {m["at"]: m["joules"] for m in map(json.loads, file.read_text().splitlines())}
        rows = query(home, f"SELECT joules FROM measurement WHERE hub = '{hub['hub']}'")
        told, kept = sum(lines.values()), sum(row["joules"] for row in rows)
        if len(lines) != len(rows) or abs(told - kept) > 1e-6 * max(told, 1.0):
            wrong.append(f"{hub['hub']} measured {told:.1f} J, {kept:.1f} J are recorded")
    return wrong


def _account(home: Path, run: str, hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Read the report: each second of a hub's life is metered or named as a gap."""
    done = subprocess.run(
        command("report", run, "--format", "json"), env=environ(home), capture_output=True, text=True
    )
    if done.returncode != 0:
        return [f"the report failed: {done.stderr.strip()[-200:]}"]
    document = json.loads(done.stdout)
    coverage = document["realised"]["coverage"]
    lived_s = sum(hub["gone_at"] - hub["created_at"] for hub in hubs if hub["gone_at"])
    gaps_s = sum(_seconds(gap) for gap in coverage["gaps"])
    wrong = []
    if abs(coverage["livedS"] - lived_s) > TOLERANCE_S:
        wrong.append(f"the report counts {coverage['livedS']:.1f} s of hubs that lived {lived_s:.1f} s")
    if abs(coverage["meteredS"] + gaps_s - lived_s) > TOLERANCE_S * max(len(hubs), 1):
        wrong.append(f"of {lived_s:.1f} s, {coverage['meteredS']:.1f} are metered and {gaps_s:.1f} named")
    return wrong


def _seconds(gap: Mapping[str, Any]) -> float:
    span = datetime.fromisoformat(gap["end"]) - datetime.fromisoformat(gap["start"])
    return span.total_seconds()
