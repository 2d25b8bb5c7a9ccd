"""A live source as a signal: past hours from its history, hours to come from its own outlook.

The present hour belongs to the outlook. A span that reaches past the outlook is refused with the horizon,
never padded. What was read once in this process is not read again, so that the parts of one plan agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Intensity, NoIntensity, ShortHorizon, hour_of
from harchos_infra.grid.sources.cache import Cache, Kept, Outlook
from harchos_infra.grid.sources.outlooks import Outlooks
from harchos_infra.grid.sources.past import Past
from harchos_infra.grid.sources.reader import Reader, moment
from harchos_infra.grid.sources.source import Source, utc

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORKERS = 8


class LiveSignal:
    """A `Signal` over a live source, with the source's own outlook."""

    def __init__(
        self,
        source: Source,
        cache: Cache,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read nothing yet. `clock` gives the present; `say` hears of progress that takes over a second."""
        self._source = source
        self._cache = cache
        self._clock = clock
        self._say = say
        self._reader = Reader(source, clock)
        self._past = Past(self._reader, cache)
        self._outlooks = Outlooks(self._reader, cache)
        self._given: dict[tuple[str, int, int], str] = {}
        self._read: dict[str, tuple[int, int]] = {}
        self._estimated: dict[str, int] = {}

    @property
    def name(self) -> str:
        """As in `--signal`."""
        return self._source.name

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start`; raise NoIntensity where one is missing."""
        first, present = hours_since_epoch(hour_of(start)), self._reader.present()
        end, estimated = first + hours, 0
        values: list[float] = []
        notes: list[str] = []
        if first < present:
            known = self._known(zone, first, min(end, present))
            values += self._without_gap(zone, known, first)
            estimated = sum(kept.hour.estimated for kept in known)
            notes.append(_history(len(known), estimated))
            self._estimated[zone] = max(self._estimated.get(zone, 0), estimated)
        if end > present:
            outlook = self._covering(zone, first, end)
            begin = max(first, present)
            values += outlook.gco2_per_kwh[begin - outlook.first : end - outlook.first]
            notes.append(_words(outlook, end - begin))
        return self._intensity(zone, first, values, "; ".join(notes), estimated=estimated > 0)

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        """Return the source's forecast from the hour of `now` as far as it reaches; None where it has none.

        For a `now` in the past it is the last one that had been read by then.
        """
        hour = hours_since_epoch(hour_of(now))
        if zone not in self._reader.zones:
            return None
        past = hour < self._reader.present()
        found = self._outlooks.known_at(zone, now) if past else self._outlooks.present(zone)
        if found is None or not found.first <= hour < found.end:
            return None
        values = found.gco2_per_kwh[hour - found.first :]
        self._note_age(zone, [] if past else [found.read_s])
        return self._intensity(zone, hour, values, _words(found, len(values)), estimated=False)

    def history(self, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
        """Return hours from the hour of `start`, NaN where the source has none and from the present on.

        Raises NoIntensity where it has none at all.
        """
        first = hours_since_epoch(hour_of(start))
        why = self._past.load(zone, first, min(first + hours, self._reader.present()))
        known = self._past.hours(zone, first, first + hours)
        values = np.array([_value(kept) for kept in known])
        if np.isnan(values).all():
            raise NoIntensity(zone, why or f"{self.name} has no figure for {hours} h before the present")
        self._note_past(zone, known, first)
        return values

    def prefetch(self, zones: Iterable[str], start: datetime, hours: int) -> None:
        """Read many zones at once: their past hours in the span, and the outlook if it reaches the present.

        Failures are kept, and met again when the zone is asked for.
        """
        first, present = hours_since_epoch(hour_of(start)), self._reader.present()

        def read(zone: str) -> None:
            self._past.load(zone, first, min(first + hours, present))
            if first + hours >= present:
                self._outlooks.present(zone)

        wanted = sorted(self._reader.zones.intersection(zones))
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=self.name)
        try:
            waiting = {pool.submit(read, zone) for zone in wanted}
            timeout_s = 1.0
            while waiting:
                done, waiting = wait(waiting, timeout=timeout_s)
                for future in done:
                    future.result()
                if waiting:
                    self._say(f"{self.name}: {len(wanted) - len(waiting)} of {len(wanted)} zones read")
                timeout_s = 3.0
        finally:
            pool.shutdown(cancel_futures=True)

    def zones(self) -> frozenset[str]:
        """Return the zones that the source can be asked for."""
        return self._reader.zones

    def fingerprint(self) -> str:
        """Return a sha256 of every figure given out so far."""
        digest = sha256(self._source.basis.quantity.encode())
        for key, given in sorted(self._given.items()):
            digest.update(f"{key}{given}".encode())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return name, source and quantity, and of each zone its age and how far its outlook goes."""
        now_s = int(self._clock().timestamp())
        oldest_s = min((since for since, _ in self._read.values()), default=now_s)
        age_s, unwritable = max(now_s - oldest_s, 0), self._cache.unwritable
        return {
            "name": self.name,
            "source": self._source.basis.source,
            "asOf": utc(datetime.fromtimestamp(oldest_s, UTC)),
            "ageSeconds": age_s,
            "method": f"live: {self._source.basis.method}; its own outlook for hours to come; "
            f"figures that may still change were read up to {age_s // 60} min ago",
            "quantity": self._source.basis.quantity,
            "fingerprint": self.fingerprint(),
            "zones": {zone: self._age(zone, now_s) for zone in sorted(self._read)},
            "warnings": [f"{self.name}: nothing is kept: {unwritable}"] if unwritable else [],
        }

    def _age(self, zone: str, now_s: int) -> dict[str, Any]:
        since, until = self._read[zone]
        outlook = self._outlooks.read(zone)
        return {
            "read": utc(datetime.fromtimestamp(until, UTC)),
            "ageSeconds": max(now_s - since, 0),
            "estimatedHours": self._estimated.get(zone, 0),
            "outlookEnds": utc(moment(outlook.end)) if outlook else None,
            "noOutlook": self._outlooks.why_not(zone),
        }

    def _known(self, zone: str, first: int, end: int) -> list[Kept]:
        why = self._past.load(zone, first, end)
        if why is not None:
            raise NoIntensity(zone, why)
        known = self._past.hours(zone, first, end)
        self._note_past(zone, known, first)
        return [kept for kept in known if kept is not None]

    def _without_gap(self, zone: str, known: Sequence[Kept], first: int) -> list[float]:
        values = [kept.hour.gco2_per_kwh for kept in known]
        gaps = [first + place for place, value in enumerate(values) if value is None]
        if gaps:
            what = f"no figure for {len(gaps)} of {len(values)} h, first {utc(moment(gaps[0]))}"
            raise NoIntensity(zone, f"{self.name} has {what}")
        return [value for value in values if value is not None]

    def _covering(self, zone: str, first: int, end: int) -> Outlook:
        """Return an outlook that reaches to `end`; raise ShortHorizon with what there is."""
        outlook = self._outlooks.present(zone)
        if outlook is None:
            there = max(self._reader.present() - first, 0)
            raise ShortHorizon(zone, f"no outlook: {self._outlooks.why_not(zone)}", there)
        if outlook.end < end:
            short = f"{end - outlook.end} h short of the {end - first} h wanted"
            reason = f"{self.name}: its outlook ends {utc(moment(outlook.end))}, {short}"
            raise ShortHorizon(zone, reason, max(outlook.end - first, 0))
        self._note_age(zone, [outlook.read_s])
        return outlook

    def _intensity(
        self, zone: str, first: int, values: Sequence[float], method: str, *, estimated: bool
    ) -> Intensity:
        array = np.array(values, dtype=np.float64)
        self._given[zone, first, len(values)] = sha256(array.tobytes()).hexdigest()
        basis = replace(self._source.basis, method=method, estimated=estimated)
        return Intensity(zone, moment(first), array, basis)

    def _note_past(self, zone: str, known: Iterable[Kept | None], first: int) -> None:
        hours = enumerate(known, first)
        self._note_age(zone, [k.read_s for hour, k in hours if k and not self._past.is_final(hour, k)])

    def _note_age(self, zone: str, read_s: Sequence[int]) -> None:
        if read_s:
            since, until = self._read.get(zone, (read_s[0], read_s[0]))
            self._read[zone] = min(since, *read_s), max(until, *read_s)


def _value(kept: Kept | None) -> float:
    value = None if kept is None else kept.hour.gco2_per_kwh
    return np.nan if value is None else value


def _history(hours: int, estimated: int) -> str:
    return f"{hours} h of history" + (f", {estimated} of them estimated" if estimated else "")


def _words(outlook: Outlook, hours: int) -> str:
    return f"{hours} h of the source's outlook read {utc(datetime.fromtimestamp(outlook.read_s, UTC))}"
