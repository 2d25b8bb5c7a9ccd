"""Readings become hours by a stated rule, held here to a minute-by-minute count."""

import random

import pytest

from harchos_infra.grid.sources.hourly import hourly
from harchos_infra.grid.sources.source import Reading, SourceError, with_spans


def minute_by_minute(readings: list[Reading]) -> dict[int, float | None]:
    """Return each hour's mean of the minutes that have a value; None below 45 of them."""
    minutes: dict[int, list[float]] = {}
    for reading in readings:
        for minute in range(reading.start_s // 60, (reading.start_s + reading.span_s) // 60):
            found = minutes.setdefault(minute // 60, [])
            if reading.gco2_per_kwh is not None:
                found.append(reading.gco2_per_kwh)
    return {hour: sum(v) / len(v) if len(v) >= 45 else None for hour, v in minutes.items()}


@pytest.mark.parametrize("seed", range(200))
def test_hours_agree_with_a_count_of_minutes(seed: int) -> None:
    rng = random.Random(seed)
    step_s = rng.choice([300, 600, 900, 1800, 3600])
    offset_s = rng.choice([0, 0, 300])
    readings = [
        Reading(offset_s + n * step_s, step_s, rng.choice([None, rng.uniform(0, 900), rng.uniform(0, 900)]))
        for n in range(rng.randrange(1, 60))
        if rng.random() > 0.1
    ]
    found = {hour: value.gco2_per_kwh for hour, value in hourly(readings).items()}
    wanted = minute_by_minute(readings)
    assert found.keys() == wanted.keys()
    for hour, value in wanted.items():
        assert found[hour] == (None if value is None else pytest.approx(value))


def test_three_quarters_of_an_hour_are_an_estimate_and_two_are_a_gap() -> None:
    quarters = [Reading(n * 900, 900, 100.0 + n) for n in range(3)]
    assert hourly(quarters)[0].gco2_per_kwh == pytest.approx(101)
    assert hourly(quarters)[0].estimated
    assert hourly(quarters[:2])[0].gco2_per_kwh is None


def test_one_estimated_reading_makes_the_hour_estimated() -> None:
    assert hourly([Reading(0, 1800, 1.0), Reading(1800, 1800, 3.0, estimated=True)])[0].estimated


def test_a_series_without_stated_step_takes_its_smallest_distance() -> None:
    points = [(7200, 3.0, False), (0, 1.0, False), (900, 2.0, True)]
    assert [(r.start_s, r.span_s) for r in with_spans(points, "x")] == [(0, 900), (900, 900), (7200, 900)]
    assert with_spans([(0, 1.0, False)], "x")[0].span_s == 3600


@pytest.mark.parametrize("times", [(0, 0), (0, 700)])
def test_two_values_for_one_time_and_odd_steps_are_refused(times: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match=r"two values|does not divide"):
        with_spans([(at, 1.0, False) for at in times], "x")
