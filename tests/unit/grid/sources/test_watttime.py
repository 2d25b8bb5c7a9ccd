"""WattTime: pounds to grams, regions by coordinates, and a login that ends."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.grid.signal import NoIntensity
from harchos_infra.grid.sources.cache import Cache
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.live import LiveSignal
from harchos_infra.grid.sources.watttime import TOKEN_S, WattTime, coordinates
from support.fake_carbon import LBS_PER_MWH, WT_PASSWORD, WT_USER, FakeCarbon, gives
from support.live import HOUR, NOW, Clock, LiveOf

CAISO = "US-CAL-CISO"


def row(hour: int, value: float) -> dict[str, object]:
    return {"point_time": f"2026-11-24T{hour:02}:00:00+00:00", "value": value}


def answer(**meta: object) -> dict[str, object]:
    told = {"region": "CAISO_NORTH", "signal_type": "co2_moer", "units": "lbs_co2_per_mwh", **meta}
    return {"data": [row(6, 1000.0)], "meta": {"data_point_period_seconds": 3600, **told}}


def test_a_pound_per_mwh_is_0_45359237_grams_per_kwh(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("historical", gives(answer()))
    found = live("watttime").intensity(CAISO, HOUR.replace(hour=6), 1)
    assert found.gco2_per_kwh.tolist() == [pytest.approx(1000 * LBS_PER_MWH)]
    assert found.basis.quantity == "marginal direct consumption-based"


@pytest.mark.parametrize(
    ("meta", "says_"),
    [
        ({"units": "kg_co2_per_mwh"}, "units 'kg_co2_per_mwh'"),
        ({"units": "percent"}, "units 'percent'"),
        ({"signal_type": "health_damage"}, "signal_type 'health_damage'"),
        ({"region": "PJM_DC"}, "answered for PJM_DC"),
        ({"data_point_period_seconds": 700}, "a step of 700 s"),
    ],
)
def test_another_unit_signal_or_region_is_refused(
    meta: dict[str, object], says_: str, live: LiveOf, fake: FakeCarbon
) -> None:
    fake.fail("historical", gives(answer(**meta)))
    with pytest.raises(NoIntensity, match=says_):
        live("watttime").intensity(CAISO, HOUR.replace(hour=6), 1)


def test_the_zone_s_first_cloud_region_gives_the_coordinates(fake: FakeCarbon, live: LiveOf) -> None:
    assert coordinates()[CAISO][0] == "aws/us-west-1"
    live("watttime").intensity(CAISO, HOUR - timedelta(hours=2), 2)
    (asked,) = (query for path, query in fake.requests if path.endswith("region-from-loc"))
    assert (asked["latitude"], asked["longitude"]) == coordinates()[CAISO][1:]


def test_a_region_is_looked_up_once_and_kept(fake: FakeCarbon, clock: Clock, tmp_path: Path) -> None:
    for _ in range(2):
        cache = Cache(tmp_path, "watttime")
        source = WattTime(Http(), WT_USER, WT_PASSWORD, fake.url("watttime"), cache=cache)
        LiveSignal(source, Cache(None, "watttime"), clock=clock).intensity(CAISO, HOUR, 3)
    assert fake.asked("region-from-loc") == 1


def test_a_place_without_region_is_said(fake: FakeCarbon, live: LiveOf) -> None:
    fake.fail("region-from-loc", gives({"error": "not found"}, 404))
    with pytest.raises(NoIntensity, match="no WattTime region at aws/us-west-1"):
        live("watttime").intensity(CAISO, HOUR - timedelta(hours=2), 2)


def test_a_token_that_expires_mid_run_is_renewed(fake: FakeCarbon, live: LiveOf) -> None:
    fake.tokens_last = 2
    found = live("watttime").intensity(CAISO, HOUR - timedelta(hours=3), 15)
    assert len(found.gco2_per_kwh) == 15
    assert fake.logins == 2


def test_it_is_renewed_before_its_half_hour_is_over(fake: FakeCarbon) -> None:
    at = [0.0]
    source = WattTime(Http(), WT_USER, WT_PASSWORD, fake.url("watttime"), clock=lambda: at[0])
    for moment, logins in ((0.0, 1), (TOKEN_S - 1, 1), (TOKEN_S + 1, 2)):
        at[0] = moment
        source.history(CAISO, HOUR - timedelta(hours=2), HOUR, NOW)
        assert fake.logins == logins


def test_a_refused_login_is_not_repeated_for_each_zone(fake: FakeCarbon, clock: Clock) -> None:
    source = WattTime(Http(), WT_USER, "wrong", fake.url("watttime"))
    signal = LiveSignal(source, Cache(None, "watttime"), clock=clock)
    for zone in (CAISO, "US-MIDA-PJM", "DE"):
        with pytest.raises(NoIntensity, match=r"refused user and password \(403\): Forbidden"):
            signal.intensity(zone, HOUR - timedelta(hours=2), 2)
    assert fake.asked("login") == 1


def test_the_present_hour_joins_what_was_and_what_is_forecast(fake: FakeCarbon, live: LiveOf) -> None:
    outlook = live("watttime").outlook(CAISO, NOW)
    assert outlook is not None
    fake.step_s = 300
    np.testing.assert_allclose(outlook.gco2_per_kwh[:72], fake.hours("CAISO_NORTH", HOUR, 72))
    assert outlook.start == HOUR
