"""What waiting would have been worth: against a plain loop over issues and starts."""

from __future__ import annotations

import numpy as np
import pytest

from harchos_infra.grid.forecast.issues import PastIssues
from harchos_infra.planner.backtest import backtest

HOUR_S = 3600


def past(forecast: np.ndarray, actual: np.ndarray) -> PastIssues:
    return PastIssues(np.arange(len(forecast)) * 24, forecast, actual)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_loop_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    forecast, actual = rng.uniform(1, 9, (2, 20, 30))
    at_once = chosen = least = promised = said_at_once = 0.0
    for said, came in zip(forecast, actual, strict=True):
        means = [(said[s : s + 6].mean(), came[s : s + 6].mean()) for s in range(2, 25)]
        at_once += means[0][1]
        chosen += min(means)[1]
        least += min(mean for _, mean in means)
        promised += means[0][0] - min(means)[0]
        said_at_once += means[0][0]
    found = backtest(past(forecast, actual), 2 * HOUR_S, 24 * HOUR_S, 6 * HOUR_S)
    assert found.saving == pytest.approx((at_once - chosen) / at_once)
    assert found.promised == pytest.approx(promised / said_at_once)
    assert found.attainable == pytest.approx((at_once - least) / at_once)
    assert found.mape == pytest.approx((np.abs(forecast - actual) / actual).mean())


def test_foresight_keeps_all_of_it() -> None:
    actual = np.random.default_rng(0).uniform(1, 9, (20, 30))
    found = backtest(past(actual, actual), 0, 24 * HOUR_S, 5400)
    assert found.share_kept == pytest.approx(1.0)
    assert found.trust == pytest.approx(1.0)


def test_a_forecast_that_is_upside_down_does_not_pay() -> None:
    actual = np.tile(np.linspace(1, 9, 30), (20, 1))
    found = backtest(past(10 - actual, actual), 0, 24 * HOUR_S, HOUR_S)
    assert found.saving < 0
    assert found.trust == 0


def test_a_flat_zone_has_nothing_to_keep() -> None:
    flat = np.full((20, 30), 5.0)
    found = backtest(past(flat, flat), 0, 24 * HOUR_S, HOUR_S)
    assert found.share_kept is None
    assert found.trust == 0


def test_a_few_issues_do_not_decide() -> None:
    actual = np.tile(np.linspace(9, 1, 30), (13, 1))
    found = backtest(past(actual, actual), 0, 24 * HOUR_S, HOUR_S)
    assert found.saving > 0
    assert found.trust == 0


def test_without_an_issue_nothing_is_trusted() -> None:
    assert backtest(past(np.zeros((0, 30)), np.zeros((0, 30))), 0, 24 * HOUR_S, HOUR_S).trust == 0


def test_trust_is_what_came_of_what_was_promised() -> None:
    said = np.tile(np.linspace(9, 1, 30), (20, 1))
    came = 9 + (said - 9) / 4
    found = backtest(past(said, came), 0, 24 * HOUR_S, HOUR_S)
    assert found.trust == pytest.approx(0.25)
    assert found.share_kept == pytest.approx(1.0)


def test_more_than_was_promised_is_not_counted_on() -> None:
    came = np.tile(np.linspace(9, 1, 30), (20, 1))
    said = 9 + (came - 9) / 4
    assert backtest(past(said, came), 0, 24 * HOUR_S, HOUR_S).trust == 1
