"""The built-in signal: 2022 replayed on the level of the newest yearly average."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.parse import parse_signal
from harchos_infra.grid.replay import BuiltinReplay, builtin_replay
from harchos_infra.grid.signal import NoIntensity, check_same_factors

SIGNAL = builtin_replay()
YEAR = datetime(2022, 1, 1, tzinfo=UTC)
TRACED = sorted(zone for zone in SIGNAL.zones() if SIGNAL.zone(zone).trace_row is not None)


def test_123_zones_have_8760_hours_and_355_a_figure():
    assert len(TRACED) == 123
    assert len(SIGNAL.zones()) == 355
    assert SIGNAL._traces.shape == (123, 8760)


def test_the_mean_of_a_replayed_year_is_the_newest_yearly_average():
    for key in TRACED:
        newest = SIGNAL.zone(key).newest()
        if newest is not None:
            mean = SIGNAL.intensity(key, YEAR, 8760).gco2_per_kwh.mean()
            assert mean == pytest.approx(newest[1], rel=1e-6), key


def test_the_shape_of_the_year_is_the_traces():
    values = SIGNAL.intensity("DE", YEAR, 8760).gco2_per_kwh
    assert values[0] / values[1] == pytest.approx(216.56 / 220.88, rel=1e-3)


def test_a_monday_noon_of_2026_is_a_monday_noon_of_2022():
    monday = SIGNAL.intensity("DE", datetime(2026, 11, 23, 12, tzinfo=UTC), 1).gco2_per_kwh[0]
    assert monday == SIGNAL.intensity("DE", datetime(2022, 11, 21, 12, tzinfo=UTC), 1).gco2_per_kwh[0]
    assert monday != SIGNAL.intensity("DE", datetime(2022, 11, 23, 12, tzinfo=UTC), 1).gco2_per_kwh[0]


def test_a_start_within_an_hour_gives_that_hour_in_any_time_zone():
    half_past = datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=2)))
    intensity = SIGNAL.intensity("DE", half_past, 3)
    assert intensity.start == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert (intensity.gco2_per_kwh == SIGNAL.intensity("DE", intensity.start, 3).gco2_per_kwh).all()


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        SIGNAL.intensity("DE", datetime(2026, 3, 1), 3)


def test_a_traced_zone_says_that_it_is_scaled():
    basis = SIGNAL.intensity("FR", YEAR, 1).basis
    assert basis.method == "replay of 2022 scaled to the 2025 yearly average"
    assert (basis.flat, basis.estimated) == (False, True)
    assert basis.quantity == "average life-cycle consumption-based"


@pytest.mark.parametrize("zone", ["AE", "QA", "MY-WM", "HK", "ID", "US-NW-SCL"])
def test_a_zone_without_hourly_signal_is_flat_and_says_so(zone):
    intensity = SIGNAL.intensity(zone, YEAR, 48)
    assert intensity.basis.flat
    assert intensity.basis.method == "flat 2025 yearly average"
    assert set(intensity.gco2_per_kwh) == {SIGNAL.zone(zone).yearly[2025]}


def test_a_trace_without_yearly_average_is_replayed_as_it_stands_and_says_so():
    basis = SIGNAL.intensity("US-HI-OA", YEAR, 1).basis
    assert basis.method == "replay of 2022, unscaled: no yearly average"


def test_an_unknown_zone_has_no_intensity():
    with pytest.raises(NoIntensity, match="zone DEE") as caught:
        SIGNAL.intensity("DEE", YEAR, 1)
    assert caught.value.zone == "DEE"
    assert caught.value.hint is not None


def test_every_zone_can_be_compared_with_every_other():
    check_same_factors(SIGNAL.intensity(zone, YEAR, 1).basis for zone in SIGNAL.zones())


def test_all_values_are_finite_and_not_negative():
    for zone in SIGNAL.zones():
        values = SIGNAL.intensity(zone, YEAR, 8760).gco2_per_kwh
        assert np.isfinite(values).all() and (values >= 0).all(), zone


def test_two_instances_agree_byte_for_byte():
    other = BuiltinReplay()
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert other.fingerprint() == SIGNAL.fingerprint()
    assert (
        other.intensity("DE", now, 168).gco2_per_kwh.tobytes()
        == SIGNAL.intensity("DE", now, 168).gco2_per_kwh.tobytes()
    )


def test_it_describes_itself_for_a_plan():
    described = SIGNAL.describe()
    assert described["name"] == "replay"
    assert "Electricity Maps" in described["source"]
    assert "2022" in described["method"]


@pytest.mark.parametrize("text", [None, "replay"])
def test_without_a_choice_the_signal_is_the_replay(text):
    assert parse_signal(text).name == "replay"


@pytest.mark.parametrize("text", ["live", "replay:", "electricitymap", "replays:x", ":"])
def test_an_unknown_signal_is_refused_with_the_known_ones(text):
    with pytest.raises(HarchosError, match="unknown signal") as caught:
        parse_signal(text)
    assert "replay:PATH" in caught.value.hint
