"""One zone's forecast, from what is known before its issue.

1. The blend or the ridge, as asked; `auto` takes the ridge unless the blend has erred clearly less.
2. The source's own outlook as far as it reaches, if enough of its past ones were kept: ours^(1-w) x its own^w
   with the weight w, of 0, 0.3, 0.5, 0.7 and 1, that has erred least; past its end ours goes on alone. Two
   forecasts that err differently err less together: one alone, too, must have been clearly better.

Clearly is by a twentieth of the mean error over the past issues.

The ridge is fitted once, on what lies HELD_OUT_H before the issue: its past issues are of the very model that
forecasts, and no issue is of hours that the model was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harchos_infra.grid.forecast.blend import WEEKS, Blend
from harchos_infra.grid.forecast.forecaster import Forecaster
from harchos_infra.grid.forecast.history import Ahead, History, read_history
from harchos_infra.grid.forecast.issues import HELD_OUT_H, LEAST_ISSUES, PastIssues, issue_hours, mape
from harchos_infra.grid.forecast.naive import WEEK_H
from harchos_infra.grid.forecast.ridge import LEAST_WEEKS, Ridge
from harchos_infra.grid.forecast.stopgap import Stopgap, stopgap
from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, Signal, check_same_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Asked = Literal["auto", "blend", "ridge"]
ASKED: tuple[Asked, ...] = ("auto", "blend", "ridge")
COMPARED_H = 96
"""Hours over which the errors of methods are compared."""
_HISTORY_H = WEEKS * WEEK_H
_SHARES = (0.0, 0.3, 0.5, 0.7, 1.0)
_CLEARLY = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The source's own forecast, those of its past that were kept, and the weight it gets: 0 to 1."""

    values: Floats
    archive: dict[int, Floats]
    share: float
    note: str
    words: str
    """What the source says of its outlook."""


@dataclass(frozen=True, slots=True, eq=False)
class ZoneForecast:
    """A zone's forecast from `now` (hours since 1970) on, with all that is needed to make its past ones."""

    history: History
    now: int
    ours: str
    """Name of the method that we forecast with, and why if another one was asked for."""
    model: Forecaster
    outlook: Outlook | None = None

    @property
    def method(self) -> str:
        """In a few words: `ridge`, `30% ridge and 70% the source's own outlook for 24 h, then ridge`."""
        if self.outlook is None or not self.outlook.share:
            return self.ours
        covered = f"the source's own outlook for {len(self.outlook.values)} h"
        share = self.outlook.share
        both = covered if share == 1 else f"{1 - share:.0%} {self.ours} and {share:.0%} {covered}"
        return f"{both}, then {self.ours}"

    @property
    def basis(self) -> Basis:
        """What the values measure; `method` says from which hour on they are forecast, and from what."""
        history = self.history
        issued = datetime.fromtimestamp(self.now * 3600, history.issue.tzinfo)
        bridged = (
            f", {history.bridged} missing hours taken from a day or a week before" if history.bridged else ""
        )
        used = self.outlook if self.outlook and self.outlook.share else None
        outlook = f"; {used.words}" if used else ""
        return replace(
            history.basis,
            method=f"forecast from {issued:%Y-%m-%d %H:%M} UTC on: {self.method}; made from "
            f"{len(history.values)} h before it ({history.basis.method}{bridged}){outlook}",
        )

    def values(self, hours: int) -> Floats:
        """Return the forecast of the first `hours` hours, g/kWh."""
        own = self._modelled(np.array([self.now]), hours)[0]
        return own if self.outlook is None else mixed(own, self.outlook.values, self.outlook.share)

    def past_issues(self, hours: int) -> PastIssues:
        """Return past issues over `hours` hours, made as this one is, outlook included."""
        issues = issue_hours(self.now, hours, len(self.history.values), _HISTORY_H)
        outlook = self.outlook
        if outlook is None or not outlook.share:
            return self._issues(issues, self._modelled(issues, hours), hours)
        issues = np.array([issue for issue in issues if int(issue) in outlook.archive], dtype=np.int64)
        own = self._modelled(issues, hours)
        rows = [
            mixed(row, outlook.archive[int(issue)], outlook.share)
            for issue, row in zip(issues, own, strict=True)
        ]
        return self._issues(issues, np.array(rows).reshape(own.shape), hours)

    def described(self) -> dict[str, Any]:
        """Return method, history and error, for the inputs of a plan."""
        past = self.past_issues(COMPARED_H)
        return {
            "method": self.method,
            "historyHours": len(self.history.values),
            "bridgedHours": self.history.bridged,
            "mape": past.mape,
            "issues": len(past),
            "outlook": None if self.outlook is None else self.outlook.note,
        }

    def _issues(self, issues: Ints, forecast: Floats, hours: int) -> PastIssues:
        return PastIssues(issues, forecast, self._slices(issues, 0, hours))

    def _modelled(self, issues: Ints, hours: int) -> Floats:
        if not len(issues):
            return np.zeros((0, hours))
        return self.model.forecast(self._slices(issues, -_HISTORY_H, _HISTORY_H), issues, hours)

    def _slices(self, issues: Ints, offset: int, hours: int) -> Floats:
        first = self.now - len(self.history.values)
        found: Floats = self.history.values[(issues - first + offset)[:, None] + np.arange(hours)]
        return found


