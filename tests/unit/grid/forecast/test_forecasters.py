"""What every forecaster keeps to, whatever its method."""

from __future__ import annotations

import numpy as np
import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.forecaster import NAMES, Forecaster, forecaster
from harchos_infra.grid.forecast.ridge import Ridge

NOON = 480_012
"""Hours from 1970 to a day's 12:00."""


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Forecaster:
    return forecaster(request.param)


def days(model: Forecaster, rows: int = 3, seed: int = 0) -> np.ndarray:
    """Return history with a daily shape, a weekend and noise."""
    hours = np.arange(model.history_h)
    noise = np.random.default_rng(seed).normal(0, 15, (rows, model.history_h))
    weekend = np.where(hours // 24 % 7 > 4, -40, 0)
    return np.maximum(300 + 80 * np.sin(hours * 2 * np.pi / 24) + weekend + noise, 1.0)


def issues(rows: int) -> np.ndarray:
    return np.full(rows, NOON)


def test_a_forecast_has_a_row_for_each_history_and_a_column_for_each_hour(model: Forecaster) -> None:
    assert model.forecast(days(model), issues(3), 200).shape == (3, 200)


def test_a_flat_series_stays_flat(model: Forecaster) -> None:
    flat = np.full((1, model.history_h), 42.0)
    assert model.forecast(flat, issues(1), 200) == pytest.approx(np.full((1, 200), 42.0))


def test_a_series_of_zeros_stays_zero(model: Forecaster) -> None:
    zeros = np.zeros((1, model.history_h))
    assert model.forecast(zeros, issues(1), 200) == pytest.approx(np.zeros((1, 200)))


def test_the_unit_does_not_matter(model: Forecaster) -> None:
    history = days(model)
    grams = model.forecast(history, issues(3), 120)
    assert model.forecast(history / 1000, issues(3), 120) * 1000 == pytest.approx(grams, rel=1e-6)


def test_a_row_does_not_depend_on_the_others(model: Forecaster) -> None:
    history = days(model, rows=20)
    together = model.forecast(history, issues(20), 96)
    alone = np.concatenate([model.forecast(row[None], issues(1), 96) for row in history])
    assert together == pytest.approx(alone, rel=1e-9)


def test_fewer_hours_are_the_first_of_more(model: Forecaster) -> None:
    more = model.forecast(days(model), issues(3), 240)
    assert model.forecast(days(model), issues(3), 30) == pytest.approx(more[:, :30])


def test_nothing_is_negative_after_a_plunge(model: Forecaster) -> None:
    history = days(model)
    history[:, -3:] = 0.0
    assert (model.forecast(history, issues(3), 96) >= 0).all()


def test_a_shape_that_repeats_is_forecast_as_it_is(model: Forecaster) -> None:
    week = np.tile(200 + 50 * np.sin(np.arange(24) * 2 * np.pi / 24), 7)
    history = np.tile(week, model.history_h // 168)[None]
    assert model.forecast(history, issues(1), 96)[0] == pytest.approx(week[:96], rel=0.01)


def test_a_missing_hour_is_refused(model: Forecaster) -> None:
    history = days(model)
    history[1, -30] = np.nan
    with pytest.raises(ValueError, match="missing"):
        model.forecast(history, issues(3), 24)


def test_another_length_of_history_is_refused(model: Forecaster) -> None:
    with pytest.raises(ValueError, match="is needed"):
        model.forecast(days(model)[:, 1:], issues(3), 24)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(HarchosError) as caught:
        forecaster("prophet")
    assert "blend" in (caught.value.hint or "")


def test_the_ridge_learns_what_the_blend_cannot() -> None:
    """A day above its usual level is followed by one below it."""
    ridge, blend = Ridge(20), forecaster("blend")
    rng = np.random.default_rng(1)
    levels = np.zeros((40, 20 * 7 + 1))
    for day in range(1, levels.shape[1]):
        levels[:, day] = -0.9 * levels[:, day - 1] + rng.normal(0, 0.03, 40)
    series = 300 * np.exp(np.repeat(levels, 24, axis=1))
    history, actual = series[:, : ridge.history_h], series[:, ridge.history_h :]
    errors = [
        np.abs(model.forecast(history[:, -model.history_h :], issues(40), 24) - actual).mean()
        for model in (ridge, blend)
    ]
    assert errors[0] < errors[1] / 2


def test_a_ridge_once_fitted_forecasts_several_issues_of_each_row() -> None:
    ridge = Ridge(10)
    history = days(ridge, rows=2)
    fitted = ridge.fit(history, issues(2))
    short = history[:, -fitted.history_h :]
    several = fitted.forecast(np.repeat(short, 3, axis=0), issues(6), 96)
    assert several == pytest.approx(np.repeat(ridge.forecast(history, issues(2), 96), 3, axis=0))


def test_a_ridge_refuses_an_hour_of_day_that_it_was_not_fitted_for() -> None:
    ridge = Ridge(10)
    fitted = ridge.fit(days(ridge), issues(3))
    with pytest.raises(ValueError, match="hour of day"):
        fitted.forecast(days(ridge)[:, -fitted.history_h :], issues(3) + 1, 24)
