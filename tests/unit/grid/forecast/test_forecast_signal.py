"""A signal whose hours to come are a forecast: what it reads, says and takes from a source's own outlook."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.forecast_signal import ForecastSignal, with_forecast
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, hour_of

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
NOW = FIRST + timedelta(weeks=44, hours=5, minutes=20)
NOW_H = 44 * 168 + 5


def series(seed: int = 0) -> np.ndarray:
    hours = np.arange(46 * 168)
    noise = np.random.default_rng(seed).normal(0, 20, len(hours))
    return np.maximum(300 + 80 * np.sin(hours * 2 * np.pi / 24) + noise, 1.0)


@dataclass
class Record:
    """A source that knows every hour of `values`, the first of them at FIRST."""

    values: np.ndarray
    name: str = "record"
    basis: Basis = field(default_factory=lambda: Basis("average", "direct", "production", "grid", "metered"))

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        first = int((hour_of(start) - FIRST).total_seconds()) // 3600
        if zone not in self.zones() or first < 0 or first + hours > len(self.values):
            raise NoIntensity(zone, "not recorded")
        return Intensity(zone, hour_of(start), self.values[first : first + hours], self.basis)

    def covered(self, zone: str) -> tuple[datetime, datetime]:
        return FIRST, FIRST + timedelta(hours=len(self.values))

    def zones(self) -> frozenset[str]:
        return frozenset({"A"})

    def fingerprint(self) -> str:
        return str(hash(self.values.tobytes()))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "source": "grid", "method": "metered"}


@dataclass
class Live(Record):
    """A source that forecasts `reach` hours: what comes, times `factor`, plus noise. It kept `kept` days."""

    reach: int = 48
    factor: float = 1.0
    error: float = 0.0
    kept: int = 60

    def history(self, zone: str, start: datetime, hours: int) -> np.ndarray:
        return self.intensity(zone, start, hours).gco2_per_kwh.copy()

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        if NOW - now > timedelta(days=self.kept):
            return None
        ahead = self.intensity(zone, now, self.reach)
        noise = np.random.default_rng(int(now.timestamp())).normal(0, self.error, self.reach)
        return Intensity(zone, ahead.start, ahead.gco2_per_kwh * self.factor + noise, self.basis)


@pytest.mark.parametrize("asked", ["blend", "ridge", "auto"])
def test_nothing_after_the_issue_is_read(asked: Any) -> None:
    changed = series()
    changed[NOW_H:] = 9999.0
    forecasts = [ForecastSignal(Record(values), asked, NOW) for values in (series(), changed)]
    first, second = (signal.intensity("A", NOW, 168).gco2_per_kwh for signal in forecasts)
    assert (first == second).all()
    before, after = (signal.past_issues("A", 96) for signal in forecasts)
    assert (before.forecast == after.forecast).all()
    assert (before.actual == after.actual).all()


def test_a_past_issue_reads_nothing_after_itself() -> None:
    changed = series()
    issue = NOW_H - 96
    changed[issue:NOW_H] = 5.0
    newest = [ForecastSignal(Record(v), "ridge", NOW).past_issues("A", 96) for v in (series(), changed)]
    assert (newest[0].forecast[0] == newest[1].forecast[0]).all()
    assert (newest[1].actual[0] == 5.0).all()


def test_past_issues_are_daily_and_end_before_the_present() -> None:
    past = ForecastSignal(Record(series()), "blend", NOW).past_issues("A", 100)
    assert len(past) == 28
    hours = past.first_hour - int(FIRST.timestamp()) // 3600
    assert hours[0] == NOW_H - 120
    assert (np.diff(hours) == -24).all()


def test_hours_before_the_issue_are_as_recorded() -> None:
    signal = ForecastSignal(Record(series()), "blend", NOW)
    around = signal.intensity("A", NOW - timedelta(hours=10), 20).gco2_per_kwh
    assert (around[:10] == series()[NOW_H - 10 : NOW_H]).all()
    assert (around[10:] == signal.intensity("A", NOW, 10).gco2_per_kwh).all()
    assert (signal.intensity("A", FIRST, 24).gco2_per_kwh == series()[:24]).all()


def test_a_later_start_gives_the_same_hours() -> None:
    signal = ForecastSignal(Record(series()), "auto", NOW)
    later = signal.intensity("A", NOW + timedelta(hours=30), 10).gco2_per_kwh
    assert (later == signal.intensity("A", NOW, 40).gco2_per_kwh[30:]).all()


def test_the_basis_says_what_is_forecast_and_from_what() -> None:
    basis = ForecastSignal(Record(series()), "ridge", NOW).intensity("A", NOW, 96).basis
    assert basis.quantity == "average direct production-based"
    assert "forecast from 2026-11-05 05:00 UTC on: ridge" in basis.method
    assert "metered" in basis.method


def test_bridged_hours_are_said() -> None:
    values = series()
    values[NOW_H - 4 : NOW_H] = np.nan
    signal = ForecastSignal(Live(values, kept=-1), "blend", NOW)
    assert "4 missing hours" in signal.intensity("A", NOW, 24).basis.method
    assert signal.describe()["forecast"]["zones"]["A"]["bridgedHours"] == 4


def test_a_short_history_falls_back_to_the_blend_and_says_so() -> None:
    early = FIRST + timedelta(weeks=20)
    assert "blend (3360 h are known" in ForecastSignal(Record(series()), "ridge", early).method("A")


def test_without_three_weeks_there_is_no_forecast() -> None:
    with pytest.raises(NoIntensity, match="needs 504 h"):
        ForecastSignal(Record(series()), "blend", FIRST + timedelta(days=20)).intensity("A", NOW, 24)


def test_the_fingerprint_covers_history_method_and_time() -> None:
    prints = {
        ForecastSignal(Record(series(seed)), asked, now).fingerprint()
        for seed in (0, 1)
        for asked in ("blend", "ridge")
        for now in (NOW, NOW + timedelta(hours=1))
    }
    assert len(prints) == 8


def test_a_good_outlook_is_taken_where_it_reaches() -> None:
    signal = ForecastSignal(Live(series()), "ridge", NOW)
    forecast = signal.intensity("A", NOW, 96).gco2_per_kwh
    assert forecast[:48] == pytest.approx(series()[NOW_H : NOW_H + 48])
    ours = ForecastSignal(Record(series()), "ridge", NOW)
    assert forecast[48:] == pytest.approx(ours.intensity("A", NOW, 96).gco2_per_kwh[48:], rel=0.2)
    assert "own outlook for 48 h, then ridge" in signal.method("A")


def test_an_outlook_that_errs_otherwise_is_weighed_against_ours() -> None:
    weighed = ForecastSignal(Live(series(), error=25.0), "ridge", NOW)
    ours = ForecastSignal(Live(series(), error=25.0, kept=-1), "ridge", NOW)
    errors = [signal.past_issues("A", 48).mape or 0.0 for signal in (weighed, ours)]
    assert 0 < errors[0] < errors[1]
    assert "% ridge and" in weighed.method("A")


def test_a_broken_outlook_is_left_alone() -> None:
    signal = ForecastSignal(Live(series(), factor=4.0), "ridge", NOW)
    assert signal.method("A") == "ridge"


def test_an_outlook_that_cannot_be_judged_is_not_used() -> None:
    signal = ForecastSignal(Live(series(), kept=15), "ridge", NOW)
    assert signal.method("A") == "ridge"
    note = signal.describe()["forecast"]["zones"]["A"]["outlook"]
    assert "11 of its past issues are kept, and 14 are needed" in note


def short(hours: int, **outlook: Any) -> Live:
    """Return a live source that knows `hours` hours before NOW."""
    values = series()
    values[: NOW_H - hours] = np.nan
    return Live(values, **outlook)


def test_a_source_that_knows_no_past_gives_its_outlook_and_nobody_waits_on_it() -> None:
    signal = ForecastSignal(short(30), "auto", NOW)
    shown = signal.intensity("A", NOW, 96)
    assert (shown.gco2_per_kwh[:48] == series()[NOW_H : NOW_H + 48]).all()
    assert shown.gco2_per_kwh[48:] == pytest.approx(np.full(48, series()[NOW_H : NOW_H + 48].mean()))
    assert "a forecast needs 504 h: the source's own outlook for 48 h, then its mean" in shown.basis.method
    assert len(signal.past_issues("A", 96)) == 0


def test_without_an_outlook_either_the_last_day_is_repeated() -> None:
    signal = ForecastSignal(short(30, kept=-1), "auto", NOW)
    shown = signal.intensity("A", NOW, 60)
    day = series()[NOW_H - 24 : NOW_H]
    assert (shown.gco2_per_kwh == np.concatenate([day, day, day[:12]])).all()
    assert signal.method("A") == "the last day repeated"


def test_of_less_than_a_day_nothing_is_made() -> None:
    with pytest.raises(NoIntensity, match="needs 24 h"):
        ForecastSignal(short(20, kept=-1), "auto", NOW).intensity("A", NOW, 24)


def test_an_outlook_of_another_quantity_is_refused() -> None:
    live = Live(series())
    other = Basis("marginal", "direct", "production", "grid", "metered")
    live.outlook = lambda zone, now: Intensity(zone, NOW, np.ones(24), other)  # type: ignore[method-assign]
    with pytest.raises(HarchosError, match="different quantities"):
        ForecastSignal(live, "blend", NOW).intensity("A", NOW, 24)


def test_a_replay_is_forecast_only_when_asked() -> None:
    record = Record(series())
    assert with_forecast(record, None, NOW) is record
    assert isinstance(with_forecast(record, "blend", NOW), ForecastSignal)


def test_a_live_source_is_always_forecast() -> None:
    signal = with_forecast(Live(series()), None, NOW)
    assert signal.describe()["forecast"]["asked"] == "auto"


def test_an_unknown_way_to_forecast_is_refused() -> None:
    with pytest.raises(HarchosError, match="unknown forecast"):
        with_forecast(Record(series()), "prophet", NOW)
