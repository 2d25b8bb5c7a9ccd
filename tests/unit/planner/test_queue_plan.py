"""The plan of a queue: as many hubs as fit the work into clean hours, each one's start paid for."""

from __future__ import annotations

from typing import Any

import pytest

from harchos_infra.planner.plan import Plan
from harchos_infra.planner.queue import hubs_of, of_each_hub, plan_queue
from harchos_infra.planner.request import ASSUMED_RESTART_S
from harchos_infra.workload.document import Workload
from tests.unit.planner.small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

START_H = ASSUMED_RESTART_S / 3600
CLEAN = SmallSignal({"A": [100.0] * 10 + [10.0] * 3 + [100.0] * 40})
"""Three clean hours."""
FLAT = SmallSignal({"A": [100.0] * 53})


def queue(**spec: Any) -> Workload:
    items = {"count": 240, "maxHubs": 6}
    asked = {"duration": "12h", "deadline": "30h", "objective": "greenest", "items": items, **spec}
    return workload(gpu={"count": 1}, **asked)


def planned(of: Workload, signal: SmallSignal = CLEAN) -> Plan:
    catalog = SmallCatalog([region("aws/a")], [offer("aws/a", price=1.0)])
    source = {"path": "queue.yaml", "sha256": "x"}
    return plan_queue(of, catalog=catalog, signal=signal, now=MIDNIGHT, source=source)


def test_more_hubs_run_when_the_grid_is_clean() -> None:
    made = planned(queue())
    assert made.chosen is not None
    (segment,) = made.chosen.segments
    assert (hubs_of(made), segment.nodes) == (6, 6)
    assert segment.hours == pytest.approx(12 / 6 + START_H)
    assert set(segment.intensity_gco2_per_kwh) == {10.0}


def test_one_hub_runs_where_no_hour_is_cleaner_than_another() -> None:
    assert hubs_of(planned(queue(), FLAT)) == 1


def test_without_a_deadline_as_many_hubs_as_may_be_run_at_once() -> None:
    made = planned(queue(deadline=None))
    assert made.chosen is not None
    assert (hubs_of(made), made.chosen.start) == (6, MIDNIGHT)


def test_no_more_hubs_than_items_are_planned() -> None:
    made = planned(queue(deadline=None, items={"list": ["a", "b"], "maxHubs": 6}))
    assert hubs_of(made) == 2


def test_the_starts_of_the_hubs_count_against_the_budget() -> None:
    made = planned(queue(budget={"maxCost": 12 + 5 * START_H}))
    assert made.chosen is not None
    assert hubs_of(made) == 4
    assert made.chosen.cost_usd == pytest.approx(12 + 4 * START_H)
    tried = {each["hubs"]: each for each in made.inputs["queue"]["considered"]}
    assert set(tried) == {1, 2, 3, 4, 6}
    assert "budget.maxCost" in tried[6]["nearestMiss"]


def test_a_deadline_that_one_hub_cannot_meet_is_met_by_several() -> None:
    made = planned(queue(deadline="5h"))
    assert hubs_of(made) == 3
    assert "nearestMiss" in made.inputs["queue"]["considered"][0]


def test_the_parts_of_the_hubs_add_up_to_the_plan() -> None:
    of = queue(budget={"maxCost": 60})
    made = planned(of)
    part, *others = of_each_hub(made, of)
    assert others == [part] * 5
    assert made.chosen is not None and part.chosen is not None
    assert [segment.nodes for segment in part.chosen.segments] == [1]
    for figure in ("cost_usd", "energy_kwh", "gco2e"):
        assert 6 * getattr(part.chosen, figure) == pytest.approx(getattr(made.chosen, figure))
    assert part.chosen.segments[0].compute_usd == pytest.approx(part.chosen.cost_usd)
    assert (part.chosen.start, part.chosen.finish) == (made.chosen.start, made.chosen.finish)
    assert part.workload["spec"]["budget"] == {"maxCost": 10.0}
    assert "replicas" not in part.workload["spec"]


def test_the_plan_file_is_read_back_as_it_was_and_keeps_the_workload_as_it_was_written() -> None:
    of = queue()
    made = planned(of)
    assert Plan.loads(made.dumps()).dumps() == made.dumps()
    assert made.workload["spec"]["items"] == {"count": 240, "maxHubs": 6}
    assert made.workload["spec"]["duration"] == {"default": "12h"}
