"""A live source as a signal: past hours from its history, hours to come from its own outlook.

The present hour belongs to the outlook. An outlook ends at its first gap, and a span that reaches past it is
refused with the horizon, never padded. What was read once in this process is not read again, so that the
parts of one plan agree; what was read before is taken from the cache while it is final or fresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, ShortHorizon, hour_of, nearest_zone
from harchos_infra.grid.sources.cache import Cache, Kept, Outlook
from harchos_infra.grid.sources.hourly import GAP, HOUR_S, hourly
from harchos_infra.grid.sources.source import Reading, RefusedError, Source, SourceError, utc

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRESH_S = 900
"""An hour that may still be revised, and an outlook, are read again after this."""
GAP_FRESH_S = 6 * HOUR_S
"""An hour that the source left out, though it is old enough to be settled, is asked for again after this."""
KNOWN_S = 6 * HOUR_S
"""An outlook read longer ago than this is not taken for what was known at a past time."""
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
        self._known = source.zones()
        self._past: dict[str, dict[int, Kept]] = {}
        self._outlooks: dict[str, Outlook | None] = {}
        self._without: dict[str, str] = {}
        self._failed: dict[tuple[str, int, int], str] = {}
        self._refused: str | None = None
        self._given: dict[tuple[str, int, int], str] = {}
        self._read: dict[str, tuple[int, int]] = {}
        self._estimated: dict[str, int] = {}
        self._lock = Lock()
        self._begun: datetime | None = None

    @property
    def name(self) -> str:
        """As in `--signal`."""
        return self._source.name

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start`; raise NoIntensity where one is missing."""
        first = hours_since_epoch(hour_of(start))
        end, present = first + hours, self._present()
        values: list[float] = []
        notes: list[str] = []
        if first < present:
            known = self._span(zone, first, min(end, present))
            values += _without_gap(zone, self.name, known, first)
            estimated = sum(kept.hour.estimated for kept in known.values())
            notes.append(_measured(len(known), estimated))
            self._estimated[zone] = max(self._estimated.get(zone, 0), estimated)
        if end > present:
            outlook = self._own_outlook(zone)
            values += _covered(zone, self.name, outlook, self._without.get(zone), first, end, present)
            notes.append(_forecast(outlook, end - max(first, present)))
        return self._intensity(
            zone, first, values, "; ".join(notes), estimated=bool(self._estimated.get(zone))
        )

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        """Return the source's forecast from the hour of `now` as far as it reaches; None where it has none.

        For a `now` in the past it is the last one that had been read by then, at most `KNOWN_S` before.
        """
        hour = hours_since_epoch(hour_of(now))
        if hour >= self._present():
            with suppress(NoIntensity):
                self._check(zone)
                return self._from(zone, self._own_outlook(zone), hour)
            return None
        then_s = int(now.timestamp())
        known = self._cache.outlook(zone, read_by_s=then_s)
        return self._from(zone, known if known and then_s - known.read_s <= KNOWN_S else None, hour)

    def history(self, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
        """Return hours from the hour of `start`, NaN where the source has none and from the present on.

        Raises NoIntensity where it has none at all.
        """
        first = hours_since_epoch(hour_of(start))
        why = self._load(zone, first, min(first + hours, self._present()))
        known = [self._past[zone].get(hour) for hour in range(first, first + hours)]
        values = np.array([_value(kept) for kept in known])
        self._note_past(zone, {first + place: kept for place, kept in enumerate(known) if kept})
        if np.isnan(values).all():
            raise NoIntensity(zone, why or f"{self.name} has no figure for {hours} h before the present")
        return values

    def prefetch(self, zones: Iterable[str], start: datetime, hours: int) -> None:
        """Read many zones at once: their past hours in the span, and the outlook if it reaches the present.

        Failures are kept, and met again when the zone is asked for.
        """
        first = hours_since_epoch(hour_of(start))
        end, present = first + hours, self._present()
        wanted = sorted({zone for zone in zones if zone in self._known})
        if not wanted:
            return

        def read(zone: str) -> None:
            with suppress(NoIntensity):
                self._load(zone, first, min(end, present))
                if end >= present:
                    self._own_outlook(zone)

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
        return self._known

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
        unwritable = self._cache.unwritable
        age_s = max(now_s - oldest_s, 0)
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
        outlook = self._outlooks.get(zone)
        return {
            "read": utc(datetime.fromtimestamp(until, UTC)),
            "ageSeconds": max(now_s - since, 0),
            "estimatedHours": self._estimated.get(zone, 0),
            "outlookEnds": utc(datetime.fromtimestamp(outlook.end * HOUR_S, UTC)) if outlook else None,
            "noOutlook": self._without.get(zone),
        }

    def _now(self) -> datetime:
        """Return the present, which stands still from the first question on."""
        with self._lock:
            self._begun = self._begun or self._clock()
            return self._begun

    def _present(self) -> int:
        return hours_since_epoch(self._now())

    def _check(self, zone: str) -> None:
        if zone not in self._known:
            hint = nearest_zone(zone, self._known) or "`--signal A,B` takes from B what A does not have"
            raise NoIntensity(zone, f"{self.name} does not cover it ({self._source.coverage})", hint=hint)

    def _ask(self, zone: str, key: tuple[str, int, int], call: Callable[[], Any]) -> Any:
        """Call the source for a zone; what it answered with an error is not asked again."""
        self._check(zone)
        reason = self._refused or self._failed.get(key)
        if reason is None:
            try:
                return call()
            except SourceError as error:
                reason = str(error)
                if isinstance(error, RefusedError):
                    self._refused = reason
                self._failed[key] = reason
        raise NoIntensity(zone, f"{self.name}: {reason}")

    def _span(self, zone: str, first: int, end: int) -> dict[int, Kept]:
        """Return every past hour of [first, end); raise NoIntensity where reading failed."""
        why = self._load(zone, first, end)
        known = self._past[zone]
        if why is not None:
            raise NoIntensity(zone, why)
        span = {hour: known[hour] for hour in range(first, end)}
        self._note_past(zone, span)
        return span

    def _load(self, zone: str, first: int, end: int) -> str | None:
        """Make the past hours of [first, end) known: as kept while final or fresh, else as read now.

        Reading begins with the newest and stops at a failure, whose reason is returned; None: all is known.
        """
        self._check(zone)
        with self._lock:
            known = self._past.setdefault(zone, {})
        if all(hour in known for hour in range(first, end)):
            return None
        now = self._now()
        now_s = int(now.timestamp())
        kept = self._cache.hours(zone, first, end)
        known |= {h: k for h, k in kept.items() if h not in known and self._holds(h, k, now_s)}
        missing = [hour for hour in range(first, end) if hour not in known]
        for begin, until in reversed(_calls(missing, self._source.call_h)):
            call = partial(self._source.history, zone, _moment(begin), _moment(until), now)
            try:
                read = self._ask(zone, (zone, begin, until), call)
            except NoIntensity as error:
                return error.reason
            new = {h: k for h, k in _kept(read, begin, until, now_s).items() if h not in known}
            known |= new
            self._cache.keep_hours(zone, new)
        return None

    def _final(self, hour: int, kept: Kept) -> bool:
        settled = kept.read_s - (hour + 1) * HOUR_S >= self._source.settled_h * HOUR_S
        return settled and kept.hour.gco2_per_kwh is not None

    def _holds(self, hour: int, kept: Kept, now_s: int) -> bool:
        """Tell whether a kept hour still stands: final, or read a short while ago."""
        settled = now_s - (hour + 1) * HOUR_S >= self._source.settled_h * HOUR_S
        fresh_s = GAP_FRESH_S if settled and kept.hour.gco2_per_kwh is None else FRESH_S
        return self._final(hour, kept) or 0 <= now_s - kept.read_s < fresh_s

    def _own_outlook(self, zone: str) -> Outlook | None:
        """Return the outlook from the present hour on; None with the reason in `_without`."""
        self._check(zone)
        with self._lock:
            if zone in self._outlooks:
                return self._outlooks[zone]
        now = self._now()
        now_s, present = int(now.timestamp()), hours_since_epoch(now)
        outlook = self._cache.outlook(zone, read_by_s=now_s)
        if outlook is None or now_s - outlook.read_s >= FRESH_S or outlook.first > present:
            outlook = self._new_outlook(zone, now)
        with self._lock:
            self._outlooks[zone] = outlook
        if outlook is not None:
            self._note_age(zone, [outlook.read_s])
        return outlook

    def _new_outlook(self, zone: str, now: datetime) -> Outlook | None:
        present = hours_since_epoch(now)
        try:
            readings = self._ask(zone, (zone, present, -1), lambda: self._source.outlook(zone, now))
        except NoIntensity as error:
            self._without[zone] = error.reason
            return None
        if readings is None:
            self._without[zone] = f"{self.name} makes no forecast"
            return None
        values = _until_gap(hourly(readings), present)
        if not values:
            self._without[zone] = f"{self.name}: its outlook has no figure for the present hour"
            return None
        outlook = Outlook(int(now.timestamp()), present, tuple(values))
        self._cache.keep_outlook(zone, outlook)
        return outlook

    def _from(self, zone: str, outlook: Outlook | None, hour: int) -> Intensity | None:
        if outlook is None or not outlook.first <= hour < outlook.end:
            return None
        values = outlook.gco2_per_kwh[hour - outlook.first :]
        return self._intensity(zone, hour, values, _forecast(outlook, len(values)), estimated=False)

    def _intensity(
        self, zone: str, first: int, values: Sequence[float], method: str, *, estimated: bool
    ) -> Intensity:
        array = np.array(values, dtype=np.float64)
        self._given[zone, first, len(values)] = sha256(array.tobytes()).hexdigest()
        basis: Basis = replace(self._source.basis, method=method, estimated=estimated)
        return Intensity(zone, _moment(first), array, basis)

    def _note_past(self, zone: str, hours: Mapping[int, Kept]) -> None:
        self._note_age(zone, [kept.read_s for hour, kept in hours.items() if not self._final(hour, kept)])

    def _note_age(self, zone: str, read_s: Iterable[int]) -> None:
        times = [*read_s]
        if times:
            since, until = self._read.get(zone, (times[0], times[0]))
            self._read[zone] = min(since, *times), max(until, *times)


def _moment(hour: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


def _value(kept: Kept | None) -> float:
    value = None if kept is None else kept.hour.gco2_per_kwh
    return np.nan if value is None else value


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


def _until_gap(hours: Mapping[int, Any], first: int) -> list[float]:
    values: list[float] = []
    while (hour := hours.get(first + len(values))) is not None and hour.gco2_per_kwh is not None:
        values.append(hour.gco2_per_kwh)
    return values


def _without_gap(zone: str, name: str, known: Mapping[int, Kept], first: int) -> list[float]:
    values = [kept.hour.gco2_per_kwh for kept in known.values()]
    gaps = [first + place for place, value in enumerate(values) if value is None]
    if gaps:
        raise NoIntensity(
            zone,
            f"{name} has no figure for {len(gaps)} of {len(values)} h, first {utc(_moment(gaps[0]))}",
        )
    return [value for value in values if value is not None]


def _covered(
    zone: str, name: str, outlook: Outlook | None, why: str | None, first: int, end: int, present: int
) -> Sequence[float]:
    begin = max(first, present)
    last = present if outlook is None else outlook.end
    if end <= last and outlook is not None and outlook.first <= begin:
        return outlook.gco2_per_kwh[begin - outlook.first : end - outlook.first]
    if outlook is None:
        reason = f"no outlook: {why}"
    else:
        short = f"{end - last} h short of the {end - first} h wanted"
        reason = f"{name}: its outlook ends {utc(_moment(last))}, {short}"
    raise ShortHorizon(zone, reason, max(last - first, 0))


def _measured(hours: int, estimated: int) -> str:
    return f"{hours} h of history" + (f", {estimated} of them estimated" if estimated else "")


def _forecast(outlook: Outlook | None, hours: int) -> str:
    read = utc(datetime.fromtimestamp(outlook.read_s, UTC)) if outlook else "-"
    return f"{hours} h of the source's outlook read {read}"
