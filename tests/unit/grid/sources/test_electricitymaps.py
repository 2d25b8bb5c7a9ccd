"""Electricity Maps: what an account may ask for, and what an answer must say."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from harchos_infra.grid.signal import NoIntensity
from harchos_infra.grid.sources.cache import Cache
from harchos_infra.grid.sources.electricitymaps import ElectricityMaps
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.live import LiveSignal
from support.fake_carbon import FakeCarbon, gives, says
from support.live import HOUR, NOW, Clock, LiveOf

NAME = "electricitymaps"


def test_ten_days_are_the_most_that_one_call_asks_for(live: LiveOf, fake: FakeCarbon) -> None:
    found = live(NAME).intensity("DE", HOUR - timedelta(days=21), 21 * 24 - 24)
    np.testing.assert_allclose(found.gco2_per_kwh, fake.hours("DE", found.start, 480))
    assert fake.asked("past-range") == 2


def test_the_last_day_needs_no_more_than_a_free_account(live: LiveOf, fake: FakeCarbon) -> None:
    live(NAME).intensity("DE", HOUR - timedelta(hours=23), 23)
    assert fake.asked("past-range") == 0


def test_estimated_hours_are_counted_and_kept(live: LiveOf, fake: FakeCarbon) -> None:
    fake.estimated = {int((HOUR - timedelta(hours=h)).timestamp()) for h in (2, 3, 4)}
    for _ in range(2):
        signal = live(NAME)
        basis = signal.intensity("DE", HOUR - timedelta(hours=10), 10).basis
        assert (basis.method, basis.estimated) == ("10 h of history, 3 of them estimated", True)
        assert signal.describe()["zones"]["DE"]["estimatedHours"] == 3
        assert not signal.intensity("DE", HOUR - timedelta(hours=10), 5).basis.estimated
    assert fake.asked("history") == 1


def test_direct_factors_are_another_quantity_and_refused(live: LiveOf, fake: FakeCarbon) -> None:
    fake.factor_type = "direct"
    with pytest.raises(NoIntensity, match="asked for life-cycle factors, answered with direct"):
        live(NAME).intensity("DE", HOUR - timedelta(hours=4), 4)


def test_a_forecast_that_begins_later_is_joined_to_the_latest_value(live: LiveOf, fake: FakeCarbon) -> None:
    fake.gaps = {int(HOUR.timestamp())}
    outlook = live(NAME).outlook("DE", NOW)
    assert outlook is not None
    np.testing.assert_allclose(outlook.gco2_per_kwh, fake.hours("DE", HOUR, 72))
    assert fake.asked("latest") == 1


def test_zones_that_the_list_does_not_hold_are_not_asked_for(live: LiveOf, fake: FakeCarbon) -> None:
    fake.access = {"FR": {"zoneName": "France", "access": ["*"]}}
    with pytest.raises(NoIntensity, match="this token has no access to zone DE"):
        live(NAME).intensity("DE", HOUR - timedelta(hours=4), 4)
    assert fake.asked("carbon-intensity") == 0
    assert len(live(NAME).intensity("FR", NOW, 4).gco2_per_kwh) == 4


def test_a_list_of_zones_that_fails_is_no_reason_to_ask_nothing(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("/zones", says(500), 4)
    assert len(live(NAME).intensity("DE", NOW, 4).gco2_per_kwh) == 4


@pytest.mark.parametrize("prefix", ["", "/v3/"])
def test_a_call_that_the_list_does_not_hold_is_not_made(prefix: str, live: LiveOf, fake: FakeCarbon) -> None:
    may = [f"{prefix}carbon-intensity/latest", f"{prefix}carbon-intensity/history"]
    fake.access = {"DE": {"zoneName": "Germany", "access": may}}
    signal = live(NAME)
    assert len(signal.intensity("DE", HOUR - timedelta(hours=4), 4).gco2_per_kwh) == 4
    assert signal.outlook("DE", NOW) is None
    with pytest.raises(NoIntensity, match="no access to carbon-intensity/forecast of zone DE"):
        signal.intensity("DE", NOW, 4)
    assert fake.asked("forecast") == 0


def test_a_token_for_one_zone_leaves_the_other_zones_asked(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("zone=FR", gives({"error": "Token unauthorized for zoneKey=FR"}, 401))
    signal = live(NAME)
    with pytest.raises(NoIntensity, match="Token unauthorized for zoneKey=FR"):
        signal.intensity("FR", HOUR - timedelta(hours=4), 4)
    assert len(signal.intensity("DE", HOUR - timedelta(hours=4), 4).gco2_per_kwh) == 4


def test_a_wrong_token_is_refused_once_and_not_shown(fake: FakeCarbon, clock: Clock) -> None:
    wrong = ElectricityMaps(Http(), "wrong-token", fake.url(NAME))
    fake.fail("zone=", says(401, "token wrong-token is unknown"), 9)
    signal = LiveSignal(wrong, Cache(None, NAME), clock=clock)
    for zone in ("DE", "FR", "PL"):
        with pytest.raises(NoIntensity, match=r"refused the token \(401\): token \*\*\* is unknown"):
            signal.intensity(zone, HOUR - timedelta(hours=4), 4)
    assert fake.asked("carbon-intensity") == 1


@pytest.mark.parametrize(
    ("row", "says_"),
    [
        ({"carbonIntensity": -5, "datetime": "2026-11-24T06:00Z"}, "'-5' is not an intensity"),
        ({"carbonIntensity": "NaN", "datetime": "2026-11-24T06:00Z"}, "'NaN' is not an intensity"),
        ({"carbonIntensity": True, "datetime": "2026-11-24T06:00Z"}, "'True' is not an intensity"),
        ({"carbonIntensity": 5, "datetime": "yesterday"}, "'yesterday' is not a time"),
        ({"carbonIntensity": 5, "datetime": "2026-11-24T06:00"}, "has no zone"),
        ({"carbonIntensity": 5}, "'None' is not a time"),
    ],
)
def test_what_is_no_intensity_is_refused(
    row: dict[str, object], says_: str, live: LiveOf, fake: FakeCarbon
) -> None:
    fake.fail("history", gives({"zone": "DE", "history": [row]}))
    with pytest.raises(NoIntensity, match=says_):
        live(NAME).intensity("DE", HOUR - timedelta(hours=4), 4)
