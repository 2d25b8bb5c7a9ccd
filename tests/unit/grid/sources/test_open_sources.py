"""GB, Energy-Charts, EIA and ENTSO-E: what is peculiar to each."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import NoIntensity
from harchos_infra.grid.sources import eia
from harchos_infra.grid.sources.energycharts import COUNTRIES
from harchos_infra.grid.sources.entsoe import AREAS
from support.fake_carbon import NO_DATA, FakeCarbon, gives, says
from support.live import HOUR, NOW, LiveOf


def test_zones_are_the_catalogue_s_own() -> None:
    known = builtin_replay().zones()
    assert set(AREAS) <= known
    assert set(COUNTRIES) - {"UA"} <= known
    assert len(set(AREAS.values())) == len(AREAS)
    assert all(len(code) == 16 for code in AREAS.values())
    assert eia.respondent("US-MIDA-PJM") == "PJM"
    assert eia.respondent("DE") is eia.respondent("US-HI-OA") is eia.respondent("US-HI") is None


# GB


@pytest.mark.parametrize("start_h", [-3, 0])
def test_one_region_of_gb_is_a_list_on_one_call_and_an_object_on_another(
    start_h: int, live: LiveOf, fake: FakeCarbon
) -> None:
    start = HOUR + timedelta(hours=start_h)
    fake.step_s = 1800
    found = live("gb").intensity("GB-13", start, 3)
    np.testing.assert_allclose(found.gco2_per_kwh, fake.hours("GB-13", start, 3))
    assert found.basis.estimated == (start_h < 0)


def test_past_half_hours_are_the_actual_ones_and_a_forecast_stands_in_as_an_estimate(
    live: LiveOf, fake: FakeCarbon
) -> None:
    late = HOUR - timedelta(hours=1)
    fake.estimated = {int(late.timestamp())}
    found = live("gb").intensity("GB", HOUR - timedelta(hours=3), 3)
    fake.step_s = 1800
    np.testing.assert_allclose(found.gco2_per_kwh, fake.hours("GB", HOUR - timedelta(hours=3), 3))
    assert found.basis.method == "3 h of history, 1 of them estimated"


@pytest.mark.parametrize("empty", [{}, {"data": []}, {"data": [{"regionid": 13, "data": []}]}])
def test_gb_answers_200_without_data(empty: object, live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("regional", gives(empty))
    with pytest.raises(NoIntensity, match="answered 200 without data"):
        live("gb").intensity("GB-13", HOUR - timedelta(hours=3), 3)


def test_gb_s_own_error_is_passed_on(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("intensity", gives({"error": {"code": "400 Bad Request", "message": "no such date"}}, 400))
    with pytest.raises(NoIntensity, match="no such date"):
        live("gb").intensity("GB", HOUR - timedelta(hours=3), 3)


# Energy-Charts


def test_a_quarter_that_was_not_measured_is_the_forecast_one_and_estimated(
    live: LiveOf, fake: FakeCarbon
) -> None:
    fake.estimated = {int((HOUR - timedelta(minutes=15)).timestamp())}
    found = live("energycharts").intensity("DE", HOUR - timedelta(hours=3), 3)
    fake.step_s = 900
    np.testing.assert_allclose(found.gco2_per_kwh, fake.hours("DE", HOUR - timedelta(hours=3), 3))
    assert found.basis.estimated


@pytest.mark.parametrize(
    ("document", "says_"),
    [
        ({"unix_seconds": [0, 900], "co2eq": [1.0]}, "lists of 2, 1 and 2 values"),
        ({"unix_seconds": ["soon"], "co2eq": [1.0]}, "'soon' is not a time"),
        ({"unix_seconds": {}, "co2eq": "no"}, "co2eq is not a list"),
    ],
)
def test_lists_that_do_not_agree_are_refused(
    document: object, says_: str, live: LiveOf, fake: FakeCarbon
) -> None:
    fake.fail("co2eq", gives(document))
    with pytest.raises(NoIntensity, match=says_):
        live("energycharts").intensity("DE", HOUR - timedelta(hours=3), 3)


def test_bidding_zones_are_none_of_its_countries(live: LiveOf) -> None:
    with pytest.raises(NoIntensity, match="European countries as a whole"):
        live("energycharts").intensity("SE-SE3", HOUR - timedelta(hours=3), 3)


# EIA


def test_a_period_names_the_end_of_its_hour(live: LiveOf, fake: FakeCarbon) -> None:
    dirty = int((HOUR - timedelta(hours=3)).timestamp())
    fake.mix = lambda at: {"COL": 100.0, "WND": 0.0} if at == dirty else {"COL": 0.0, "WND": 100.0}
    found = live("eia").intensity("US-CAL-CISO", HOUR - timedelta(hours=5), 4)
    assert found.gco2_per_kwh.tolist() == [11, 11, 820, 11]
    (_, asked) = fake.requests[0]
    assert (asked["start"], asked["end"]) == ("2026-11-24T06", "2026-11-24T09")


def test_pages_are_read_to_the_last(live: LiveOf, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eia, "PAGE", 7)
    found = live("eia").intensity("US-CAL-CISO", HOUR - timedelta(hours=30), 24)
    assert len(found.gco2_per_kwh) == 24
    assert len(fake.requests) == 7


def test_late_fuels_leave_a_gap_and_no_clean_hour(live: LiveOf, fake: FakeCarbon) -> None:
    last = int((HOUR - timedelta(hours=1)).timestamp())
    fake.mix = lambda at: {"WND": 40.0} if at == last else {"NG": 60.0, "WND": 40.0}
    with pytest.raises(NoIntensity, match="no figure for 1 of 5 h, first 2026-11-24T09:00Z"):
        live("eia").intensity("US-CAL-CISO", HOUR - timedelta(hours=5), 5)


def test_an_invalid_key_is_refused_once_and_masked(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail(
        "fuel-type", gives({"error": {"code": "API_KEY_INVALID", "message": "eia-key-3Zk is bad"}}, 403)
    )
    signal = live("eia")
    for zone in ("US-CAL-CISO", "US-MIDA-PJM"):
        with pytest.raises(NoIntensity, match=r"refused the key \(403\).*\*\*\* is bad"):
            signal.intensity(zone, HOUR - timedelta(hours=3), 3)
    assert len(fake.requests) == 1


# ENTSO-E


@pytest.mark.parametrize("curve", ["A01", "A03"])
def test_points_left_out_are_filled_forward_in_curve_type_a03_only(
    curve: str, live: LiveOf, fake: FakeCarbon
) -> None:
    fake.curve = curve
    fake.step_s = 900
    middle = int((HOUR - timedelta(hours=3)).timestamp())
    fake.psr = lambda at: {"B05": 100.0 if at >= middle else 0.0, "B14": 50.0}
    fake.gaps = set() if curve == "A03" else {middle + part for part in (900, 1800)}
    signal = live("entsoe")
    if curve == "A01":
        with pytest.raises(NoIntensity, match="no figure for 1 of 5 h, first 2026-11-24T07:00Z"):
            signal.intensity("SE-SE3", HOUR - timedelta(hours=5), 5)
        return
    dirty = (100 * 820 + 50 * 12) / 150
    found = signal.intensity("SE-SE3", HOUR - timedelta(hours=5), 5).gco2_per_kwh
    np.testing.assert_allclose(found, [12, 12, dirty, dirty, dirty])


def test_types_in_steps_of_their_own_meet_in_the_finest(live: LiveOf, fake: FakeCarbon) -> None:
    fake.psr_step_s = {"B19": 900}
    fake.psr = lambda at: {"B04": 60.0, "B19": 10.0 + at % 3600 / 900}
    found = live("entsoe").intensity("SE-SE3", HOUR - timedelta(hours=2), 2)
    each = [(60 * 490 + wind * 11) / (60 + wind) for wind in (10, 11, 12, 13)]
    np.testing.assert_allclose(found.gco2_per_kwh, [sum(each) / 4] * 2)


def test_what_pumps_take_and_give_is_left_out(live: LiveOf, fake: FakeCarbon) -> None:
    fake.psr = lambda at: {"B04": 100.0, "B10": 900.0}
    assert live("entsoe").intensity("DE", HOUR - timedelta(hours=2), 2).gco2_per_kwh.tolist() == [490, 490]


@pytest.mark.parametrize("status", [200, 400])
def test_no_matching_data_is_a_gap_whatever_the_status(status: int, live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("entsoe", says(status, NO_DATA))
    with pytest.raises(NoIntensity, match="no figure for 2 of 2 h"):
        live("entsoe").intensity("DE", HOUR - timedelta(hours=2), 2)


def test_another_acknowledgement_is_passed_on(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("entsoe", says(400, NO_DATA.replace("No matching data found", "Too many requests")))
    with pytest.raises(NoIntensity, match="Too many requests"):
        live("entsoe").intensity("DE", HOUR - timedelta(hours=2), 2)


def test_a_document_with_entities_is_not_expanded(live: LiveOf, fake: FakeCarbon) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "y">]><GL_MarketDocument>&x;</GL_MarketDocument>'
    fake.fail("entsoe", says(200, bomb))
    with pytest.raises(NoIntensity, match="no XML"):
        live("entsoe").intensity("DE", HOUR - timedelta(hours=2), 2)


def test_the_present_has_no_outlook_in_a_mix(live: LiveOf) -> None:
    assert live("entsoe").outlook("DE", NOW) is None
