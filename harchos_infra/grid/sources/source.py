"""What a live source is: one API, read defensively, behind one small protocol.

A source speaks the wire format and nothing else. `live.py` makes a signal of it: hours, cache, horizon, age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from typing import Any, Protocol

from harchos_infra.grid.signal import Basis


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a source: g/kWh from `start_s` (seconds since 1970) for `span_s` seconds."""

    start_s: int
    span_s: int
    gco2_per_kwh: float | None
    """None: the source has a line for this time and no value in it."""
    estimated: bool = False
    """The source says, or the time shows, that this is no measurement."""


class SourceError(Exception):
    """Why a source gives no figure; the text names the source, never a key."""


class RefusedError(SourceError):
    """The source refuses this account altogether: it is not asked again for another zone."""


class Source(Protocol):
    """A live source. Every call may raise SourceError."""

    name: str
    """As in `--signal`."""
    basis: Basis
    """What its figures measure, and its title with licence; `method` is left to the signal."""
    settled_h: int
    """Hours after which the source no longer revises a figure."""
    call_h: int
    """Hours that one call for past hours may span."""
    coverage: str
    """In a word or two, which zones it knows."""

    def zones(self) -> frozenset[str]:
        """Return the grid zones that the source can be asked for, without asking it."""
        ...

    def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> Sequence[Reading]:
        """Return what is known of [start, end), whole hours before `now`; what it leaves out is a gap."""
        ...

    def outlook(self, zone: str, now: datetime) -> Sequence[Reading] | None:
        """Return the source's own forecast from the hour of `now` on; None where it makes none."""
        ...


def seconds(text: Any, what: str) -> int:
    """Return an ISO 8601 time with zone as seconds since 1970."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise SourceError(f"{what}: {str(text)[:40]!r} is not a time") from None
    if moment.tzinfo is None:
        raise SourceError(f"{what}: the time {text!r} has no zone")
    return int(moment.timestamp())


def utc(moment: datetime) -> str:
    """Return an aware time as `2026-11-24T23:00Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def number(value: Any, what: str) -> float | None:
    """Return a JSON number, or text that is one; None for null. Raise SourceError for anything else.

    No grid has an intensity below zero, so such a value is refused and not clipped.
    """
    if value is None:
        return None
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not isfinite(found) or found < 0:
        raise SourceError(f"{what}: {str(value)[:40]!r} is not an intensity")
    return found


def rows(document: Any, key: str, what: str) -> list[Mapping[str, Any]]:
    """Return the list of objects under `key`; raise SourceError where the answer has another shape."""
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SourceError(f"{what}: the answer has no list {key!r}")
    return found


def same_zone(expected: str, found: Any, what: str) -> None:
    """Raise SourceError if an answer names another zone than the one that was asked for."""
    if found is not None and str(found) != expected:
        raise SourceError(f"{what}: asked for {expected}, answered for {str(found)[:40]}")


def with_spans(points: Sequence[tuple[int, float | None, bool]], what: str) -> list[Reading]:
    """Return readings of a series whose step is not stated: the smallest distance of two times.

    `points` are (start in seconds, value, estimated), in any order. A single point spans an hour.
    """
    ordered = sorted(points, key=lambda point: point[0])
    steps = [after[0] - before[0] for before, after in pairwise(ordered)]
    if 0 in steps:
        raise SourceError(f"{what}: two values for one time")
    step = min([*steps, 3600])
    if 3600 % step:
        raise SourceError(f"{what}: a step of {step} s does not divide an hour")
    return [Reading(start, step, value, estimated) for start, value, estimated in ordered]
