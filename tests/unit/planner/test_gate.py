"""Deferral on a forecast: only where that forecast has paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.grid.forecast.forecast_signal import ForecastSignal
from harchos_infra.grid.forecast.issues import PastIssues
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan

NOW = MIDNIGHT + timedelta(minutes=20)
FALLING = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]
"""A forecast by which waiting would be best."""


@dataclass
class Forecast(SmallSignal):
    """A forecast of FALLING in every zone, whose past issues came true, or the other way round."""

    upside_down: frozenset[str] = frozenset()
    came: Mapping[str, list[float]] = field(default_factory=dict)
    issues: int = 28

    @property
    def issued(self) -> datetime:
        return self.first

    def method(self, zone: str) -> str:
        return "guess"

    def past_issues(self, zone: str, hours: int) -> PastIssues:
        said = np.tile(self.series[zone][:hours], (self.issues, 1)).astype(float)
        came = 10 - said if zone in self.upside_down else said
        if zone in self.came:
            came = np.tile(self.came[zone][:hours], (self.issues, 1))
        return PastIssues(np.arange(self.issues), said, came)


def planned(signal: SmallSignal, *places: str, **spec: Any) -> Plan:
    regions = [region(f"aws/{zone}", zone=zone) for zone in places or ("A",)]
    catalog = SmallCatalog(regions, [offer(f"aws/{one.name}") for one in regions])
    document = workload(duration="2h", deadline="9h", objective="greenest", gpu={"count": 1}, **spec)
    source = {"path": "job.yaml", "sha256": "0"}
    return plan(document, catalog=catalog, signal=signal, now=NOW, source=source)


def test_a_forecast_that_has_paid_is_waited_on() -> None:
    made = planned(Forecast({"A": FALLING}))
    assert made.decision == "defer"
    assert made.inputs["forecast"][0]["mayWait"]
    assert made.inputs["forecast"][0]["shareKept"] == pytest.approx(1.0)


def test_an_adversarial_forecast_is_not_waited_on() -> None:
    made = planned(Forecast({"A": FALLING}, upside_down=frozenset("A")))
    assert made.decision == "schedule_now"
    verdict = made.inputs["forecast"][0]
    assert not verdict["mayWait"]
    assert verdict["saving"] < 0
    assert "no waiting" in verdict["reason"]


def test_too_few_past_issues_are_no_reason_to_wait() -> None:
    made = planned(Forecast({"A": FALLING}, issues=13))
    assert made.decision == "schedule_now"
    assert "13 past issues can be judged and 14 are needed" in made.inputs["forecast"][0]["reason"]


def test_zones_are_judged_one_by_one() -> None:
    """A is forecast to be cleaner, but not worth waiting in; B is."""
    series = {"A": [value - 0.5 for value in FALLING], "B": FALLING}
    made = planned(Forecast(series, upside_down=frozenset("A")), "A", "B")
    assert made.chosen is not None
    assert (made.decision, made.chosen.segments[0].zone) == ("defer", "B")
    assert [verdict["mayWait"] for verdict in made.inputs["forecast"]] == [False, True]


def test_the_place_is_chosen_on_the_forecast_all_the_same() -> None:
    series = {"A": [value + 1 for value in FALLING], "B": FALLING}
    made = planned(Forecast(series, upside_down=frozenset("AB")), "A", "B")
    assert made.chosen is not None
    assert (made.decision, made.chosen.segments[0].zone) == ("schedule_now", "B")


def test_a_plan_promises_what_past_forecasts_have_kept() -> None:
    """The earliest window's mean was as promised, and the others came down from it half as far."""
    first = (9 * 40 + 8 * 60 + 7 * 20) / 120
    half = [first + (value - first) / 2 for value in FALLING]
    signal = Forecast({"A": FALLING}, came={"A": half})
    made = planned(signal)
    assert made.chosen is not None
    assert made.inputs["forecast"][0]["trust"] == pytest.approx(0.5)
    mean = made.chosen.breakdown["operationalGco2e"] / made.chosen.energy_kwh
    assert mean == pytest.approx((first + (2 * 40 + 1 * 80) / 120) / 2)
    assert "counted at 50%" in made.chosen.segments[0].intensity_basis


def test_a_start_at_once_is_as_the_forecast_has_it() -> None:
    trusted = planned(Forecast({"A": FALLING}))
    gated = planned(Forecast({"A": FALLING}, upside_down=frozenset("A")))
    first, second = (made.baselines["runNowCheapest"] for made in (trusted, gated))
    assert first is not None
    assert second is not None
    assert first.gco2e == pytest.approx(second.gco2e)


def test_a_machine_too_slow_to_wait_does_not_keep_a_faster_one_from_being_judged() -> None:
    catalog = SmallCatalog([region("aws/A", zone="A")], [offer("aws/A"), offer("aws/A", gpu="T4")])
    document = workload(
        duration={"default": "2h", "byGpu": {"T4": "20h"}},
        deadline="9h",
        objective="greenest",
        gpu={"count": 1},
    )
    series = {"A": [*FALLING, *[1.0] * 20]}
    made = plan(document, catalog=catalog, signal=Forecast(series, upside_down=frozenset("A")), now=NOW)
    assert made.decision == "schedule_now"


def test_without_a_deadline_nothing_is_judged() -> None:
    catalog = SmallCatalog([region("aws/A", zone="A")], [offer("aws/A")])
    made = plan(workload(gpu={"count": 1}), catalog=catalog, signal=Forecast({"A": FALLING}), now=NOW)
    assert made.inputs["forecast"] == []


def test_a_signal_that_is_no_forecast_is_not_judged() -> None:
    made = planned(SmallSignal({"A": FALLING}))
    assert made.decision == "defer"
    assert "forecast" not in made.inputs


def test_the_same_inputs_give_the_same_bytes() -> None:
    hours = np.arange(46 * 168)
    values = 300 + 80 * np.sin(hours / 4) + np.random.default_rng(0).normal(0, 20, len(hours))
    record = SmallSignal({"A": values.tolist()}, first=MIDNIGHT - timedelta(weeks=44))
    first, second = (planned(ForecastSignal(record, "auto", NOW)).dumps() for _ in range(2))
    assert first == second
    assert Plan.loads(first).dumps() == first


@pytest.mark.parametrize("upside_down", [frozenset(), frozenset("A")])
def test_a_job_that_may_pause_does_not_wait_on_it_either(upside_down: frozenset[str]) -> None:
    """Clean hours lie apart: on a forecast that has paid the job pauses between them."""
    series = {"A": [9.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0, 9.0]}
    made = planned(
        Forecast(series, upside_down=upside_down),
        interruptible=True,
        checkpoint={"restart": "0s", "grace": "0s"},
    )
    assert made.chosen is not None
    assert made.decision == ("schedule_now" if upside_down else "defer")
    assert len(made.chosen.segments) == (1 if upside_down else 2)
