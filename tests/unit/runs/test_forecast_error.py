"""How far a plan's intensities were from those that its run met, kept by zone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harchos_infra.cli.main import app
from harchos_infra.runs import calibration
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.settle import forecast_errors, signal_name

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def segment(*intensity: float, start: datetime = NOON, zone: str = "DE", basis: str = "ours") -> Any:
    return {
        "zone": zone,
        "start": start.isoformat(),
        "intensityGco2PerKwh": list(intensity),
        "intensityBasis": basis,
    }


def settled(*intensity: float | None, start: datetime = NOON, basis: str = "theirs") -> Any:
    return {"DE": {"start": start.isoformat(), "gco2_per_kwh": list(intensity), "basis": basis}}


def errors(segment: Any, met: Any, *, issued: datetime = NOON, now: datetime = NOON + 9 * HOUR) -> Any:
    return forecast_errors([segment], met, signal="live", issued_at=issued, now=now)


def test_error_and_bias_are_means_over_the_hours_that_both_have() -> None:
    (row,) = errors(segment(110.0, 150.0, 999.0), settled(100.0, 200.0), issued=NOON - 6 * HOUR)
    assert row["mape"] == pytest.approx((0.10 + 0.25) / 2)
    assert row["bias_gco2_per_kwh"] == pytest.approx((10 - 50) / 2)
    assert (row["zone"], row["signal"], row["basis"], row["hours"]) == ("DE", "live", "ours", 2)
    assert row["lead_h"] == pytest.approx(6.5)
    assert row["issued_at"] == (NOON - 6 * HOUR).timestamp()


def test_a_start_within_an_hour_and_a_late_hub_are_aligned_by_the_hour() -> None:
    (row,) = errors(segment(1.0, 100.0, start=NOON + HOUR / 3), settled(80.0, start=NOON + HOUR))
    assert (row["hours"], row["mape"]) == (1, pytest.approx(0.25))


def test_of_shorter_steps_the_mean_of_an_hour_counts() -> None:
    half = {**segment(80.0, 100.0, 140.0, start=NOON + HOUR / 2), "intensityStepS": 1800}
    (row,) = errors(half, settled(80.0, 100.0))
    assert (row["hours"], row["mape"]) == (2, pytest.approx((0.0 + 0.2) / 2))


def test_a_replay_compared_with_itself_has_no_error() -> None:
    (row,) = errors(segment(100.0004, 50.0, basis="replay"), settled(100.0, 50.0, basis="replay"))
    assert (row["same_figure"], row["mape"], row["bias_gco2_per_kwh"]) == (True, None, None)


def test_a_forecast_that_came_true_is_no_replay() -> None:
    (row,) = errors(segment(100.0, basis="forecast"), settled(100.0, basis="measured"))
    assert (row["same_figure"], row["mape"]) == (False, 0.0)


def test_figures_that_were_corrected_since_have_an_error() -> None:
    (row,) = errors(segment(100.0, basis="live"), settled(90.0, basis="live"))
    assert not row["same_figure"]


def test_hours_that_have_not_come_yet_are_not_compared() -> None:
    assert errors(segment(100.0), settled(90.0), now=NOON - HOUR) == []
    (row,) = errors(segment(100.0, 1.0), settled(90.0, 90.0), now=NOON + HOUR / 2)
    assert row["hours"] == 1


def test_hours_without_a_figure_and_hours_of_zero() -> None:
    assert errors(segment(100.0), settled(None)) == []
    (row,) = errors(segment(10.0, 30.0), settled(0.0, 20.0))
    assert (row["mape"], row["bias_gco2_per_kwh"]) == (pytest.approx(0.5), pytest.approx(10.0))
    (row,) = errors(segment(10.0), settled(0.0))
    assert row["mape"] is None


def test_a_zone_that_was_not_planned_has_none() -> None:
    assert errors(segment(100.0, zone="FR"), settled(90.0)) == []


def test_a_forecast_is_kept_apart_from_the_replay_that_it_is_made_from() -> None:
    assert signal_name({"name": "replay"}) == "replay"
    assert signal_name({"name": "replay", "forecast": {"asked": "ridge"}}) == "replay, ridge"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Three settled runs: two forecasts of DE, one replay of FR; one was settled twice."""
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path))
    ledger = Ledger.open()
    met = settled(100.0, 100.0)
    for run, rows in {
        "a-1": errors(segment(110.0), met),
        "a-2": errors(segment(130.0, 150.0), met),
        "b-1": [
            {**errors(segment(100.0), settled(100.0, basis="ours"))[0], "zone": "FR", "signal": "replay"}
        ],
    }.items():
        values = {
            "id": run, "workload": run[0], "type": "batch", "plan_hash": run, "workload_hash": "y",
            "rehearsal": False, "schedule_offset_s": 0.0, "ttl_s": 60.0, "phase": "done", "desired": "run",
            "next_at": 0.0, "created_at": 0.0, "intensities": {}, "units": {}, "outputs": [],
        }  # fmt: skip
        lease = ledger.add_run(values, {"chosen": {"segments": []}}, owner="x")
        ledger.add_forecast_errors(lease, rows)
        ledger.add_forecast_errors(lease, [{**row, "mape": 9.9} for row in rows])
    return ledger


def invoke(*arguments: str) -> str:
    return CliRunner().invoke(app, ["calibrate", *arguments], catch_exceptions=False).stdout


def test_each_run_counts_once(kept: Ledger) -> None:
    assert [round(e.mape, 3) for e in calibration.forecast_errors("a") if e.mape is not None] == [0.1, 0.4]


def test_a_zone_shows_the_mean_over_its_hours_and_a_replay_shows_no_percentage(kept: Ledger) -> None:
    rows = [line.split() for line in invoke().splitlines()]
    assert ["DE", "live", "2", "3", "0.3", "h", "30.0%", "+30", "g/kWh"] in rows
    assert ["FR", "replay", "1", "1", "-", "same", "figure", "-"] in rows
    assert " 0.0%" not in invoke()


def test_the_json_has_every_error(kept: Ledger) -> None:
    document = json.loads(invoke("--format", "json"))
    assert document["schema"] == "harchos.calibration/1"
    german, french = document["forecastError"]
    assert (german["zone"], german["hours"], german["mape"]) == ("DE", 3, pytest.approx(0.3))
    assert [e["run"] for e in german["each"]] == ["a-1", "a-2"]
    assert (french["mape"], french["hoursOfSameFigure"]) == (None, 1)
