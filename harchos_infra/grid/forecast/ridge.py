"""The ridge: a linear forecast of the logarithm, fitted to the zone's own history in closed form.

A day of the history that begins at the issue's own hour of day is a sample. With l = ln y and m the mean of l
over the last week,

    x = (l - m of the last 48 hours, mean of l - m by hour over the last 21 days, 0.3 x weekday, 0.3)
    z = l - m of the 168 hours to come,     W = (X'X + 0.25 I)^-1 X'Z      over all samples of the history
    y = exp(m + x W)^0.7 x blend^0.3

The regression is taken together with the blend because their errors differ; past 168 hours the blend goes on
alone. Every issue's hour of day has a W of its own. Values below a hundredth of the history's mean count as
that in a logarithm. Nothing after the first hour of an issue enters: targets of the last sample end with the
history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.blend import WEEKS, Blend
from harchos_infra.grid.forecast.forecaster import check_history
from harchos_infra.grid.forecast.naive import DAY_H, WEEK_H

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEADS = WEEK_H
LEAST_WEEKS = 20
"""With less it errs more than the blend alone."""
_PROFILE_DAYS = WEEKS * 7
_RECENT_D = 2
_DUMMY = 0.3
_PENALTY = 0.25
_BLEND_SHARE = 0.3
_FLOOR = 0.01
_THURSDAY = 3  # 1970 began on one; Monday is 0
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Ridge:
    """See the module's own page for the formula. `weeks` of history are read, 4 at least."""

    weeks: int = 26
    name: str = "ridge"

    @property
    def history_h(self) -> int:
        """Hours of history that a fit reads; a forecast once fitted reads `FittedRidge.history_h`."""
        return self.weeks * WEEK_H

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Fit each row to its own history and forecast it; see `Forecaster`."""
        fitted = self.fit(history, first_hour)
        return fitted.forecast(history[:, -fitted.history_h :], first_hour, hours)

    def fit(self, history: Floats, first_hour: Ints) -> FittedRidge:
        """Return a forecaster fitted to each row of `history`, for issues at the same hour of day.

        Shapes and errors are those of `Forecaster.forecast`.
        """
        check_history(history, self.history_h)
        parts = [
            _coefficients(history[at : at + _BATCH], first_hour[at : at + _BATCH])
            for at in range(0, len(history), _BATCH)
        ]
        return FittedRidge(np.concatenate(parts), _floor(history), first_hour % DAY_H)


@dataclass(frozen=True, slots=True, eq=False)
class FittedRidge:
    """A ridge with its coefficients: each fitted row serves as many consecutive rows of a forecast."""

    coefficients: Floats
    """Shape (fitted rows, features, LEADS)."""
    floor: Floats
    hour_of_day: Ints
    name: str = "ridge"
    history_h: int = WEEKS * WEEK_H

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Forecast rows of history, a multiple of the fitted ones; see `Forecaster`.

        Raises ValueError for an issue at another hour of day than the one fitted.
        """
        check_history(history, self.history_h)
        each = len(history) // len(self.coefficients)
        if (first_hour % DAY_H != np.repeat(self.hour_of_day, each)).any():
            raise ValueError("an issue is at another hour of day than the ridge was fitted for")
        log = np.log(np.maximum(history, np.repeat(self.floor, each)[:, None]))
        days = log.reshape(len(log), -1, DAY_H)
        last = np.array([days.shape[1]])
        x, level = _features(days, first_hour // DAY_H, last)
        leads = min(hours, LEADS)
        grouped = x.reshape(len(self.coefficients), each, -1)
        ahead = (grouped @ self.coefficients[:, :, :leads]).reshape(len(log), leads) + level
        forecast = Blend().forecast(history, first_hour, hours)
        forecast[:, :leads] = np.exp((1 - _BLEND_SHARE) * ahead) * forecast[:, :leads] ** _BLEND_SHARE
        return forecast


def _floor(history: Floats) -> Floats:
    """Return the least value whose logarithm is taken, for each row; 1 for a row of zeros."""
    mean = history.mean(axis=1)
    floor: Floats = np.where(mean > 0, _FLOOR * mean, 1.0)
    return floor


def _coefficients(history: Floats, first_hour: Ints) -> Floats:
    """Return W of each row, of shape (rows, features, LEADS)."""
    rows = len(history)
    log = np.log(np.maximum(history, _floor(history)[:, None]))
    days = log.reshape(rows, -1, DAY_H)
    begins = np.arange(_PROFILE_DAYS, days.shape[1] - LEADS // DAY_H + 1)
    first_day = first_hour // DAY_H - days.shape[1]
    x, level = _features(days, (first_day[:, None] + begins).ravel(), begins)
    ahead = np.lib.stride_tricks.sliding_window_view(log, LEADS, axis=1)[:, begins * DAY_H]
    x, ahead = x.reshape(rows, len(begins), -1), ahead - level.reshape(rows, len(begins), 1)
    across = x.transpose(0, 2, 1)
    penalty = _PENALTY * np.eye(x.shape[2])
    coefficients: Floats = np.linalg.solve(across @ x + penalty, across @ ahead)
    return coefficients


def _features(days: Floats, issue_day: Ints, begins: Ints) -> tuple[Floats, Floats]:
    """Return x and m of the issues that begin at each day of `begins`, shapes (rows x begins, features | 1).

    `days` holds logarithms, of shape (rows, days, 24); `issue_day` counts the issues' days from 1970.
    """
    sums = np.zeros((len(days), days.shape[1] + 1, DAY_H))
    np.cumsum(days, axis=1, out=sums[:, 1:])
    level = (sums[:, begins] - sums[:, begins - 7]).mean(axis=2, keepdims=True) / 7
    profile = (sums[:, begins] - sums[:, begins - _PROFILE_DAYS]) / _PROFILE_DAYS
    recent = [days[:, begins - back] for back in range(_RECENT_D, 0, -1)]
    shapes = np.concatenate([*recent, profile], axis=2) - level
    flat = shapes.reshape(-1, shapes.shape[2])
    weekday = _DUMMY * np.eye(7)[(issue_day + _THURSDAY) % 7]
    constant = np.full((len(flat), 1), _DUMMY)
    return np.concatenate([flat, weekday, constant], axis=1), level.reshape(-1, 1)
