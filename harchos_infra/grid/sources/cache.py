"""What sources said, kept on disk with the time it was read.

    ROOT/SOURCE/ZONE/hours-2026-11.json                 past hours of a month: value, estimated?, read when
    ROOT/SOURCE/ZONE/outlook-20261124T233105Z.json      each outlook, by the time it was read
    ROOT/SOURCE/facts.json                              small facts of the source, such as a region's name

Files are private (0600), written whole or not at all, and bounded: 36 months and 500 outlooks a zone. One
that cannot be read counts as not there. A cache that cannot be written is no error: `unwritable` says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harchos_infra.grid.sources.hourly import HOUR_S, Hour
from harchos_infra.private_file import write_private

SCHEMA = "harchos.carbon-cache/1"
MONTHS_KEPT = 36
OUTLOOKS_KEPT = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """An hour as it was read at `read_s`, seconds since 1970."""

    hour: Hour
    read_s: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast as it was read at `read_s`: hourly g/kWh from `first`, hours since 1970."""

    read_s: int
    first: int
    gco2_per_kwh: tuple[float, ...]

    @property
    def end(self) -> int:
        """Hour after the last one."""
        return self.first + len(self.gco2_per_kwh)


class Cache:
    """The files of one source. `root` None keeps nothing."""

    def __init__(self, root: Path | None, source: str) -> None:
        """Touch no file yet."""
        self._root = None if root is None else root / quote(source, safe="@")
        self._outlooks: dict[str, list[Path]] = {}
        self.unwritable: str | None = None

    def hours(self, zone: str, first: int, end: int) -> dict[int, Kept]:
        """Return what is kept of the hours [first, end)."""
        found: dict[int, Kept] = {}
        for month in _months(first, end):
            kept = _read_hours(self._path(zone, f"hours-{month}.json"))
            found |= {hour: entry for hour, entry in kept.items() if first <= hour < end}
        return found

    def keep_hours(self, zone: str, hours: Mapping[int, Kept]) -> None:
        """Add hours to what is kept."""
        months: dict[str, dict[int, Kept]] = {}
        for hour, entry in hours.items():
            months.setdefault(_month(hour), {})[hour] = entry
        for month, entries in months.items():
            path = self._path(zone, f"hours-{month}.json")
            merged = {**_read_hours(path), **entries}
            lines = {
                str(hour): [entry.hour.gco2_per_kwh, int(entry.hour.estimated), entry.read_s]
                for hour, entry in sorted(merged.items())
            }
            self._write(path, {"zone": zone, "hours": lines})
        self._prune(zone, "hours-*.json", MONTHS_KEPT)

    def outlook(self, zone: str, *, read_by_s: int) -> Outlook | None:
        """Return the newest outlook that had been read by `read_by_s`."""
        latest = f"outlook-{_stamp(read_by_s)}.json"
        if zone not in self._outlooks:
            self._outlooks[zone] = self._files(zone, "outlook-*.json")
        for path in reversed(self._outlooks[zone]):
            found = _read_outlook(path) if path.name <= latest else None
            if found is not None:
                return found
        return None

    def keep_outlook(self, zone: str, outlook: Outlook) -> None:
        """Keep an outlook beside the earlier ones."""
        path = self._path(zone, f"outlook-{_stamp(outlook.read_s)}.json")
        content = {
            "zone": zone,
            "read": outlook.read_s,
            "first": outlook.first,
            "gco2PerKwh": list(outlook.gco2_per_kwh),
        }
        self._write(path, content)
        self._prune(zone, "outlook-*.json", OUTLOOKS_KEPT)
        self._outlooks.pop(zone, None)

    def facts(self) -> dict[str, Any]:
        """Return the facts kept of the source as a whole."""
        found = _read(self._root / "facts.json" if self._root else None).get("facts")
        return found if isinstance(found, dict) else {}

    def keep_fact(self, key: str, value: Any) -> None:
        """Keep one fact beside the others."""
        if self._root is not None:
            self._write(self._root / "facts.json", {"facts": {**self.facts(), key: value}})

    def _path(self, zone: str, name: str) -> Path | None:
        return None if self._root is None else self._root / quote(zone, safe="") / name

    def _files(self, zone: str, pattern: str) -> list[Path]:
        folder = self._path(zone, "")
        return [] if folder is None else sorted(folder.glob(pattern))

    def _prune(self, zone: str, pattern: str, kept: int) -> None:
        for path in self._files(zone, pattern)[:-kept]:
            with suppress(OSError):
                path.unlink()

    def _write(self, path: Path | None, content: Mapping[str, Any]) -> None:
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, json.dumps({"schema": SCHEMA, **content}))
        except OSError as error:
            self.unwritable = f"{path.parent}: {error.strerror}"


def _months(first: int, end: int) -> Iterable[str]:
    return sorted({_month(hour) for hour in (*range(first, end, 24), end - 1)})


def _month(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * HOUR_S, UTC):%Y-%m}"


def _stamp(moment_s: int) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y%m%dT%H%M%SZ}"


def _read(path: Path | None) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) and document.get("schema") == SCHEMA else {}


def _read_hours(path: Path | None) -> dict[int, Kept]:
    try:
        lines = _read(path).get("hours", {}).items()
        return {int(hour): Kept(Hour(_value(v), bool(e)), int(at)) for hour, (v, e, at) in lines}
    except (AttributeError, TypeError, ValueError):
        return {}


def _read_outlook(path: Path) -> Outlook | None:
    document = _read(path)
    try:
        values = tuple(_value(value) for value in document["gco2PerKwh"])
        known = tuple(value for value in values if value is not None)
        return Outlook(int(document["read"]), int(document["first"]), known) if known == values else None
    except (KeyError, TypeError, ValueError):
        return None


def _value(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not isfinite(number) or number < 0:
        raise ValueError(value)
    return number
