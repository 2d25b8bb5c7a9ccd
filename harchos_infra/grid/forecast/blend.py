"""The blend: a day's shape, a week's shape and the present level, without anything to fit.

    shape(t) = 0.85 D(t) + 0.15 W(t)
    y(t)     = max(0, shape(t) + e exp(-h / 24))            h hours after the issue, 0 for the first

D is the mean of the last 14 days at the same hour of day, a day weighing 0.9 of the next one; W the mean of
the last 3 weeks at the same hour of week; e the mean of what the last 3 hours had beyond the shape. Hours are
counted from the issue, so that neither time zone nor calendar enters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.forecaster import check_history
from harchos_infra.grid.forecast.naive import DAY_H, WEEK_H, repeated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

WEEKS = 3
DAYS = 14
_DAY_DECAY = 0.9
_DAY_SHARE = 0.85
_ERROR_H = 3
_ERROR_DECAY_H = 24.0


@dataclass(frozen=True, slots=True)
class Blend:
    """See the module's own page for the formula."""

    name: str = "blend"
    history_h: int = WEEKS * WEEK_H

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Blend the shapes of day and week and the present level; see `Forecaster`."""
        check_history(history, self.history_h)
        week = shape(history)
        error = (history[:, -_ERROR_H:] - week[:, -_ERROR_H:]).mean(axis=1, keepdims=True)
        decay = np.exp(-np.arange(hours) / _ERROR_DECAY_H)
        forecast: Floats = np.maximum(repeated(week, hours) + error * decay, 0.0)
        return forecast


def shape(history: Floats) -> Floats:
    """Return the blended shape of the week that follows `history`, of shape (rows, 168)."""
    rows = len(history)
    weights = _DAY_DECAY ** np.arange(DAYS)[::-1]
    days = history[:, -DAYS * DAY_H :].reshape(rows, DAYS, DAY_H)
    day = (days * (weights / weights.sum())[:, None]).sum(axis=1)
    week = history[:, -WEEKS * WEEK_H :].reshape(rows, WEEKS, WEEK_H).mean(axis=1)
    blended: Floats = _DAY_SHARE * repeated(day, WEEK_H) + (1 - _DAY_SHARE) * week
    return blended
