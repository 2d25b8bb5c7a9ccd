"""What waiting on a zone's forecast would have been worth to a job lately.

At each past issue i the job would have started where the forecast's window mean F_i(s) was least; A_i(s) is
the mean that came. With s0 the earliest start and s_i the start chosen,

    saving     = sum_i (A_i(s0) - A_i(s_i))      / sum_i A_i(s0)
    attainable = sum_i (A_i(s0) - min_s A_i(s))  / sum_i A_i(s0)
    promised   = sum_i (F_i(s0) - F_i(s_i))      / sum_i F_i(s0)
    share kept = saving / attainable
    trust      = saving / promised, between 0 and 1

Sums are of all issues, so that one of little carbon counts for little. A forecast with a small error can
choose badly, and one with a large error well: it is the saving that decides. What a forecast promises is more
than comes of it, because the least of many uncertain figures is chosen: trust says how much more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harchos_infra.grid.forecast.issues import LEAST_ISSUES, PastIssues
from harchos_infra.planner.window import breakpoint_starts, earliest_least, window_means


@dataclass(frozen=True, slots=True)
class Backtest:
    """The worth of waiting over `issues` past issues, as shares of the carbon of starting at once."""

    issues: int
    mape: float | None
    saving: float
    promised: float
    attainable: float

    @property
    def share_kept(self) -> float | None:
        """Share of the attainable saving that the forecast kept; None where there was none to have."""
        return self.saving / self.attainable if self.attainable > 0 else None

    @property
    def judged(self) -> bool:
        """There were issues enough to tell."""
        return self.issues >= LEAST_ISSUES

    @property
    def trust(self) -> float:
        """Share of a promised saving to count on: 0 where waiting has not paid, or nobody can tell."""
        if not self.judged or self.saving <= 0 or self.promised <= 0:
            return 0.0
        return min(1.0, self.saving / self.promised)


def backtest(past: PastIssues, earliest_s: int, latest_s: int, duration_s: int) -> Backtest:
    """Judge a forecast for a job of `duration_s` that may start in [earliest_s, latest_s] after an issue.

    The issues must reach to the end of the latest window.
    """
    if not len(past):
        return Backtest(0, None, 0.0, 0.0, 0.0)
    starts = breakpoint_starts(earliest_s, latest_s, duration_s)
    planned = window_means(past.forecast, starts, duration_s)
    came = window_means(past.actual, starts, duration_s)
    issues, chosen = np.arange(len(came)), earliest_least(planned, past.forecast)
    at_once, said = came[:, 0], planned[:, 0]
    if min(at_once.sum(), said.sum()) <= 0:
        return Backtest(len(past), past.mape, 0.0, 0.0, 0.0)
    return Backtest(
        issues=len(past),
        mape=past.mape,
        saving=float((at_once - came[issues, chosen]).sum() / at_once.sum()),
        promised=float((said - planned[issues, chosen]).sum() / said.sum()),
        attainable=float((at_once - came.min(axis=1)).sum() / at_once.sum()),
    )
