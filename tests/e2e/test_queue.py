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


def test_hubs_of_a_queue_in_two_regions_share_its_items(road: Road) -> None:
    workload = road.workload(
        'sleep 0.5; echo "$HARCHOS_HUB" > "$HARCHOS_OUTPUT_DIR/result"',
        name="apart",
        duration="2h",
        resources={"gpu": {"count": 1, "type": "L4"}},
        placement={"regions": ["gcp/europe-west3", "gcp/europe-west4"]},
        items={"count": ITEMS, "maxHubs": 2},
    )
    quotas = road.work / "quotas.yaml"
    quotas.write_text("quotas: [{provider: gcp, gpu: L4, maxGpus: 1}]\n")
    planned = road.harchos("plan", workload, "--quotas", quotas, "--out", "plan.json", "--format", "json")
    assert planned.returncode == 0, planned.stderr
    parts = {part["chosen"]["segments"][0]["region"]: part for part in json.loads(planned.stdout)["parts"]}
    assert {region: part["hubs"] for region, part in parts.items()} == {"europe-west3": 1, "europe-west4": 1}

    applied = road.harchos("apply", "plan.json", "--rehearse", "--yes")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    (queue,) = road.status()["queues"]
    assert (queue["done"], queue["failed"], queue["runs"]) == (ITEMS, 0, 2)
    report = json.loads(road.harchos("report", queue["queue"], "--format", "json").stdout)
    hubs = {hub["hub"]: hub["region"] for run in report["runs"] for hub in run["hubs"]}
    results = sorted((road.home / "runs" / queue["queue"] / "outputs").glob("*/result"))
    assert len(results) == ITEMS
    assert {hubs[path.read_text().strip()] for path in results} == set(parts)
    for run in report["runs"]:
        (hub,) = run["hubs"]
        assert run["planned"]["places"] == [f"gcp/{hub['region']} g2-standard-4 (on-demand)"]
    assert road.left() == []
