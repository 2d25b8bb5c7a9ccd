"""What all six sources have in common: the right hours, and an honest refusal of everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from harchos_infra.grid.signal import NoIntensity, check_same_factors
from support.fake_carbon import SECRETS, FakeCarbon, Fault, gives, limits, resets, says
from support.live import HOUR, NOW, Clock, LiveOf

ZONES = {
    "electricitymaps": "DE",
    "watttime": "US-CAL-CISO",
    "gb": "GB",
    "energycharts": "DE",
    "eia": "US-CAL-CISO",
    "entsoe": "SE-SE3",
}
MIXES = ("eia", "entsoe")
FORECASTERS = ("electricitymaps", "watttime", "gb", "energycharts")
MIX = (60 * 490 + 40 * 11) / 100


def expected(fake: FakeCarbon, name: str, start_h: int, hours: int, step_s: int) -> list[float]:
    if name in MIXES:
        return [MIX] * hours
    place = "CAISO_NORTH" if name == "watttime" else ZONES[name]
    before, fake.step_s = fake.step_s, step_s
    found = fake.hours(place, HOUR + timedelta(hours=start_h), hours)
    fake.step_s = before
    return found


STEPS = {
    "electricitymaps": 3600,
    "watttime": 300,
    "gb": 1800,
    "energycharts": 900,
    "eia": 3600,
    "entsoe": 3600,
}
every = pytest.mark.parametrize("name", ZONES)
forecasting = pytest.mark.parametrize("name", FORECASTERS)


@every
def test_past_hours_are_the_means_of_its_steps(name: str, live: LiveOf, fake: FakeCarbon) -> None:
    found = live(name).intensity(ZONES[name], HOUR - timedelta(hours=30), 26)
    assert found.start == HOUR - timedelta(hours=30)
    np.testing.assert_allclose(found.gco2_per_kwh, expected(fake, name, -30, 26, STEPS[name]))
    assert found.basis.method == "26 h of history"
    assert not found.basis.estimated


@forecasting
def test_hours_to_come_are_its_own_outlook_after_the_past(name: str, live: LiveOf, fake: FakeCarbon) -> None:
    found = live(name).intensity(ZONES[name], HOUR - timedelta(hours=3), 15)
    np.testing.assert_allclose(found.gco2_per_kwh, expected(fake, name, -3, 15, STEPS[name]))
    assert found.basis.method == "3 h of history; 12 h of the source's outlook read 2026-11-24T10:20Z"


@pytest.mark.parametrize("step_s", [300, 900, 1800, 3600])
def test_any_step_that_divides_an_hour_is_averaged(step_s: int, live: LiveOf, fake: FakeCarbon) -> None:
    fake.step_s = step_s
    found = live("electricitymaps").intensity("DE", HOUR - timedelta(hours=20), 22)
    np.testing.assert_allclose(found.gco2_per_kwh, fake.hours("DE", HOUR - timedelta(hours=20), 22))


@forecasting
def test_a_horizon_too_short_is_said_and_never_padded(name: str, live: LiveOf, fake: FakeCarbon) -> None:
    fake.horizon_h = 6
    signal = live(name)
    with pytest.raises(
        NoIntensity, match=r"outlook ends 2026-11-24T1[67]:00Z, [12] h short of the 8 h wanted"
    ):
        signal.intensity(ZONES[name], NOW, 8)
    outlook = signal.outlook(ZONES[name], NOW)
    assert outlook is not None
    assert len(outlook.gco2_per_kwh) in (6, 7)


@pytest.mark.parametrize("name", MIXES)
def test_a_source_without_forecast_has_no_outlook_and_says_so(name: str, live: LiveOf) -> None:
    signal = live(name)
    assert signal.outlook(ZONES[name], NOW) is None
    with pytest.raises(NoIntensity, match=f"{name} makes no forecast"):
        signal.intensity(ZONES[name], HOUR - timedelta(hours=2), 3)


@pytest.mark.parametrize(
    ("name", "missing"), [(n, m) for n in ZONES for m in ("gaps", "nulls") if (n, m) != ("entsoe", "nulls")]
)
def test_a_missing_hour_is_named_and_not_made_up(
    name: str, missing: str, live: LiveOf, fake: FakeCarbon
) -> None:
    at = HOUR - timedelta(hours=5)
    first = int(at.timestamp())
    getattr(fake, missing).update(range(first, first + 3600, 300))
    signal = live(name)
    with pytest.raises(NoIntensity, match="no figure for 1 of 10 h, first 2026-11-24T05:00Z"):
        signal.intensity(ZONES[name], HOUR - timedelta(hours=10), 10)
    history = signal.history(ZONES[name], HOUR - timedelta(hours=10), 10)
    assert np.flatnonzero(np.isnan(history)).tolist() == [5]
    assert len(signal.intensity(ZONES[name], HOUR - timedelta(hours=4), 4).gco2_per_kwh) == 4


@forecasting
def test_an_outlook_ends_at_its_first_gap(name: str, live: LiveOf, fake: FakeCarbon) -> None:
    first = int((HOUR + timedelta(hours=4)).timestamp())
    fake.nulls.update(range(first, first + 3600, 300))
    outlook = live(name).outlook(ZONES[name], NOW)
    assert outlook is not None
    assert len(outlook.gco2_per_kwh) == 4


FAULTS: dict[str, tuple[Fault, int, str | None]] = {
    "401 as text": (says(401, "Jwt is missing"), 9, "401"),
    "403 as text": (says(403, "Forbidden"), 9, "403"),
    "404": (gives({"error": "nothing here"}, 404), 9, "404"),
    "429 for ever": (limits(), 9, "limits its calls"),
    "429 for an hour": (limits("3600"), 9, "left alone for 3600 s"),
    "500 for ever": (says(500, "boom"), 9, "answered 500"),
    "reset for ever": (resets, 9, "cannot be reached"),
    "not what it should be": (says(200, "<html>maintenance</html>"), 1, "200"),
    "an empty object": (gives({}), 1, None),
    "empty data": (gives({"data": []}), 1, None),
    "a list": (gives([]), 1, None),
    "cut off": (lambda h: h.answer(200, b'{"data": [{"fr'), 1, None),
}


@every
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_reason_and_never_a_figure(
    name: str, fault: str, live: LiveOf, fake: FakeCarbon
) -> None:
    goes_wrong, times, says_ = FAULTS[fault]
    part = {"watttime": "v3/historical", "electricitymaps": "history"}.get(name, name)
    fake.fail(part, goes_wrong, times)
    with pytest.raises(NoIntensity, match=says_) as caught:
        live(name).intensity(ZONES[name], HOUR - timedelta(hours=4), 4)
    assert name in caught.value.reason
    assert not any(secret in str(caught.value) for secret in SECRETS)


PASSING: dict[str, Callable[[FakeCarbon], Fault]] = {
    "429 with Retry-After": lambda fake: limits("1"),
    "429 without": lambda fake: limits(),
    "503": lambda fake: says(503, "busy"),
    "reset": lambda fake: resets,
}


@every
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(name: str, fault: str, live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail(name, PASSING[fault](fake), 2)
    found = live(name).intensity(ZONES[name], HOUR - timedelta(hours=4), 4)
    np.testing.assert_allclose(found.gco2_per_kwh, expected(fake, name, -4, 4, STEPS[name]))


WRONG = {
    "electricitymaps": "FR",
    "watttime": "PJM_DC",
    "gb": "14",
    "eia": "PJM",
    "entsoe": "10YFR-RTE------C",
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_for_another_place_is_refused(name: str, live: LiveOf, fake: FakeCarbon) -> None:
    fake.answers_for = WRONG[name]
    zone = "GB-13" if name == "gb" else ZONES[name]
    with pytest.raises(NoIntensity, match=f"answered for {WRONG[name]}"):
        live(name).intensity(zone, HOUR - timedelta(hours=4), 4)


@every
def test_a_zone_that_it_does_not_cover_is_refused_without_a_call(
    name: str, live: LiveOf, fake: FakeCarbon
) -> None:
    with pytest.raises(NoIntensity, match=f"{name} does not cover it"):
        live(name).intensity("ATLANTIS", HOUR - timedelta(hours=4), 4)
    assert fake.requests == []


@every
def test_a_second_plan_reads_settled_hours_from_disk(
    name: str, live: LiveOf, fake: FakeCarbon, clock: Clock
) -> None:
    start = HOUR - timedelta(days=9)
    first = live(name).intensity(ZONES[name], start, 24)
    asked = len(fake.requests)
    clock.now += timedelta(days=3)
    second = live(name)
    np.testing.assert_array_equal(second.intensity(ZONES[name], start, 24).gco2_per_kwh, first.gco2_per_kwh)
    assert len(fake.requests) == asked


def test_marginal_never_meets_average_nor_direct_life_cycle(live: LiveOf) -> None:
    bases = {name: live(name).intensity(ZONES[name], HOUR - timedelta(hours=2), 2).basis for name in ZONES}
    assert len({basis.quantity for basis in bases.values()}) == 5
    assert bases["eia"].quantity == bases["entsoe"].quantity == "average life-cycle production-based"
    for other in ("electricitymaps", "gb", "eia"):
        with pytest.raises(Exception, match="different quantities"):
            check_same_factors([bases["watttime"], bases[other]])
