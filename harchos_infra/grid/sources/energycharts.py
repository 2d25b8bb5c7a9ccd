"""Energy-Charts API (Fraunhofer ISE): average intensity of European countries, in quarters of an hour.

`/co2eq` has the measured series and, to the end of the day ahead, `co2eq_forecast`, each with nulls where the
other is. Its page does not say which emission factors it uses nor how it counts imports, so both are
`unstated` and its figures are compared with no other signal's. It knows countries, no bidding zones.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.source import Reading, SourceError, number, utc, with_spans

URL = "https://api.energy-charts.info"
_AHEAD = timedelta(hours=48)
COUNTRIES = (
    "AL",
    "AT",
    "BA",
    "BE",
    "BG",
    "CH",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GE",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MD",
    "ME",
    "MK",
    "NL",
    "NO",
    "PL",
    "PT",
    "RO",
    "RS",
    "SE",
    "SI",
    "SK",
    "UA",
    "XK",
)
"""Zones that are whole countries; Energy-Charts takes the code in lower case."""


class EnergyCharts:
    """The source `energycharts`."""

    name = "energycharts"
    basis = Basis(
        "average",
        "unstated",
        "unstated",
        "Energy-Charts API, Fraunhofer ISE (CC BY 4.0)",
        "quarters of an hour averaged to hours; its forecast, estimated, where nothing was measured",
    )
    settled_h = 72
    call_h = 30 * 24
    coverage = "European countries as a whole"

    def __init__(self, http: Http, url: str = URL) -> None:
        """Ask nothing yet; no key is needed."""
        self._http = http
        self._url = url.rstrip("/")

    def zones(self) -> frozenset[str]:
        """Return the zones that are whole countries."""
        return frozenset(COUNTRIES)

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return the measured quarters; where one is missing, what had been forecast, estimated."""
        return self._series(zone, start, end)

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return the day-ahead forecast, after what has been measured of the present hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        return [Reading(r.start_s, r.span_s, r.gco2_per_kwh) for r in self._series(zone, hour, now + _AHEAD)]

    def _series(self, zone: str, start: datetime, end: datetime) -> list[Reading]:
        span = (("country", zone.lower()), ("start", utc(start)), ("end", utc(end)))
        answer = self._http.get(f"{self._url}/co2eq", span)
        document = answer.json() if answer.status == 200 else None
        if not isinstance(document, dict):
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        times, measured, forecast = (
            _list(document, key) for key in ("unix_seconds", "co2eq", "co2eq_forecast")
        )
        measured, forecast = measured or [None] * len(times), forecast or [None] * len(times)
        if not len(times) == len(measured) == len(forecast):
            raise SourceError(f"lists of {len(times)}, {len(measured)} and {len(forecast)} values")
        points = []
        for time, value, ahead in zip(times, measured, forecast, strict=True):
            if not isinstance(time, int) or isinstance(time, bool):
                raise SourceError(f"{str(time)[:40]!r} is not a time in seconds")
            known = number(value, self.name)
            points.append((time, number(ahead, self.name) if known is None else known, known is None))
        return with_spans(points, self.name)


def _list(document: dict[str, Any], key: str) -> list[Any]:
    found = document.get(key) or []
    if not isinstance(found, list):
        raise SourceError(f"{key} is not a list")
    return found
