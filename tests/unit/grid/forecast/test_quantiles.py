"""Quantiles from the residuals of past issues."""

from __future__ import annotations

import numpy as np
import pytest

from harchos_infra.grid.forecast.issues import PastIssues
from harchos_infra.grid.forecast.quantiles import quantiles


def issues(forecast: np.ndarray, actual: np.ndarray) -> PastIssues:
    return PastIssues(np.arange(len(forecast)) * 24, forecast, actual)


def test_eight_in_ten_hours_fall_between_p10_and_p90() -> None:
    rng = np.random.default_rng(0)
    forecast = rng.uniform(100, 400, (60, 96))
    spread = np.linspace(0.02, 0.3, 96)
    actual = forecast * np.exp(rng.normal(0, spread, (60, 96)))
    past = issues(forecast[:28], actual[:28])
    inside = [
        (low <= came) & (came <= high)
        for said, came in zip(forecast[28:], actual[28:], strict=True)
        for low, high in [quantiles(said, past)]
    ]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)


def test_the_spread_grows_with_the_lead_as_errors_did() -> None:
    rng = np.random.default_rng(1)
    forecast = np.full((28, 96), 100.0)
    actual = forecast * np.exp(rng.normal(0, np.linspace(0.01, 0.3, 96), (28, 96)))
    low, high = quantiles(forecast[0], issues(forecast, actual))
    assert (high - low)[-10:].mean() > 5 * (high - low)[:10].mean()


def test_quantiles_are_never_negative_and_ordered() -> None:
    rng = np.random.default_rng(2)
    forecast, actual = rng.exponential(50, (28, 48)), rng.exponential(50, (28, 48))
    forecast[:, 5] = 0.0
    found = quantiles(forecast[0], issues(forecast, actual), (0.1, 0.5, 0.9))
    assert (found >= 0).all()
    assert (np.diff(found, axis=0) >= 0).all()


def test_leads_past_those_known_take_the_last_days() -> None:
    rng = np.random.default_rng(3)
    past = issues(np.full((28, 48), 100.0), rng.uniform(50, 150, (28, 48)))
    low, _ = quantiles(np.full(100, 100.0), past)
    assert (low[48:72] == low[24:48]).all()
    assert (low[72:96] == low[24:48]).all()


def test_without_a_past_issue_there_are_none() -> None:
    with pytest.raises(ValueError, match="no past issue"):
        quantiles(np.ones(24), issues(np.zeros((0, 24)), np.zeros((0, 24))))
