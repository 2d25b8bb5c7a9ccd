"""Past issues of a forecast beside what came: what its worth is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from harchos_infra.grid.forecast.naive import DAY_H

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ISSUES = 28
HELD_OUT_H = 42 * DAY_H
"""Hours before the present that no model is fitted on: past issues lie in them."""
LEAST_ISSUES = 14


@dataclass(frozen=True, slots=True, eq=False)
class PastIssues:
    """Forecasts as they would have been made at past hours, newest first, in g/kWh.

    `first_hour` (issues,) counts from 1970; `forecast` and `actual` have shape (issues, hours). There may be
    no issue at all.
    """

    first_hour: Ints
    forecast: Floats
    actual: Floats

    def __len__(self) -> int:
        return len(self.first_hour)

    @property
    def mape(self) -> float | None:
        """Mean of |forecast - actual| / actual over the hours that are not 0; None where there is none."""
        return mape(self.forecast, self.actual)


@runtime_checkable
class Forecasting(Protocol):
    """A signal whose hours from `issued` on are a forecast, which can be judged by its past."""

    @property
    def issued(self) -> datetime:
        """Start of the first hour that is a forecast."""
        ...

    def past_issues(self, zone: str, hours: int) -> PastIssues:
        """Return past issues of a zone's forecast over `hours` hours; raise NoIntensity without one."""
        ...

    def method(self, zone: str) -> str:
        """Return what forecasts a zone, in words: `ridge`."""
        ...


def mape(forecast: Floats, actual: Floats) -> float | None:
    """Return the mean absolute error as a share of each actual value above 0; None where there is none."""
    counted = (actual > 0) & np.isfinite(forecast)
    if not counted.any():
        return None
    return float((np.abs(forecast - actual)[counted] / actual[counted]).mean())


def issue_hours(now: int, hours: int, known_h: int, history_h: int) -> Ints:
    """Return past issues at the hour of day of `now`, newest first, that `hours` hours are known after.

    At most ISSUES, none in what a model is fitted on, each with `history_h` of the `known_h` hours before it.
    """
    span = -(-hours // DAY_H) * DAY_H
    oldest = min(HELD_OUT_H, known_h - history_h)
    count = min(ISSUES, max(0, (oldest - span) // DAY_H + 1))
    return now - span - DAY_H * np.arange(count, dtype=np.int64)
