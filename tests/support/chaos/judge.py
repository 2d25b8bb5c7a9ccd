"""What must be true of every run after faults: it ended well, nothing is left, nothing was done twice."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.chaos.machine import Machine
from tests.support.chaos.records import boxes, command, environ, query
from tests.support.chaos.result import Result
from tests.support.chaos.way import Way

TOLERANCE_S = 2.1
"""Per node: a report does not name gaps under a second, one before and one after what was metered."""
SETTLED_S = 2.0
"""A killed process may take as long to leave /proc."""


def judge(result: Result, way: Way, root: Path, work: Path, machine: Machine, token: str) -> None:
    """Judge every run of the home in `root`, and what came of them; nothing of it should be alive any more.

    `token` is the value of the runs' secret.
    """
    home = root / "home"
    runs = query(home, "SELECT * FROM run ORDER BY created_at, id")
    result.wrong += _commands(root)
    result.leaks += [*_left(machine), *_taken(home), *_kept(root, token)]
    result.duplicates += _calls(home)
    for run in runs:
        _judge_run(result, home, run)
    if not 1 <= len(runs) <= way.runs:
        result.wrong.append(f"{len(runs)} runs were recorded")
    elif all(run["outcome"] == "succeeded" for run in runs):
        way.judge(result, home, work)


def _judge_run(result: Result, home: Path, run: Mapping[str, Any]) -> None:
    name = run["id"]
    hubs = query(home, f"SELECT * FROM hub WHERE run = '{name}' ORDER BY length(hub), hub")
    events = query(home, f"SELECT kind, detail FROM event WHERE run = '{name}' ORDER BY id")
    result.hubs += len(hubs)
    if (run["phase"], run["outcome"]) != ("done", "succeeded"):
        result.wrong.append(f"{name}: phase {run['phase']}, outcome {run['outcome']}: {run['reason']}")
    result.wrong += [*_history(name, events, hubs), *_energy(home, name, hubs), *_account(home, run, hubs)]
    result.leaks += _unfinished(home, run, hubs)
    result.duplicates += _overlaps(events)


def _commands(root: Path) -> list[str]:
    said = (root / "commands.log").read_text(errors="replace")
    wrong = {"\nTraceback": "a command ended with a traceback", "cannot be preloaded": "no clock was shifted"}
    return [why for words, why in wrong.items() if words in said]


def _left(machine: Machine) -> list[str]:
    until = time.monotonic() + SETTLED_S
    while (left := machine.left()) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def _history(run: str, events: Sequence[Mapping[str, Any]], hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what events say that cannot be: a hub that came or went other than once, an end that is none."""
    lines = [(event["kind"], event["detail"]) for event in events]
    wrong = []
    for hub in hubs:
        came = lines.count(("hub", f"{hub['hub']} is about to be created"))
        went = sum(kind == "gone" and detail.startswith(f"hub {hub['hub']}:") for kind, detail in lines)
        if (came, went) != (1, 1):
            wrong.append(f"by its history {hub['hub']} came {came} times and went {went} times")
    ends = [detail for kind, detail in lines if kind == "phase" and detail.startswith("done")]
    return wrong if len(ends) == 1 else [*wrong, f"by its history {run} ended {len(ends)} times"]


