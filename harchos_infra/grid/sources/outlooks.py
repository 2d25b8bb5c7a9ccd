"""A source's own forecasts: the present one, fresh for a quarter of an hour, and the ones kept of the past.

An outlook begins with the present hour and ends before its first gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from harchos_infra.grid.signal import NoIntensity
from harchos_infra.grid.sources.cache import Cache, Outlook
from harchos_infra.grid.sources.hourly import HOUR_S, Hour, hourly
from harchos_infra.grid.sources.reader import FRESH_S, Reader

KNOWN_S = 6 * HOUR_S
"""An outlook read longer ago than this is not taken for what was known at a past time."""


class Outlooks:
    """Outlooks by zone."""

    def __init__(self, reader: Reader, cache: Cache) -> None:
        """Read nothing yet."""
        self._reader = reader
        self._cache = cache
        self._present: dict[str, Outlook | None] = {}
        self._missing: dict[str, str] = {}

    def present(self, zone: str) -> Outlook | None:
        """Return the outlook that covers the present hour; None without one, and `why_not` says why."""
        self._reader.check(zone)
        if zone not in self._present:
            self._present[zone] = self._kept(zone) or self._read(zone)
        return self._present[zone]

    def read(self, zone: str) -> Outlook | None:
        """Return the outlook if it has been read by now."""
        return self._present.get(zone)

    def why_not(self, zone: str) -> str | None:
        """Return why a zone has no outlook."""
        return self._missing.get(zone)

    def known_at(self, zone: str, then: datetime) -> Outlook | None:
        """Return the last outlook that had been read by a past time."""
        then_s = int(then.timestamp())
        found = self._cache.outlook(zone, read_by_s=then_s)
        return found if found is not None and then_s - found.read_s <= KNOWN_S else None

    def _kept(self, zone: str) -> Outlook | None:
        now_s = int(self._reader.now().timestamp())
        found = self._cache.outlook(zone, read_by_s=now_s)
        fresh = found is not None and now_s - found.read_s < FRESH_S
        return found if fresh and found and found.first <= self._reader.present() < found.end else None

    def _read(self, zone: str) -> Outlook | None:
        source, now, present = self._reader.source, self._reader.now(), self._reader.present()
        try:
            readings = self._reader.ask(zone, "outlook", present, lambda: source.outlook(zone, now))
        except NoIntensity as error:
            self._missing[zone] = error.reason
            return None
        if readings is None:
            self._missing[zone] = f"{source.name} makes no forecast"
            return None
        values = _until_gap(hourly(readings), present)
        if not values:
            self._missing[zone] = f"{source.name}: its outlook has no figure for the present hour"
            return None
        outlook = Outlook(int(now.timestamp()), present, tuple(values))
        self._cache.keep_outlook(zone, outlook)
        return outlook


def _until_gap(hours: Mapping[int, Hour], first: int) -> list[float]:
    values: list[float] = []
    while (value := hours.get(first + len(values), Hour(None)).gco2_per_kwh) is not None:
        values.append(value)
    return values
