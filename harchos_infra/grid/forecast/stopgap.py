"""What stands for a forecast where a live source tells too little of the past to make or judge one.

The source's own outlook, past its end its mean; without an outlook the last day, repeated. Neither has a past
issue, so that nobody waits on it: it serves to compare places now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.grid.forecast.history import Ahead, read_history
from harchos_infra.grid.forecast.issues import PastIssues
from harchos_infra.grid.forecast.naive import DAY_H, WEEK_H, repeated
from harchos_infra.grid.signal import Basis, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stopgap:
    """Values from the issue on, and what the hours past them are; `why` there is no forecast."""

    known: Floats
    beyond: Floats
    method: str
    why: str
    source: Basis

    @property
    def basis(self) -> Basis:
        """What the values measure; `method` says that they are no forecast of ours, and why."""
        return replace(self.source, method=f"no forecast, {self.why}: {self.method} ({self.source.method})")

    def values(self, hours: int) -> Floats:
        """Return the first `hours` hours, g/kWh."""
        rest = repeated(self.beyond[None], max(0, hours - len(self.known)))[0]
        return np.concatenate([self.known, rest])[:hours]

    def past_issues(self, hours: int) -> PastIssues:
        """Return no issue: there is nothing to judge by."""
        return PastIssues(np.zeros(0, dtype=np.int64), np.zeros((0, hours)), np.zeros((0, hours)))

    def described(self) -> dict[str, Any]:
        """Return method and reason, for the inputs of a plan."""
        return {"method": self.method, "mape": None, "issues": 0, "why": self.why}


def stopgap(past: Signal, zone: str, issue: datetime, why: str) -> Stopgap:
    """Return what a live source has for a zone that cannot be forecast; raise NoIntensity if nothing."""
    outlook = past.outlook(zone, issue) if isinstance(past, Ahead) else None
    if outlook is not None:
        values = outlook.gco2_per_kwh
        method = f"the source's own outlook for {len(values)} h, then its mean"
        return Stopgap(values, np.array([values.mean()]), method, why, outlook.basis)
    history = read_history(past, zone, issue, least_h=DAY_H, live_h=WEEK_H)
    return Stopgap(np.zeros(0), history.values[-DAY_H:], "the last day repeated", why, history.basis)
