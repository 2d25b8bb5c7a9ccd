"""How far a forecast is trusted: never later than at once on one that does not pay.

A forecast can be worse than none, and promises more than it keeps. In each zone its past issues are judged
for the job's own duration (the longest that leaves it slack) and its own deadline. With m the forecast's mean
over the earliest window and k the trust that the backtest found, the plan reckons with

    I(t) = m + k (forecast(t) - m)

so that a plan promises what past forecasts have kept. With k = 0, where waiting has not saved carbon or too
few issues can be judged, no hour is cleaner than another: the job starts at once, or elsewhere. The earliest
window keeps its mean. Signals that are no forecast are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.issues import LEAST_ISSUES, Forecasting
from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Basis
from harchos_infra.planner.backtest import Backtest, backtest
from harchos_infra.planner.window import HOUR_S, window_means

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Wish:
    """A job that may wait: starts in [earliest_s, latest_s] from `base`, an hour, for `duration_s`."""

    base: datetime
    earliest_s: int
    latest_s: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a zone's forecast is trusted for a job, and the backtest that decided it."""

    zone: str
    method: str
    backtest: Backtest

    @property
    def may_wait(self) -> bool:
        """Waiting on the forecast has paid."""
        return self.backtest.trust > 0

    @property
    def reason(self) -> str:
        """The verdict in words."""
        found = self.backtest
        if not found.judged:
            return f"{found.issues} past issues can be judged and {LEAST_ISSUES} are needed: no waiting"
        over = f"over {found.issues} past issues"
        if found.share_kept is None:
            return f"no start was cleaner than the earliest {over}: no waiting"
        if self.may_wait:
            return (
                f"waiting saved {found.saving:.1%} {over}: {found.share_kept:.0%} of what foresight would, "
                f"{found.trust:.0%} of what was promised"
            )
        return f"waiting would have added {-found.saving:.1%} {over}: no waiting"


def judge(forecast: Forecasting, zone: str, wish: Wish) -> Verdict:
    """Judge a zone's forecast by its past issues, for the job as it is wished."""
    lead_h = max(0, hours_since_epoch(wish.base) - hours_since_epoch(forecast.issued))
    earliest_s, latest_s = (lead_h * HOUR_S + start_s for start_s in (wish.earliest_s, wish.latest_s))
    past = forecast.past_issues(zone, -(-(latest_s + wish.duration_s) // HOUR_S))
    return Verdict(zone, forecast.method(zone), backtest(past, earliest_s, latest_s, wish.duration_s))


def trusted(
    intensity: NDArray[np.float64], bases: list[Basis], verdicts: list[Verdict], wish: Wish
) -> tuple[NDArray[np.float64], list[Basis]]:
    """Return the intensities (zones, hours) that a plan reckons with, and their bases, which say so."""
    first = window_means(intensity, np.array([wish.earliest_s]), wish.duration_s)
    trust = np.array([[verdict.backtest.trust] for verdict in verdicts])
    said = [
        replace(basis, method=f"{basis.method}; differences from the earliest window counted at {k:.0%}")
        for basis, k in zip(bases, trust[:, 0].tolist(), strict=True)
    ]
    return first + trust * (intensity - first), said
