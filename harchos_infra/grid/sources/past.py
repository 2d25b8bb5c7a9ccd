"""Past hours of a source: as kept while they still stand, else as read now.

An hour stands for good if it was read after the source had settled it (`settled_h`); before, for a quarter of
an hour. One that the source left out is asked for again, after six hours if it should be settled by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from harchos_infra.grid.signal import NoIntensity
from harchos_infra.grid.sources.cache import Cache, Kept
from harchos_infra.grid.sources.hourly import GAP, HOUR_S, hourly
from harchos_infra.grid.sources.reader import FRESH_S, Reader, moment
from harchos_infra.grid.sources.source import Reading

GAP_FRESH_S = 6 * HOUR_S


class Past:
    """Past hours by zone. Hours are counted from 1970."""

    def __init__(self, reader: Reader, cache: Cache) -> None:
        """Read nothing yet."""
        self._reader = reader
        self._cache = cache
        self._known: dict[str, dict[int, Kept]] = {}

    def hours(self, zone: str, first: int, end: int) -> list[Kept | None]:
        """Return what is known of [first, end) by now; None for an hour that was not read."""
        known = self._known.get(zone, {})
        return [known.get(hour) for hour in range(first, end)]

    def load(self, zone: str, first: int, end: int) -> str | None:
        """Make [first, end) known. A failure's reason is returned; None: all of it is known.

        Reading begins with the newest hours and stops at a failure, so that what an account may read is read.
        """
        self._reader.check(zone)
        known = self._known.setdefault(zone, {})
        if all(hour in known for hour in range(first, end)):
            return None
        now_s = int(self._reader.now().timestamp())
        kept = self._cache.hours(zone, first, end)
        known |= {h: k for h, k in kept.items() if h not in known and self._stands(h, k, now_s)}
        missing = [hour for hour in range(first, end) if hour not in known]
        for begin, until in reversed(_calls(missing, self._reader.source.call_h)):
            try:
                found = self._read(zone, begin, until, now_s)
            except NoIntensity as error:
                return error.reason
            new = {hour: entry for hour, entry in found.items() if hour not in known}
            known |= new
            self._cache.keep_hours(zone, new)
        return None

    def is_final(self, hour: int, kept: Kept) -> bool:
        """Tell whether an hour will never be read again."""
        return self._settled(hour, kept.read_s) and kept.hour.gco2_per_kwh is not None

    def _read(self, zone: str, begin: int, until: int, now_s: int) -> dict[int, Kept]:
        source, now = self._reader.source, self._reader.now()
        call = partial(source.history, zone, moment(begin), moment(until), now)
        return _kept(self._reader.ask(zone, f"history to {until}", begin, call), begin, until, now_s)

    def _stands(self, hour: int, kept: Kept, now_s: int) -> bool:
        left_out = kept.hour.gco2_per_kwh is None and self._settled(hour, now_s)
        fresh = 0 <= now_s - kept.read_s < (GAP_FRESH_S if left_out else FRESH_S)
        return fresh or self.is_final(hour, kept)

    def _settled(self, hour: int, by_s: int) -> bool:
        return by_s - (hour + 1) * HOUR_S >= self._reader.source.settled_h * HOUR_S


def _calls(missing: Sequence[int], longest: int) -> list[tuple[int, int]]:
    """Return spans of at most `longest` hours that cover the missing ones, as few as that takes."""
    spans: list[tuple[int, int]] = []
    for hour in missing:
        if spans and hour < spans[-1][0] + longest:
            spans[-1] = spans[-1][0], hour + 1
        else:
            spans.append((hour, hour + 1))
    return spans


def _kept(readings: Iterable[Reading], first: int, end: int, now_s: int) -> dict[int, Kept]:
    found = hourly(readings)
    return {hour: Kept(found.get(hour, GAP), now_s) for hour in range(first, end)}
