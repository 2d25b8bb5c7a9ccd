"""Forecasts to compare with: yesterday again, last week again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.forecaster import check_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DAY_H, WEEK_H = 24, 168


@dataclass(frozen=True, slots=True)
class Persistence:
    """The last 24 hours, day after day."""

    name: str = "persistence"
    history_h: int = WEEK_H

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Repeat the last day; see `Forecaster`."""
        check_history(history, self.history_h)
        return repeated(history[:, -DAY_H:], hours)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The last 168 hours, week after week."""

    name: str = "seasonal-naive"
    history_h: int = WEEK_H

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Repeat the last week; see `Forecaster`."""
        check_history(history, self.history_h)
        return repeated(history, hours)


def repeated(period: Floats, hours: int) -> Floats:
    """Return `hours` columns that repeat those of `period`, of shape (rows, period)."""
    return period[:, np.arange(hours) % period.shape[1]]
