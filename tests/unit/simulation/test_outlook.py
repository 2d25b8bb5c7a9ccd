"""What a forecaster sees in a simulation: nothing from the hour of decision on, however it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from harchos_infra.grid.forecast.blend import Blend
from harchos_infra.grid.forecast.forecaster import Forecaster
from harchos_infra.grid.forecast.ridge import Ridge
from harchos_infra.simulation.outlook import Modelled
from harchos_infra.simulation.series import Series

FORECASTERS = (Blend(), Ridge(weeks=8))


def of(seed: int, *, other_from: int | None = None) -> Series:
    """Return 1,500 hours of two zones; from `other_from` on, other ones."""
    hours = np.arange(1500)
    rng = np.random.default_rng(seed)
    values = 300 + 80 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 20, (2, 1500))
    if other_from is not None:
        values[:, other_from:] = rng.uniform(0, 900, (2, 1500 - other_from))
    return Series(("A", "B"), 455_832, values, "", "")


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda f: f.name)
@pytest.mark.parametrize("hour", [1344, 1400])
def test_nothing_from_the_hour_of_decision_on_is_seen(forecaster: Forecaster, hour: int) -> None:
    zone, at = np.array([0, 1]), np.array([hour, hour])
    seen = Modelled(of(1), forecaster).seen(zone, at, 48)
    blind = Modelled(of(1, other_from=hour), forecaster).seen(zone, at, 48)
    assert seen.tolist() == blind.tolist()
    assert np.isfinite(seen).all()


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda f: f.name)
def test_a_forecast_is_the_same_whatever_was_asked_before(forecaster: Forecaster) -> None:
    outlook = Modelled(of(2), forecaster)
    zone, hour = np.array([0, 1, 0, 0]), np.array([1350, 1350, 1374, 1391])
    outlook.seen(zone[:1], hour[:1], 10)
    together = outlook.seen(zone, hour, 30)
    again = outlook.seen(zone[2:], hour[2:], 30)
    alone = [
        Modelled(of(2), forecaster).seen(zone[place : place + 1], hour[place : place + 1], 30)[0]
        for place in range(4)
    ]
    assert together == pytest.approx(np.array(alone), rel=1e-12)
    assert again == pytest.approx(np.array(alone[2:]), rel=1e-12)
