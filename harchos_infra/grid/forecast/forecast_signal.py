"""A signal whose hours to come are a forecast from the hours before them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.history import Ahead
from harchos_infra.grid.forecast.stopgap import Stopgap
from harchos_infra.grid.forecast.zone_forecast import ASKED, Asked, ZoneForecast, live_h, zone_forecast
from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Intensity, Signal, hour_of, prefetch

if TYPE_CHECKING:
    from harchos_infra.grid.forecast.issues import PastIssues


class ForecastSignal:
    """A `Signal`: hours before `now` from `past`, the hour of `now` and later ones forecast."""

    def __init__(self, past: Signal, asked: Asked, now: datetime) -> None:
        """Read nothing yet: a zone is read and forecast when it is first asked for."""
        self._past = past
        self._asked: Asked = asked
        self.issued = hour_of(now)
        self._zones: dict[str, ZoneForecast | Stopgap] = {}

    @property
    def name(self) -> str:
        """That of the signal of the past, which tells in the end what came."""
        return self._past.name

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start`; raise NoIntensity without enough history."""
        first = hour_of(start)
        before = hours_since_epoch(self.issued) - hours_since_epoch(first)
        if before >= hours:
            return self._past.intensity(zone, first, hours)
        forecast = self._zone(zone)
        values = forecast.values(hours - before)[max(0, -before) :]
        if before > 0:
            known = self._past.intensity(zone, first, before).gco2_per_kwh
            values = np.concatenate([known, values])
        return Intensity(zone, first, values, forecast.basis)

    def past_issues(self, zone: str, hours: int) -> PastIssues:
        """Return past issues of a zone's forecast over `hours` hours; see `Forecasting`."""
        return self._zone(zone).past_issues(hours)

    def method(self, zone: str) -> str:
        """Return what forecasts a zone: `blend`, `ridge`, or the source with one of them."""
        return self._zone(zone).method

    def zones(self) -> frozenset[str]:
        """Return the zones that the signal of the past knows."""
        return self._past.zones()

    def prefetch(self, zones: Iterable[str], start: datetime, hours: int) -> None:
        """Let the signal of the past read what forecasts of these zones need."""
        before = live_h(self._asked)
        prefetch(self._past, zones, self.issued - timedelta(hours=before), before + 1)

    def fingerprint(self) -> str:
        """Return a sha256 of the past, the method and the hour of issue."""
        said = f"{self._past.fingerprint()} {self._asked} {self.issued.isoformat()}"
        return sha256(said.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what the signal of the past says of itself, and under `forecast` what was forecast how."""
        past = self._past.describe()
        return {
            **past,
            "method": f"{past['method']}; hours from {self.issued:%Y-%m-%d %H:%M} UTC on are a forecast from "
            "those before",
            "fingerprint": self.fingerprint(),
            "forecast": {
                "asked": self._asked,
                "issued": f"{self.issued:%Y-%m-%dT%H:%M:%SZ}",
                "zones": {zone: self._zones[zone].described() for zone in sorted(self._zones)},
            },
        }

    def _zone(self, zone: str) -> ZoneForecast | Stopgap:
        if zone not in self._zones:
            self._zones[zone] = zone_forecast(self._past, zone, self.issued, self._asked)
        return self._zones[zone]


def with_forecast(past: Signal, asked: str | None, now: datetime) -> Signal:
    """Return `past` with hours from `now` on forecast as asked; raise HarchosError for an unknown way.

    What is not asked is not forecast, but for a live source: it knows no hour to come for sure, and gets the
    better of our forecasts.
    """
    if asked is None and not isinstance(past, Ahead):
        return past
    for known in ASKED:
        if known == (asked or "auto"):
            return ForecastSignal(past, known, now)
    raise HarchosError(f"unknown forecast {asked!r}", hint=f"one of {', '.join(ASKED)}")
