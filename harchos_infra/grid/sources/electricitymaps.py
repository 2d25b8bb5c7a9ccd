"""Electricity Maps API v3: average life-cycle intensity, consumption-based, of every zone of the catalogue.

`/history` has the last 24 hours and `/past-range` up to ten days a call; `/forecast` up to 72 hours, and
`/latest` the present hour. What an account may ask for stands in `/zones`, which is read first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.http import Answer, Http
from harchos_infra.grid.sources.source import (
    Reading,
    RefusedError,
    SourceError,
    number,
    rows,
    same_zone,
    seconds,
    utc,
    with_spans,
)

URL = "https://api.electricitymaps.com/v3"
HORIZON_H = 72
_RECENT = timedelta(hours=24)
_CALL = "carbon-intensity/"


class ElectricityMaps:
    """The source `electricitymaps`."""

    name = "electricitymaps"
    basis = Basis(
        "average",
        "life-cycle",
        "consumption",
        "Electricity Maps API v3 (under the terms of one's own account)",
        "hourly history, estimates marked as such",
    )
    settled_h = 48
    call_h = 240
    coverage = "its own zones, 355 of them"

    def __init__(self, http: Http, token: str, url: str = URL) -> None:
        """Ask nothing yet."""
        http.keep_secret(token)
        self._http = http
        self._headers = {"auth-token": token}
        self._url = url.rstrip("/")
        self._access: dict[str, frozenset[str]] | None = None
        self._lock = Lock()

    def zones(self) -> frozenset[str]:
        """Return the zones of the built-in replay, which are Electricity Maps' own keys."""
        return builtin_replay().zones()

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return hourly values; the last 24 hours need no more than a free account."""
        if start >= now - _RECENT:
            self._check(zone, "history")
            return self._series(zone, self._get(zone, "history"), "history")
        self._check(zone, "past-range")
        span = (("start", utc(start)), ("end", utc(end)))
        return self._series(zone, self._get(zone, "past-range", *span), "data")

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return the forecast, with the latest value where it begins after the present hour."""
        self._check(zone, "forecast")
        document = self._get(zone, "forecast", ("horizonHours", str(HORIZON_H)))
        forecast = self._series(zone, document, "forecast")
        hour_s = int(now.timestamp()) // 3600 * 3600
        if any(reading.start_s <= hour_s < reading.start_s + reading.span_s for reading in forecast):
            return forecast
        latest = self._get(zone, "latest")
        return [*self._series(zone, {"zone": latest.get("zone"), "latest": [latest]}, "latest"), *forecast]

    def _check(self, zone: str, call: str) -> None:
        """Raise SourceError if `/zones` says that this account may not; without a list, anything may be."""
        with self._lock:
            if self._access is None:
                self._access = self._read_access()
        if not self._access:
            return
        if zone not in self._access:
            raise SourceError(f"this token has no access to zone {zone}")
        calls = {entry for entry in self._access[zone] if _CALL in entry}
        if calls and not any(entry.rstrip("*").endswith((_CALL, _CALL + call)) for entry in calls):
            raise SourceError(f"this token has no access to {_CALL}{call} of zone {zone}")

    def _read_access(self) -> dict[str, frozenset[str]]:
        try:
            document = self._checked(self._http.get(f"{self._url}/zones", headers=self._headers))
        except RefusedError:
            raise
        except SourceError:
            return {}
        return {
            zone: frozenset(map(str, entry.get("access") or ()))
            for zone, entry in document.items()
            if isinstance(entry, dict)
        }

    def _get(self, zone: str, call: str, *params: tuple[str, str]) -> dict[str, Any]:
        asked = (
            ("zone", zone),
            ("shouldUseFallbackCallerLookup", "false"),
            ("emissionFactorType", "lifecycle"),
            *params,
        )
        return self._checked(self._http.get(f"{self._url}/{_CALL}{call}", asked, headers=self._headers))

    def _checked(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (401, 403):
            about_one = "zonekey" in answer.said.lower() or "not available" in answer.said.lower()
            kind = SourceError if about_one else RefusedError
            raise kind(f"{answer.place} refused the token ({answer.status}): {answer.said}")
        document = answer.json() if answer.status == 200 else None
        if not isinstance(document, dict) or "error" in document:
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        return document

    def _series(self, zone: str, document: dict[str, Any], key: str) -> list[Reading]:
        same_zone(zone, document.get("zone"), self.name)
        points = []
        for row in rows(document, key, self.name):
            same_zone(zone, row.get("zone"), self.name)
            factors = row.get("emissionFactorType", document.get("emissionFactorType"))
            if factors not in (None, "lifecycle"):
                raise SourceError(f"asked for life-cycle factors, answered with {str(factors)[:20]}")
            value = number(row.get("carbonIntensity"), self.name)
            points.append((seconds(row.get("datetime"), self.name), value, row.get("isEstimated") is True))
        return with_spans(points, self.name)