def _unfinished(home: Path, run: Mapping[str, Any], hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the ledger still holds to be under way."""
    left = [hub["hub"] for hub in hubs if hub["gone_at"] is None or hub["state"] != "gone"]
    left = [f"{hub} is not recorded as gone" for hub in left]
    if run["finished_at"] is None:
        left.append(f"{run['id']} is not recorded as ended")
    calls = query(
        home, f"SELECT intent, state FROM op WHERE run = '{run['id']}' AND phase = 'destroy' ORDER BY id"
    )
    last = {json.dumps(_document(call["intent"])): call["state"] for call in calls}
    return left + [f"destroy of {intent} is {state}" for intent, state in last.items() if state != "done"]


def _taken(home: Path) -> list[str]:
    return [f"a place of {slot['run']} is taken" for slot in query(home, "SELECT run FROM slot")]


def _kept(root: Path, token: str) -> list[str]:
    """Return files that should be gone: temporary ones, and whatever has the run's secret in it."""
    left = [f"temporary {path}" for path in (root / "tmp").rglob("*")]
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return left + [f"the secret in {path}" for path in files if token.encode() in path.read_bytes()]


def _calls(home: Path) -> list[str]:
    """Return the outside calls that were made again although they had succeeded."""
    calls = query(home, "SELECT phase, intent FROM op WHERE state = 'done'")
    done = Counter((call["phase"], _document(call["intent"])["hub"]) for call in calls)
    return [f"{phase} of {hub} was done {count} times" for (phase, hub), count in done.items() if count > 1]


def _document(value: Any) -> Any:
    """Return a column of JSON, which SQLite has as text."""
    return json.loads(value) if isinstance(value, str) else value


def _overlaps(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return hubs that were made before the one before was gone; events are in their order."""
    alive, wrong = "", []
    for event in events:
        if event["kind"] == "hub":
            if alive:
                wrong.append(f"{event['detail']} before {alive} was gone")
            alive = event["detail"].split()[0]
        elif event["kind"] == "gone":
            alive = ""
    return wrong


def _energy(home: Path, run: str, hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare what hubs measured with what was recorded: nothing lost, nothing twice."""
    wrong = []
    for hub in hubs:
        lines: dict[tuple[str, str], float] = {}
        for box in boxes(home, run, hub["hub"]):
            for file in box.glob("power/*.jsonl"):
                measured = map(json.loads, file.read_text().splitlines())
                lines |= {(box.name, m["at"]): m["joules"] for m in measured}
        rows = query(home, f"SELECT joules FROM measurement WHERE hub = '{hub['hub']}'")
        told, kept = sum(lines.values()), sum(row["joules"] for row in rows)
        if abs((hub["metered_s"] or 0.0) - _metered_s(home, hub)) > 1e-3:
            wrong.append(f"{hub['hub']} is said to be metered for {hub['metered_s']} s")
        if len(lines) != len(rows) or abs(told - kept) > 1e-6 * max(told, 1.0):
            wrong.append(f"{hub['hub']} measured {told:.1f} J, {kept:.1f} J are recorded")
    return wrong


def _metered_s(home: Path, hub: Mapping[str, Any]) -> float:
    rows = query(home, f"SELECT seconds FROM measurement WHERE hub = '{hub['hub']}'")
    return float(sum(row["seconds"] for row in rows))


def _account(home: Path, run: Mapping[str, Any], hubs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Read the report: each second of a node's life is metered or named as a gap, and paid for once."""
    done = subprocess.run(
        command("report", run["id"], "--format", "json"), env=environ(home), capture_output=True, text=True
    )
    if done.returncode != 0:
        return [f"the report failed: {done.stderr.strip()[-200:]}"]
    realised = json.loads(done.stdout)["realised"]
    coverage, usd = realised["coverage"], realised["cost"]["computeUsd"]
    lived = {hub["hub"]: hub["gone_at"] - hub["created_at"] for hub in hubs if hub["gone_at"]}
    nodes = {hub["hub"]: _document(hub["place"])["nodes"] for hub in hubs}
    lived_s = sum(nodes[hub] * seconds for hub, seconds in lived.items())
    gaps_s = sum(_seconds(gap) for gap in coverage["gaps"])
    metered_s = sum(_metered_s(home, hub) for hub in hubs)
    tolerance_s = TOLERANCE_S * max(sum(nodes.values()), 1)
    wrong = [f"{hub} lived for {seconds:.1f} s" for hub, seconds in lived.items() if seconds < 0]
    if abs(coverage["livedS"] - lived_s) > TOLERANCE_S:
        wrong.append(f"the report counts {coverage['livedS']:.1f} s of hubs that lived {lived_s:.1f} s")
    if abs(coverage["meteredS"] + gaps_s - lived_s) > tolerance_s:
        wrong.append(f"of {lived_s:.1f} s, {coverage['meteredS']:.1f} are metered and {gaps_s:.1f} named")
    if abs(coverage["meteredS"] - metered_s) > tolerance_s:
        wrong.append(f"of {metered_s:.1f} s that were metered, the report has {coverage['meteredS']:.1f}")
    paid = sum(_usd_s(hub) * run["speed"] * lived.get(hub["hub"], 0.0) for hub in hubs)
    if abs(paid - usd) > 1e-6 + 1e-3 * paid:
        wrong.append(f"hubs cost {paid:.6f} USD, the report says {usd:.6f}")
    return wrong


def _usd_s(hub: Mapping[str, Any]) -> float:
    """Return the price of a second."""
    place = _document(hub["place"])
    return float(place["nodes"] * place["priceUsdHour"] / 3600)


def _seconds(gap: Mapping[str, Any]) -> float:
    span = datetime.fromisoformat(gap["end"]) - datetime.fromisoformat(gap["start"])
    return span.total_seconds()
