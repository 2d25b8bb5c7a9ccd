"""EIA API v2: hourly generation per fuel of United States balancing authorities, times our factors.

EIA's `period` is the end of an hour, in UTC; here an hour is named by its beginning. There is no forecast,
and the last hours come late: a plan of hours to come needs a forecast of ours. Average, life-cycle,
production-based (`mix.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.hourly import HOUR_S
from harchos_infra.grid.sources.http import Answer, Http
from harchos_infra.grid.sources.mix import SOURCE, STORAGE, fuel_of, intensity_of_mix
from harchos_infra.grid.sources.source import Reading, RefusedError, SourceError, rows, same_zone

URL = "https://api.eia.gov/v2"
PAGE = 5000
FUELS = {
    "BIO": "biomass",
    "COL": "coal",
    "GEO": "geothermal",
    "NG": "gas",
    "NUC": "nuclear",
    "OIL": "oil",
    "OTH": "other",
    "SNB": "solar",
    "SUN": "solar",
    "UNK": "other",
    "WAT": "hydro",
    "WNB": "wind",
    "WND": "wind",
    "BAT": STORAGE,
    "OES": STORAGE,
    "PS": STORAGE,
    "UES": STORAGE,
}
_NO_RESPONDENT = frozenset({"US-HI-OA", "US-AK-SEAPA"})


class Eia:
    """The source `eia`."""

    name = "eia"
    basis = Basis(
        "average",
        "life-cycle",
        "production",
        f"US EIA API v2, form EIA-930 (public domain); {SOURCE}",
        "hourly generation mix x factors, storage and imports left out",
    )
    settled_h = 72
    call_h = 30 * 24
    coverage = "balancing authorities of the contiguous United States"

    def __init__(self, http: Http, key: str, url: str = URL) -> None:
        """Ask nothing yet."""
        if key != "DEMO_KEY":
            http.keep_secret(key)
        self._http = http
        self._key = key
        self._url = url.rstrip("/")

    def zones(self) -> frozenset[str]:
        """Return the zones whose key ends in EIA's code of a balancing authority."""
        return frozenset(zone for zone in builtin_replay().zones() if respondent(zone))

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return the intensity of the mix of each hour."""
        code = respondent(zone) or ""
        steps: dict[int, dict[str, float | None]] = {}
        for row in self._rows(code, start + timedelta(hours=1), end):
            same_zone(code, row.get("respondent"), self.name)
            start_s = _period(row.get("period"), self.name) - HOUR_S
            fuel = fuel_of(str(row.get("fueltype")), FUELS, self.name)
            energy = _energy(row.get("value"), self.name)
            mix = steps.setdefault(start_s, {})
            before = mix.get(fuel, 0.0)
            mix[fuel] = None if energy is None or before is None else before + energy
        return intensity_of_mix(steps, HOUR_S)

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return None: EIA forecasts demand, not generation."""
        return None

    def _rows(self, code: str, first: datetime, last: datetime) -> list[Any]:
        found: list[Any] = []
        while True:
            response = self._page(code, first, last, len(found))
            page = rows(response, "data", self.name)
            found += page
            if not page or len(found) >= int(str(response.get("total") or 0)):
                return found

    def _page(self, code: str, first: datetime, last: datetime, offset: int) -> dict[str, Any]:
        asked = (
            ("api_key", self._key),
            ("frequency", "hourly"),
            ("data[0]", "value"),
            ("facets[respondent][]", code),
            ("start", f"{first.astimezone(UTC):%Y-%m-%dT%H}"),
            ("end", f"{last.astimezone(UTC):%Y-%m-%dT%H}"),
            ("sort[0][column]", "period"),
            ("sort[0][direction]", "asc"),
            ("offset", str(offset)),
            ("length", str(PAGE)),
        )
        document = self._checked(self._http.get(f"{self._url}/electricity/rto/fuel-type-data/data/", asked))
        response = document.get("response")
        if not isinstance(response, dict):
            raise SourceError("the answer has no response")
        return response

    def _checked(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (401, 403):
            raise RefusedError(f"{answer.place} refused the key ({answer.status}): {answer.said}")
        document = answer.json() if answer.status == 200 else None
        if not isinstance(document, dict) or "error" in document:
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        return document


def respondent(zone: str) -> str | None:
    """Return EIA's code of the balancing authority, the last part of the zone's key; None without one."""
    match = re.fullmatch(r"US-[A-Z]+-([A-Z]+)", zone)
    return match[1] if match and zone not in _NO_RESPONDENT else None


def _period(text: Any, what: str) -> int:
    try:
        moment = datetime.strptime(str(text), "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        raise SourceError(f"{what}: {str(text)[:40]!r} is not an hour") from None
    return int(moment.timestamp())


def _energy(value: Any, what: str) -> float | None:
    """Return MWh, negative where a plant takes more than it gives."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SourceError(f"{what}: {str(value)[:40]!r} is not an amount of energy") from None
