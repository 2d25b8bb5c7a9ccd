"""WattTime API v3: the marginal operating emissions rate (MOER) of CO2, in steps of five minutes.

A marginal figure answers another question than an average one (what one more kWh causes, not what a kWh
carries), so its `Basis` is a kind of its own and never meets an average. Pounds per MWh become g/kWh by
0.45359237. WattTime's regions are found by coordinates: a zone's are those of its first cloud region by name,
and the region found stands in the plan. A login lasts 30 minutes; it is renewed before, or once it is
refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from threading import Lock
from typing import Any

from harchos_infra.grid.signal import Basis
from harchos_infra.grid.sources.cache import Cache
from harchos_infra.grid.sources.hourly import HOUR_S
from harchos_infra.grid.sources.http import Answer, Http, Params
from harchos_infra.grid.sources.source import (
    Reading,
    RefusedError,
    SourceError,
    number,
    rows,
    same_zone,
    seconds,
    utc,
)

URL = "https://api.watttime.org"
GCO2_PER_KWH = 0.45359237
"""Of one pound per MWh."""
HORIZON_H = 72
TOKEN_S = 25 * 60.0
_SIGNAL = "co2_moer"
_UNITS = "lbs_co2_per_mwh"


class WattTime:
    """The source `watttime`."""

    name = "watttime"
    basis = Basis(
        "marginal",
        "direct",
        "consumption",
        "WattTime API v3, MOER (under the terms of one's own account)",
        "five-minute marginal rate averaged to hours, WattTime's region by coordinates",
    )
    settled_h = 24
    call_h = 30 * 24
    coverage = "zones with a cloud region, whose coordinates it is asked by"

    def __init__(
        self,
        http: Http,
        user: str,
        password: str,
        url: str = URL,
        *,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet; `cache` remembers region names, `clock` (s) times the login."""
        http.keep_secret(password)
        self._http = http
        self._login = user, password
        self._url = url.rstrip("/")
        self._cache = cache or Cache(None, self.name)
        self._clock = clock
        self._regions: dict[str, str] = {}
        self._token: tuple[str, float] | None = None
        self._lock = Lock()

    def zones(self) -> frozenset[str]:
        """Return the zones that a cloud region lies in."""
        return frozenset(coordinates())

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return the rate of past hours."""
        return self._series(zone, "historical", ("start", utc(start)), ("end", utc(end)))

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return the forecast, after what has been of the present hour."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        begun = self._series(
            zone, "historical", ("start", utc(hour)), ("end", utc(hour + timedelta(hours=1)))
        )
        forecast = self._series(zone, "forecast", ("horizon_hours", str(HORIZON_H)))
        begins = min((reading.start_s for reading in forecast), default=0)
        return [*(reading for reading in begun if reading.start_s < begins), *forecast]

    def region(self, zone: str) -> str:
        """Return the name of WattTime's region at the zone's coordinates."""
        place, latitude, longitude = coordinates()[zone]
        known = self._regions.get(place) or self._cache.facts().get(place)
        if isinstance(known, str):
            return known
        at = (("latitude", latitude), ("longitude", longitude), ("signal_type", _SIGNAL))
        answer = self._get("v3/region-from-loc", at)
        if answer.status == 404:
            raise SourceError(f"no WattTime region at {place} ({latitude}, {longitude})")
        document = self._checked(answer)
        region = document.get("region")
        if not isinstance(region, str) or not region:
            raise SourceError(f"{answer.place} names no region")
        self._regions[place] = region
        self._cache.keep_fact(place, region)
        return region

    def _series(self, zone: str, call: str, *params: tuple[str, str]) -> list[Reading]:
        region = self.region(zone)
        asked = (("region", region), ("signal_type", _SIGNAL), *params)
        document = self._checked(self._get(f"v3/{call}", asked))
        meta = document.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        same_zone(region, meta.get("region"), self.name)
        for key, expected in (("units", _UNITS), ("signal_type", _SIGNAL)):
            if meta.get(key, expected) != expected:
                raise SourceError(f"{key} {str(meta[key])[:40]!r}, {expected!r} was expected")
        step_s = meta.get("data_point_period_seconds", 300)
        if not isinstance(step_s, int) or not 0 < step_s <= HOUR_S or HOUR_S % step_s:
            raise SourceError(f"a step of {str(step_s)[:20]} s does not divide an hour")
        return [
            Reading(seconds(row.get("point_time"), self.name), step_s, _grams(row.get("value"), self.name))
            for row in rows(document, "data", self.name)
        ]

    def _get(self, call: str, params: Params) -> Answer:
        """Ask with the token; with a new one, once, where it is refused."""
        token = self._bearer()
        answer = self._asked(call, params, token)
        if answer.status == 401:
            answer = self._asked(call, params, self._bearer(refused=token))
        return answer

    def _asked(self, call: str, params: Params, token: str) -> Answer:
        return self._http.get(f"{self._url}/{call}", params, headers={"Authorization": f"Bearer {token}"})

    def _bearer(self, *, refused: str | None = None) -> str:
        """Return the token; a new one where there is none, it is old, or it is the one just refused."""
        with self._lock:
            held = self._token
            if held is None or held[0] == refused or self._clock() - held[1] > TOKEN_S:
                held = self._token = self._new_token(), self._clock()
            return held[0]

    def _new_token(self) -> str:
        answer = self._http.get(f"{self._url}/login", auth=self._login)
        if answer.status in (401, 403):
            raise RefusedError(f"{answer.place} refused user and password ({answer.status}): {answer.said}")
        token = self._checked(answer).get("token")
        if not isinstance(token, str) or not token:
            raise SourceError(f"{answer.place} gave no token")
        self._http.keep_secret(token)
        return token

    def _checked(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (401, 403):
            raise SourceError(f"{answer.place} refused ({answer.status}): {answer.said}")
        document = answer.json() if answer.status == 200 else None
        if not isinstance(document, dict):
            raise SourceError(f"{answer.place} answered {answer.status}: {answer.said}")
        return document


def _grams(value: Any, what: str) -> float | None:
    pounds = number(value, what)
    return None if pounds is None else pounds * GCO2_PER_KWH


@cache
def coordinates() -> dict[str, tuple[str, str, str]]:
    """Return of each zone its first cloud region by name, with latitude and longitude in degrees."""
    from harchos_infra.catalog import Catalog

    found: dict[str, tuple[str, str, str]] = {}
    for region in sorted(Catalog.builtin().regions.values(), key=lambda region: region.id):
        if region.zone is not None:
            found.setdefault(region.zone, (region.id, f"{region.latitude:g}", f"{region.longitude:g}"))
    return found
