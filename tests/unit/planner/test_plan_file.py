"""The plan file: the same bytes for the same inputs, read back whole, refused when damaged or outdated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.catalog import Catalog
from harchos_infra.errors import HarchosError
from harchos_infra.grid.parse import parse_signal
from harchos_infra.planner.drift import drift
from harchos_infra.planner.encoding import encode
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan

SOURCE = {"path": "job.yaml", "sha256": "ab12"}


def made(
    *, price: float = 1.0, level: float = 100.0, minutes: int = 0, sha: str = "ab12", oslo: float = 2.0
) -> Plan:
    catalog = SmallCatalog(
        [region("aws/berlin"), region("aws/oslo", zone="B")],
        [offer("aws/berlin", price=price), offer("aws/oslo", price=oslo)],
    )
    return plan(
        workload(),
        catalog=catalog,
        signal=SmallSignal({"A": [level] * 24, "B": [90.0] * 24}),
        now=MIDNIGHT + timedelta(minutes=minutes),
        source={"path": "job.yaml", "sha256": sha},
    )


def test_the_same_inputs_give_the_same_bytes() -> None:
    wish = workload(gpu={"type": ["L4", "T4"]}, deadline="168h", placement={"homeRegion": "aws/us-east-1"})
    now = datetime(2022, 7, 1, tzinfo=UTC)
    first, second = (
        plan(wish, catalog=Catalog.builtin(), signal=parse_signal(None), now=now, source=SOURCE).dumps()
        for _ in range(2)
    )
    assert first == second


def test_a_plan_file_is_read_back_whole() -> None:
    text = made().dumps()
    assert Plan.loads(text).dumps() == text
    assert Plan.loads(text).chosen is not None


def test_the_file_has_the_documented_shape() -> None:
    document = json.loads(made().dumps())
    assert document["schema"] == "harchos.plan/1"
    assert document["now"] == "2026-11-23T00:00:00Z"
    [segment] = document["chosen"]["segments"]
    keys = {"provider", "region", "zone", "instanceType", "market", "nodes", "start", "end"}
    assert keys <= segment.keys()
    assert {"costUsd", "energyKwh", "gco2e", "finish", "breakdown"} <= document["chosen"].keys()
    assert set(document["baselines"]) == {"runNowCheapest", "runNowHome"}
    assert document["rejected"][0].keys() == {
        "provider", "region", "instanceType", "market", "reason", "detail", "costUsd", "gco2e", "start",
    }  # fmt: skip
    assert {"workload", "catalog", "signal", "now", "hash", "assumptions"} <= document["inputs"].keys()


def test_floats_are_written_with_ten_digits() -> None:
    assert encode({"x": 1 / 3, "y": [0.1 + 0.2]}) == {"x": 0.3333333333, "y": [0.3]}


def test_no_value_of_the_environment_is_in_a_plan() -> None:
    catalog = SmallCatalog([region("aws/berlin")], [offer("aws/berlin")])
    wish = workload(env=[{"name": "PASSPHRASE", "value": "hunter2"}])
    text = plan(wish, catalog=catalog, signal=SmallSignal({"A": [1.0]}), now=MIDNIGHT).dumps()
    assert "PASSPHRASE" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"plan"', "\0"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(HarchosError, match="not a plan"):
        Plan.loads(text)


def test_another_version_is_refused() -> None:
    with pytest.raises(HarchosError, match=r"harchos\.plan/2"):
        Plan.loads(made().dumps().replace("harchos.plan/1", "harchos.plan/2"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("decision"),
        lambda d: d.update(decision="perhaps"),
        lambda d: d.update(now="yesterday"),
        lambda d: d["chosen"].update(costUsd="1"),
        lambda d: d["chosen"]["segments"][0].pop("zone"),
        lambda d: d["chosen"]["segments"][0].update(nodes=1.5),
        lambda d: d.update(chosen=[]),
        lambda d: d["inputs"].pop("signal"),
        lambda d: d.update(frontier={}),
        lambda d: d["chosen"].update(segments=[]),
        lambda d: d["chosen"]["segments"][0].update(nodes=0),
        lambda d: d["chosen"]["segments"][0].update(start="2026-11-24T00:00:00"),
        lambda d: d["chosen"]["segments"][0].update(end="2001-01-01T00:00:00Z"),
        lambda d: d.update(now="0001-01-01T00:00:00+14:00"),
        lambda d: d.update(workload={}),
        lambda d: d.update(chosen=None),
    ],
)
def test_a_damaged_plan_is_refused_in_one_message(damage: Any) -> None:
    document = json.loads(made().dumps())
    damage(document)
    with pytest.raises(HarchosError, match="damaged"):
        Plan.from_json(document)


def test_every_truncation_is_refused() -> None:
    text = made().dumps().rstrip()
    for length in range(0, len(text), 97):
        with pytest.raises(HarchosError):
            Plan.loads(text[:length])


def test_a_plan_of_a_moment_ago_still_holds() -> None:
    assert drift(made(), made(minutes=10)) == []


def test_what_moved_is_named() -> None:
    assert drift(made(), made(sha="cd34")) == ["job.yaml was changed after the plan was made"]
    [late] = drift(made(), made(minutes=125))
    assert late == "the planned start, 2026-11-23 00:00 UTC, passed 2 h 5 min ago"
    assert drift(made(), made(price=1.2)) == [
        "price +20.0% (1 to 1.2)",
        "cost +20.0% (1 to 1.2)",
    ]
    assert drift(made(), made(level=150.0)) == ["carbon intensity of its window +50.0% (100 to 150)"]


def test_a_small_move_is_tolerated() -> None:
    assert drift(made(), made(price=1.04, level=104.0)) == []
    assert drift(made(), made(price=1.04), tolerance=0.01) != []


def test_another_winner_is_named() -> None:
    [moved] = drift(made(level=80.0), made(level=80.0, oslo=0.5))
    assert moved.startswith("another offer wins now: aws/oslo L4x1, 0.5 USD")


def test_a_planned_offer_that_is_gone_is_named() -> None:
    without = made(price=9.0, level=500.0)
    assert any("aws/berlin L4x1 (on-demand) has lost: dominated" in moved for moved in drift(made(), without))


def test_a_plan_that_nothing_fits_any_more_is_named() -> None:
    new = made(price=2.0)
    rejected = replace(new, decision="reject", chosen=None, nearest_miss="raise budget.maxCost")
    assert drift(made(), rejected) == ["nothing fits any more: raise budget.maxCost"]
