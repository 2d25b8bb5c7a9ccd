"""A queue of items on two hubs, one of which is lost in the middle: every item is there, each once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Road

ITEMS = 10


def test_every_item_of_a_queue_is_done_once_although_a_hub_is_lost(road: Road) -> None:
    log = road.work / "begun.txt"
    command = (
        f'echo "begun $HARCHOS_ITEM $HARCHOS_HUB" >> {log}; sleep 1; '
        f'echo "$HARCHOS_ITEM_INDEX by $HARCHOS_HUB" > "$HARCHOS_OUTPUT_DIR/result"; echo did'
    )
    workload = road.workload(command, name="queue", items={"count": ITEMS, "maxHubs": 2})
    apply = road.start("apply", workload, "--yes")

    def begun() -> Counter[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(line.split()[2] for line in lines)

    road.wait_for(lambda: len(begun()) == 2 and min(begun().values()) >= 2)
    lost = next(hub for hub, n in begun().items() if n >= 2)
    for pid in road.marked():
        with suppress(ProcessLookupError, FileNotFoundError):
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"HARCHOS_HUB={lost}".encode() in environ:
                os.kill(pid, signal.SIGKILL)
    out, _ = apply.communicate(timeout=180)
    assert apply.returncode == 0, out
    (queue,) = road.status()["queues"]
    assert (queue["done"], queue["failed"], queue["waiting"], queue["assigned"]) == (ITEMS, 0, 0, 0)
    results = sorted((road.home / "runs" / queue["queue"] / "outputs").glob("*/result"))
    assert [path.parent.name for path in results] == [str(index) for index in range(ITEMS)]
    assert [path.read_text().split()[0] for path in results] == [str(index) for index in range(ITEMS)]

    report = json.loads(road.harchos("report", queue["queue"], "--format", "json").stdout)
    assert sum(run["units"]["items"] for run in report["runs"]) == ITEMS
    assert sum(len(run["outputs"]) for run in report["runs"]) == ITEMS
    hubs = [hub for run in report["runs"] for hub in run["hubs"]]
    by = Counter(path.read_text().split()[2] for path in results)
    assert set(by) <= {hub["hub"] for hub in hubs}
    energy_kwh = sum(run["realised"]["energyKwh"] for run in report["runs"])
    assert report["sum"]["energyKwh"] == pytest.approx(energy_kwh)
    marks = {f"[{hub.rpartition('-h')[0].rpartition('-')[2]}]" for hub in by}
    logs = road.harchos("logs", queue["queue"]).stdout
    assert {line.split()[0] for line in logs.splitlines() if line.endswith(" did")} == marks
    assert report["sum"]["gco2ePerItem"] > 0
    assert road.left() == []
