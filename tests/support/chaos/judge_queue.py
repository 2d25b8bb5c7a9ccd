"""What must come of a queue: each item is there, done once, by the hub that the ledger says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.chaos.job.item import result as put_out
from tests.support.chaos.records import query, read_traces
from tests.support.chaos.result import Result
from tests.support.chaos.workloads import ITEMS

KILLING = ("clock of the hub", "clock of the machine", "disk full", "guard", "hub", "job", "reboot", "worker")
"""Faults after which a hub may begin an item again."""


def judge_queue(result: Result, home: Path, work: Path) -> None:
    """Look at what the items put out, at the ledger's book of them, at the hubs' own, and at each start."""
    queues = query(home, "SELECT DISTINCT queue FROM run")
    items = query(home, 'SELECT * FROM item ORDER BY queue, "index"')
    if len(queues) != 1 or len(items) != ITEMS:
        result.wrong.append(f"{len(items)} items of {len(queues)} queues are on the books")
        return
    folder = home / "runs" / queues[0]["queue"] / "outputs"
    there = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    expected = sorted(Path(item["name"], file) for item in items for file in ("hub", "result"))
    if there != expected:
        result.wrong.append(f"{len(there)} files were put out, not {len(expected)}")
    for item in items:
        result.wrong += _item(item, folder / item["name"])
    records = _records(home)
    for item in items:
        by = records[item["index"]]
        if by != [item["hub"]]:
            result.duplicates.append(f"item {item['name']} has records of {by}, and is {item['hub']}'s")
    units = sum(float(_units(run).get("items", 0)) for run in query(home, "SELECT units FROM run"))
    if units != ITEMS:
        result.wrong.append(f"the runs count {units:g} items")
    _judge_starts(result, home, work)


def _item(item: Mapping[str, Any], folder: Path) -> list[str]:
    name = item["name"]
    if (item["state"], item["exit_code"]) != ("done", 0):
        return [f"item {name} is {item['state']}, exit code {item['exit_code']}"]
    try:
        what, by = (folder / "result").read_text(), (folder / "hub").read_text().strip()
    except OSError as error:
        return [f"item {name}: {error}"]
    wrong = [] if what == put_out(name) else [f"item {name} has not put out what it should"]
    return wrong if by == item["hub"] else [*wrong, f"item {name} is of {by}, by the ledger {item['hub']}'s"]


def _records(home: Path) -> dict[int, list[str]]:
    """Return the hubs that have recorded each item as done."""
    records = defaultdict(list)
    for file in sorted((home / "mailbox").glob("*/*-h*/items/*.json")):
        record = json.loads(file.read_text())
        if record["exit_code"] == 0:
            records[record["index"]].append(file.parts[-3])
    return records


def _judge_starts(result: Result, home: Path, work: Path) -> None:
    """Find items that were begun again although nothing had happened to the hub that had them."""
    runs = [run["id"] for run in query(home, "SELECT id FROM run")]
    lines = [line for run in runs for line in read_traces(work, home, run)]
    starts = [line for line in lines if line["event"] == "begun"]
    result.duplicates += [f"{s['hub']} did item {s['item']} beside another" for s in starts if not s["alone"]]
    came_back = _came_back(home)
    were_killed = any(result.faults[kind] for kind in KILLING)
    for item in sorted({start["item"] for start in starts}):
        mine = [start["hub"] for start in starts if start["item"] == item]
        result.duplicates += [
            f"item {item} was begun on {hub} and elsewhere, and never came back"
            for hub in set(mine)
            if len(set(mine)) > 1 and hub not in came_back and hub != _owner(home, item)
        ]
        if len(mine) > len(set(mine)) and not were_killed:
            result.duplicates.append(f"item {item} was begun again on {mine[-1]}")


def _came_back(home: Path) -> set[str]:
    """Return the hubs that are gone and whose items waited again."""
    events: Sequence[Mapping[str, Any]] = query(home, "SELECT detail FROM event WHERE kind = 'items'")
    return {event["detail"].split(" of ")[1].split()[0] for event in events}


def _owner(home: Path, item: str) -> str | None:
    (row,) = query(home, f"SELECT hub FROM item WHERE name = '{item}'")
    return row["hub"]


def _units(run: Mapping[str, Any]) -> Mapping[str, Any]:
    units = run["units"]
    return json.loads(units) if isinstance(units, str) else units
