"""When a choice rests on zones that fell back: where one of them is part of what the plan shows."""

from __future__ import annotations

import pytest

from harchos_infra.planner.plan import Plan
from harchos_infra.planner.reliance import rests_on
from support import records


def plan(*fallen: str) -> Plan:
    """Return a plan that chose SE-SE3, with FR on the front and US-MIDA-PJM as a baseline."""
    schedules = {
        "chosen": records.schedule(records.segment(zone="SE-SE3")),
        "frontier": [records.schedule(records.segment(zone="FR"))],
        "baselines": {
            "runNowCheapest": records.schedule(records.segment(zone="US-MIDA-PJM")),
            "runNowHome": None,
        },
    }
    document = records.plan(**schedules)
    document["inputs"]["signal"] |= {"fellBack": {zone: {"to": "replay", "because": "x"} for zone in fallen}}
    return Plan.from_json(document)


@pytest.mark.parametrize("zone", ["SE-SE3", "FR", "US-MIDA-PJM"])
def test_it_rests_on_a_zone_of_the_choice_of_the_front_and_of_a_baseline(zone: str) -> None:
    assert rests_on(plan(zone, "PL")) == [zone]


def test_it_does_not_rest_on_zones_that_lost() -> None:
    assert rests_on(plan("PL", "DE")) == []
    assert rests_on(plan()) == []
