"""Forecasts as a user meets them: `--forecast` of `carbon` and `plan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harchos_infra.cli.planning import plan_or_replan, refuse_if_drifted
from harchos_infra.planner.encoding import utc_text
from support.command import Harchos

DIGITS = str(Path(__file__).parents[2] / "configs" / "training" / "digits.yaml")
NOW = ("--now", "2022-07-01T00:00Z")


@pytest.mark.parametrize("way", ["blend", "ridge", "auto"])
def test_carbon_shows_a_band_beside_the_values(harchos: Harchos, way: str) -> None:
    code, out, _ = harchos("carbon", "DE", *NOW, "--forecast", way, "--format", "json")
    shown = json.loads(out)
    assert code == 0
    assert len(shown["gco2PerKwh"]) == len(shown["quantiles"]["p10"]) == 96
    assert all(
        0 <= low <= high
        for low, high in zip(shown["quantiles"]["p10"], shown["quantiles"]["p90"], strict=True)
    )
    assert shown["quantiles"]["issues"] == 28
    assert "forecast from 2022-07-01 00:00 UTC on" in shown["basis"]["method"]


def test_the_table_says_that_it_is_a_forecast_and_how_good(harchos: Harchos) -> None:
    _, out, err = harchos("carbon", "DE", *NOW, "--forecast", "auto")
    assert "p10 to p90" in out
    assert "28 past issues" in out
    assert "forecast from 2022-07-01 00:00 UTC on" in out
    assert "Not a forecast" not in err


def test_a_replay_is_shown_as_it_is(harchos: Harchos) -> None:
    shown = json.loads(harchos("carbon", "DE", *NOW, "--format", "json")[1])
    assert "quantiles" not in shown
    assert "forecast" not in shown["signal"]


def test_a_plan_shows_what_the_forecast_was_worth(harchos: Harchos) -> None:
    made = json.loads(harchos("plan", DIGITS, *NOW, "--forecast", "auto", "--format", "json")[1])
    zone = made["chosen"]["segments"][0]["zone"]
    verdict = next(each for each in made["inputs"]["forecast"] if each["zone"] == zone)
    assert verdict["issues"] == 28
    assert verdict["mayWait"] == (verdict["saving"] > 0)
    assert made["inputs"]["signal"]["forecast"]["asked"] == "auto"
    assert made["inputs"]["signal"]["forecast"]["zones"][zone]["mape"] > 0
    code, out, _ = harchos("plan", DIGITS, *NOW, "--forecast", "auto", "--explain")
    assert code == 0
    assert "carbon figures from 2022-07-01 00:00 UTC on are a forecast out of replayed hours before" in out
    assert "What waiting on the forecast has been worth to this job in each zone" in out
    assert f"forecast of {zone}" in out


def test_a_plan_on_a_forecast_is_checked_against_the_same_forecast(harchos: Harchos, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    code, _, _ = harchos("plan", DIGITS, *NOW, "--forecast", "ridge", "--out", str(path))
    made, _, _ = plan_or_replan(path)
    assert (code, utc_text(made.now)) == (0, "2022-07-01T00:00:00Z")
    refuse_if_drifted(path, made, rehearse=True)


def test_an_unknown_way_is_a_usage_error(harchos: Harchos) -> None:
    code, _, err = harchos("plan", DIGITS, *NOW, "--forecast", "prophet")
    assert code == 1
    assert "'prophet'" in err