def zone_forecast(past: Signal, zone: str, issue: datetime, asked: Asked) -> ZoneForecast | Stopgap:
    """Return a zone's forecast from `issue`, the start of an hour.

    Raises NoIntensity where too little is known; of a live source, only where nothing can stand in.
    """
    try:
        history = read_history(past, zone, issue, least_h=_HISTORY_H, live_h=live_h(asked))
    except NoIntensity as error:
        if not isinstance(past, Ahead):
            raise
        return stopgap(past, zone, issue, error.reason)
    ours = _ours(history, hours_since_epoch(issue), asked)
    if not isinstance(past, Ahead):
        return ours
    outlook = past.outlook(zone, issue)
    if outlook is None:
        return ours
    check_same_factors([history.basis, outlook.basis])
    return replace(ours, outlook=_weighed(ours, past, zone, issue, outlook))


def live_h(asked: Asked) -> int:
    """Return the hours before the issue that are read of a live source: no more than the method can use."""
    return HELD_OUT_H + (_HISTORY_H if asked == "blend" else LEAST_WEEKS * WEEK_H)


def mixed(ours: Floats, outlook: Floats, share: float) -> Floats:
    """Return the geometric mean of two forecasts, `share` the outlook's weight, ours alone past its end."""
    reach = min(len(ours), len(outlook))
    values = ours.copy()
    values[:reach] = _mean(ours[:reach], outlook[:reach], share)
    return values


def _ours(history: History, now: int, asked: Asked) -> ZoneForecast:
    blend = ZoneForecast(history, now, "blend", Blend())
    if asked == "blend":
        return blend
    fitted_on = history.values[:-HELD_OUT_H]
    weeks = len(fitted_on) // WEEK_H
    if weeks < LEAST_WEEKS:
        needed = LEAST_WEEKS * WEEK_H + HELD_OUT_H
        reason = f"blend ({len(history.values)} h are known, a ridge needs {needed} h)"
        return replace(blend, ours=reason)
    model = Ridge(weeks)
    fitted = model.fit(fitted_on[None, -model.history_h :], np.array([now - HELD_OUT_H]))
    ridge = ZoneForecast(history, now, "ridge", fitted)
    return blend if asked == "auto" and _error(blend) * _CLEARLY < _error(ridge) else ridge


def _error(forecast: ZoneForecast) -> float:
    found = forecast.past_issues(COMPARED_H).mape
    return np.inf if found is None else found


def _weighed(ours: ZoneForecast, past: Ahead, zone: str, issue: datetime, outlook: Intensity) -> Outlook:
    """Give the source's outlook the weight that had the smallest error over the past outlooks kept."""
    issues = issue_hours(ours.now, COMPARED_H, len(ours.history.values), _HISTORY_H)
    kept = {int(i): past.outlook(zone, issue - timedelta(hours=int(ours.now - i))) for i in issues}
    archive = {hour: one.gco2_per_kwh for hour, one in kept.items() if one is not None}
    values, words = outlook.gco2_per_kwh, outlook.basis.method
    if len(archive) < LEAST_ISSUES:
        note = (
            f"not used: {len(archive)} of its past issues are kept, and {LEAST_ISSUES} are needed to judge it"
        )
        return Outlook(values, archive, 0.0, note, words)
    errors = errors_by_share(ours.past_issues(COMPARED_H), archive)
    share = best_share(errors)
    note = (
        f"mean error over {len(archive)} past issues: ours {errors[0.0]:.1%}, its own {errors[1.0]:.1%}, "
        f"as weighed {errors[share]:.1%}"
    )
    return Outlook(values, archive, share, note, words)


def errors_by_share(ours: PastIssues, archive: dict[int, Floats]) -> dict[float, float]:
    """Return the error of a mix with past outlooks for each weight these may get.

    It is taken over the hours that the outlooks reached; infinite where all of them were 0 g/kWh. `archive`
    maps the first hour of past issues, counted from 1970, to the outlook of that hour.
    """
    rows = [row for row, hour in enumerate(ours.first_hour.tolist()) if hour in archive]
    hours = ours.forecast.shape[1]
    outlook, own = np.full((2, len(rows), hours), np.nan)
    for at, row in enumerate(rows):
        kept = archive[int(ours.first_hour[row])][:hours]
        outlook[at, : len(kept)] = kept
        own[at, : len(kept)] = ours.forecast[row, : len(kept)]
    actual = ours.actual[rows]
    found = {share: mape(_mean(own, outlook, share), actual) for share in _SHARES}
    return {share: np.inf if error is None else error for share, error in found.items()}


def best_share(errors: dict[float, float]) -> float:
    """Return the outlook's weight with the smallest error; 0 and 1 only where theirs is clearly smaller."""
    return min(errors, key=lambda share: errors[share] * (_CLEARLY if share in (0.0, 1.0) else 1.0))


def _mean(ours: Floats, outlook: Floats, share: float) -> Floats:
    mean: Floats = ours ** (1 - share) * np.maximum(outlook, 0.0) ** share
    return mean
