"""A source as one plan reads it: at one present, and each question once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar

from harchos_infra.grid.season import hours_since_epoch
from harchos_infra.grid.signal import NoIntensity, nearest_zone
from harchos_infra.grid.sources.source import RefusedError, Source, SourceError

FRESH_S = 900
"""What may still change is read again after this."""
_T = TypeVar("_T")


class Reader:
    """Asks a source on behalf of a plan; safe to share among threads."""

    def __init__(self, source: Source, clock: Callable[[], datetime]) -> None:
        """Ask nothing yet."""
        self.source = source
        self.zones = source.zones()
        self._clock = clock
        self._begun: datetime | None = None
        self._failed: dict[tuple[str, str, int], str] = {}
        self._refused: str | None = None
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the present, which stands still from the first question on."""
        with self._lock:
            self._begun = self._begun or self._clock()
            return self._begun

    def present(self) -> int:
        """Return the present hour, counted from 1970."""
        return hours_since_epoch(self.now())

    def check(self, zone: str) -> None:
        """Raise NoIntensity for a zone that the source does not cover."""
        if zone not in self.zones:
            hint = nearest_zone(zone, self.zones) or "`--signal A,B` takes from B what A does not have"
            reason = f"{self.source.name} does not cover it ({self.source.coverage})"
            raise NoIntensity(zone, reason, hint=hint)

    def ask(self, zone: str, what: str, hour: int, call: Callable[[], _T]) -> _T:
        """Return the source's answer; one that failed fails again without a call, as NoIntensity."""
        self.check(zone)
        key = zone, what, hour
        reason = self._refused or self._failed.get(key)
        if reason is None:
            try:
                return call()
            except SourceError as error:
                reason = str(error)
                if isinstance(error, RefusedError):
                    self._refused = reason
                self._failed[key] = reason
        raise NoIntensity(zone, f"{self.source.name}: {reason}")


def moment(hour: int) -> datetime:
    """Return the start of an hour counted from 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
