"""A zone's history, as a forecast may read it: hours that were known at the time, and how gaps are bridged.

A missing hour takes the value a day before it, or a week before it where more than a day is missing in a row;
the forecast says how many did. A history begins after its last gap of more than a week, with a week that
lacks nothing, and is refused where more than one hour in twenty is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from harchos_infra.grid.forecast.naive import DAY_H, WEEK_H
from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HOUR_S = 3600
MOST_WEEKS = 134
REPLAYED_WEEKS = 44
"""A replayed year comes round again: more of it would hold the very hours that are to be forecast."""
_MOST_MISSING = 0.05


@runtime_checkable
class Recorded(Protocol):
    """A signal whose figures are of the hours they stand for within a span, and replayed outside it."""

    def covered(self, zone: str) -> tuple[datetime, datetime]:
        """Return the first hour of the zone's record and the hour after its last."""
        ...


@runtime_checkable
class Gappy(Protocol):
    """A signal that gives past hours with their gaps."""

    def history(self, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
        """Return past hours from the hour of `start`, NaN where there is none."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """A source that forecasts itself; asked for a past hour it gives the outlook that was known then."""

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        """Return the forecast from the hour of `now`, as long as it is; None where there is none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Hourly values in g/kWh up to the hour before `issue`, none missing any more; `bridged` of them were."""

    issue: datetime
    values: Floats
    bridged: int
    basis: Basis


def read_history(past: Signal, zone: str, issue: datetime, *, least_h: int, live_h: int) -> History:
    """Return what `past` knows of a zone before `issue`, the start of an hour: whole days, `least_h` or more.

    Of a live source no more than `live_h` are read: they cost calls. Raises NoIntensity where less is known.
    """
    start = _start(past, zone, issue, least_h, live_h)
    hours = hours_since_epoch(issue) - hours_since_epoch(start)
    if isinstance(past, Gappy):
        known = past.history(zone, start, hours)
        last = past.intensity(zone, issue - timedelta(hours=_last_known(known, zone)), 1)
        basis = replace(last.basis, method=f"as {past.name} tells them")
    else:
        read = past.intensity(zone, start, hours)
        if read.step_s != HOUR_S:
            raise NoIntensity(zone, f"forecasts are hourly, and {past.name} has a step of {read.step_s} s")
        known, basis = read.gco2_per_kwh, read.basis
    values, bridged = bridge(known)
    if len(values) < least_h:
        raise _too_short(zone, issue, len(values), least_h)
    return History(issue, values[len(values) % DAY_H :], bridged, basis)


def bridge(values: Floats) -> tuple[Floats, int]:
    """Return the end of `values` (hours, NaN where missing) with its gaps bridged, and how many hours were.

    The rule is the module's. Empty where more hours are missing than it allows.
    """
    missing = np.isnan(values)
    begin = max((end for first, end in _gaps(missing) if end - first > WEEK_H), default=0)
    while missing[begin : begin + WEEK_H].any():
        begin += int(np.flatnonzero(missing[begin : begin + WEEK_H])[-1]) + 1
    kept = values[begin:].copy()
    bridged = int(missing[begin:].sum())
    if bridged > _MOST_MISSING * len(kept):
        return kept[:0], 0
    for first, end in _gaps(missing[begin:]):
        back = DAY_H if end - first <= DAY_H else WEEK_H
        kept[first:end] = kept[first - back : end - back]
    return kept, bridged


def _gaps(missing: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first hour and end of each run of missing hours."""
    edges = np.flatnonzero(np.diff(missing.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _start(past: Signal, zone: str, issue: datetime, least_h: int, live_h: int) -> datetime:
    if isinstance(past, (Gappy, Ahead)):
        return issue - timedelta(hours=live_h)
    if isinstance(past, Recorded):
        first, end = past.covered(zone)
        if first <= issue <= end:
            hours = hours_since_epoch(issue) - hours_since_epoch(first)
            if hours < least_h:
                raise _too_short(zone, issue, hours, least_h)
            return issue - timedelta(hours=min(hours, MOST_WEEKS * WEEK_H))
    return issue - timedelta(hours=REPLAYED_WEEKS * WEEK_H)


def _last_known(known: Floats, zone: str) -> int:
    """Return how many hours before the issue the last known hour lies."""
    there = np.flatnonzero(~np.isnan(known))
    if not len(there):
        raise NoIntensity(zone, "no past hour is known, so that nothing can be forecast from")
    return len(known) - int(there[-1])


def _too_short(zone: str, issue: datetime, hours: int, least_h: int) -> NoIntensity:
    return NoIntensity(
        zone,
        f"{hours} h without a long gap are known before {issue.astimezone(UTC):%Y-%m-%d %H:%MZ}, "
        f"and a forecast needs {least_h} h",
    )
