"""GB Carbon Intensity API (NESO): average direct intensity of Great Britain and its regions, by half-hours.

Zone `GB` is the whole island, `GB-1` to `GB-17` are the regions as NESO numbers them (`GB-13` London, `GB-14`
South East England). For the island a past half-hour has an `actual` value, else its forecast, estimated; a
region has forecasts only. Imports are counted with the factors of where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.source import (
    Reading,
    SourceError,
    number,
    rows,
    same_zone,
    seconds,
    utc,
)

URL = "https://api.carbonintensity.org.uk"
_HALF_HOUR_S = 1800
REGIONS = {f"GB-{number}": number for number in range(1, 18)}


class GreatBritain:
    """The source `gb`."""

    name = "gb"
    basis = Basis(
        "average",
        "direct",
        "consumption",
        "Carbon Intensity API, NESO (CC BY 4.0)",
        "half-hours averaged to hours, the actual value where there is one",
    )
    settled_h = 24
    call_h = 13 * 24
    coverage = "GB and GB-1 to GB-17"

    def __init__(self, http: Http, url: str = URL) -> None:
        """Ask nothing yet; no key is needed."""
        self._http = http
        self._url = url.rstrip("/")

    def zones(self) -> frozenset[str]:
        """Return `GB` and its regions."""
        return frozenset({"GB", *REGIONS})

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return the half-hours of past hours."""
        region = REGIONS.get(zone)
        span = f"intensity/{utc(start)}/{utc(end)}"
        return self._series(zone, f"regional/{span}/regionid/{region}" if region else span)

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return 48 hours from the present half-hour, after what has been of the present hour."""
        region = REGIONS.get(zone)
        span = f"intensity/{utc(now.replace(minute=0, second=0, microsecond=0))}/fw48h"
        forecast = self._series(zone, f"regional/{span}/regionid/{region}" if region else span)
        return [Reading(r.start_s, r.span_s, r.gco2_per_kwh) for r in forecast]

    def _series(self, zone: str, call: str) -> list[Reading]:
        answer = self._http.get(f"{self._url}/{call}", headers={"Accept": "application/json"})
        document = answer.json() if answer.status == 200 else None
        if not isinstance(document, dict) or "error" in document:
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        if zone in REGIONS:
            document = self._region(zone, document)
        if not document.get("data"):
            raise SourceError(f"{answer.place} answered 200 without data")
        return [self._reading(row) for row in rows(document, "data", self.name)]

    def _region(self, zone: str, document: dict[str, Any]) -> dict[str, Any]:
        """Return the part of the region: `data` is an object, or a list of one."""
        found = document.get("data")
        if isinstance(found, list):
            found = found[0] if found else {}
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise SourceError("the answer has no region")
        if found:
            same_zone(str(REGIONS[zone]), found.get("regionid"), self.name)
        return found

    def _reading(self, row: Any) -> Reading:
        start_s, end_s = seconds(row.get("from"), self.name), seconds(row.get("to"), self.name)
        if end_s - start_s != _HALF_HOUR_S:
            raise SourceError(f"a span of {end_s - start_s} s, half an hour was expected")
        given = row.get("intensity")
        given = given if isinstance(given, dict) else {}
        actual = number(given.get("actual"), self.name)
        if actual is not None:
            return Reading(start_s, _HALF_HOUR_S, actual)
        return Reading(start_s, _HALF_HOUR_S, number(given.get("forecast"), self.name), estimated=True)
