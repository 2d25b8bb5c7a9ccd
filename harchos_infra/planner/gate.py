"""Where a job may wait: never later than at once on a forecast that does not pay.

A forecast can be worse than none. In each zone its past issues are judged for the very duration and slack of
the job; where waiting has not saved carbon, or too few issues can be judged, the job starts at once or
elsewhere. Signals that are no forecast are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from harchos_infra.grid.forecast.issues import LEAST_ISSUES, Forecasting, PastIssues
from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.planner.backtest import Backtest, backtest
from harchos_infra.planner.window import HOUR_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a job of some duration may wait in a zone, and the backtest that decided it."""

    zone: str
    duration_s: int
    method: str
    backtest: Backtest

    @property
    def may_wait(self) -> bool:
        """The forecast has paid."""
        return self.backtest.pays

    @property
    def reason(self) -> str:
        """The verdict in words."""
        found = self.backtest
        if not found.judged:
            return f"{found.issues} past issues can be judged and {LEAST_ISSUES} are needed: no waiting"
        over = f"over {found.issues} past issues"
        if found.share_kept is None:
            return f"no start was cleaner than the earliest {over}: no waiting"
        if found.pays:
            return f"waiting saved {found.saving:.1%} {over}, {found.share_kept:.0%} of what foresight would"
        return f"waiting would have added {-found.saving:.1%} {over}: no waiting"


@dataclass(frozen=True, slots=True)
class Gate:
    """Verdicts on a forecast's zones, each reached when it is first asked for.

    `hours` are those of the horizon that begins at `base`; starts are seconds from `base`.
    """

    forecast: Forecasting
    base: datetime
    hours: int
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    _past: dict[str, PastIssues] = field(default_factory=dict)

    def may_wait(self, zone: str, earliest_s: int, latest_s: int, duration_s: int) -> bool:
        """Tell whether a job of `duration_s` may start later than `earliest_s` in a zone."""
        key = zone, duration_s
        if key not in self.verdicts:
            lead_h = max(0, hours_since_epoch(self.base) - hours_since_epoch(self.forecast.issued))
            if zone not in self._past:
                self._past[zone] = self.forecast.past_issues(zone, lead_h + self.hours)
            lead_s = lead_h * HOUR_S
            found = backtest(self._past[zone], lead_s + earliest_s, lead_s + latest_s, duration_s)
            self.verdicts[key] = Verdict(zone, duration_s, self.forecast.method(zone), found)
        return self.verdicts[key].may_wait
