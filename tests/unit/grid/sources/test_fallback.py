"""Fallback: only to the same quantity, zone by zone, and never in silence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.grid.file_replay import FileReplay
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import NoIntensity, prefetch
from harchos_infra.grid.sources.fallback import Fallback
from support.fake_carbon import FakeCarbon, says
from support.live import HOUR, NOW, LiveOf

EM = "electricitymaps"
START = HOUR - timedelta(hours=6)


@pytest.fixture
def signal(live: LiveOf, fake: FakeCarbon) -> Fallback:
    fake.fail("zone=FR", says(404, "nothing for FR"), 99)
    return Fallback([live(EM), builtin_replay()])


def test_a_zone_that_the_first_lacks_is_the_second_s_and_said(signal: Fallback) -> None:
    german, french = signal.intensity("DE", START, 6), signal.intensity("FR", START, 6)
    assert german.basis.method == "6 h of history"
    np.testing.assert_array_equal(
        french.gco2_per_kwh, builtin_replay().intensity("FR", START, 6).gco2_per_kwh
    )
    told = signal.describe()
    assert told["name"] == signal.name == f"{EM},replay"
    assert list(told["fellBack"]) == ["FR"]
    assert told["fellBack"]["FR"]["to"] == "replay"
    assert "nothing for FR" in told["fellBack"]["FR"]["because"]
    (warning,) = told["warnings"]
    assert warning.startswith("FR fell back to replay: electricitymaps: ")


def test_a_zone_that_fell_back_stays_there_for_the_plan(signal: Fallback, fake: FakeCarbon) -> None:
    fake.fail("forecast", says(404, "no forecast"))
    assert "replay" in signal.intensity("DE", NOW, 24).basis.method
    assert "replay" in signal.intensity("DE", START, 6).basis.method
    assert signal.outlook("DE", NOW) is None


def test_live_signals_that_cover_different_zones_share_them_out(live: LiveOf, fake: FakeCarbon) -> None:
    signal = Fallback([live("eia"), live("entsoe")])
    mix = (60 * 490 + 40 * 11) / 100
    for zone in ("US-CAL-CISO", "DE"):
        assert signal.intensity(zone, START, 2).gco2_per_kwh.tolist() == [mix, mix]
    assert signal.fell_back == {}
    fake.fail("eia", says(404, "nothing"), 9)
    with pytest.raises(NoIntensity, match="entsoe does not cover it"):
        signal.intensity("US-MIDA-PJM", START, 2)


def test_the_outlook_is_the_serving_signal_s(live: LiveOf) -> None:
    signal = Fallback([live(EM), builtin_replay()])
    outlook = signal.outlook("DE", NOW)
    assert outlook is not None
    assert len(outlook.gco2_per_kwh) == 72


@pytest.mark.parametrize("first", ["watttime", "gb", "energycharts", "eia", "entsoe"])
def test_another_quantity_never_stands_in(first: str, live: LiveOf, fake: FakeCarbon) -> None:
    zone = {"gb": "GB", "energycharts": "DE", "entsoe": "DE"}.get(first, "US-CAL-CISO")
    fake.fail(first, says(404, "nothing"), 99)
    signal = Fallback([live(first), builtin_replay()])
    with pytest.raises(NoIntensity, match="replay measures average life-cycle consumption-based, not"):
        signal.intensity(zone, START, 6)
    assert signal.describe()["fellBack"] == {}


def test_two_that_do_not_say_what_they_measure_do_not_stand_in_for_each_other(
    live: LiveOf, fake: FakeCarbon, tmp_path: Path
) -> None:
    (tmp_path / "DE.csv").write_text("timestamp,gco2_per_kwh\n2026-11-24T04:00:00Z,5\n")
    fake.fail("energycharts", says(404, "nothing"), 9)
    signal = Fallback([live("energycharts"), FileReplay(tmp_path)])
    with pytest.raises(NoIntensity, match="unstated"):
        signal.intensity("DE", START, 1)


def test_zones_are_those_of_all_and_the_fingerprint_tells_who_served(
    live: LiveOf, signal: Fallback, fake: FakeCarbon
) -> None:
    assert signal.zones() == builtin_replay().zones()
    before = signal.fingerprint()
    signal.intensity("FR", START, 6)
    assert signal.fingerprint() != before


def test_reading_ahead_passes_on_what_the_first_lacks(signal: Fallback, fake: FakeCarbon) -> None:
    prefetch(signal, ["DE", "FR", "PL"], START, 6)
    asked = len(fake.requests)
    for zone in ("DE", "FR", "PL"):
        signal.intensity(zone, START, 6)
    assert len(fake.requests) == asked
    assert list(signal.fell_back) == ["FR"]


def test_a_history_is_the_serving_signal_s_with_its_gaps(signal: Fallback, fake: FakeCarbon) -> None:
    fake.gaps = {int((HOUR - timedelta(hours=3)).timestamp())}
    assert np.flatnonzero(np.isnan(signal.history("DE", START, 6))).tolist() == [3]
    assert not np.isnan(signal.history("FR", START, 6)).any()
    assert list(signal.fell_back) == ["FR"]
