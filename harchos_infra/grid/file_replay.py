"""Replay of files of one's own: one CSV a zone, hourly, in UTC."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.season import YEAR_H, hours_since_epoch, same_season
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, hour_of, nearest_zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUFFIXES = (".csv", ".csv.gz")
_TIME, _VALUE = "timestamp", "gco2_per_kwh"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Trace:
    """Hourly intensity of one file: hours from 1970 to the first value, and the values in g/kWh."""

    first: int
    values: NDArray[np.float64]

    @property
    def end(self) -> int:
        """Hour after the last value, counted from 1970."""
        return self.first + len(self.values)


class FileReplay:
    """Values as they stand in `ZONE.csv` or `ZONE.csv.gz`, or in every such file of a directory.

    Columns `timestamp` (ISO 8601 with zone, the start of an hour) and `gco2_per_kwh`; others are left alone.
    Hours outside a file take the same season, weekday and hour of its last year, if it covers one. What the
    figures measure is for the user to know: life cycle or direct is not in the file and is not stated.
    """

    def __init__(self, path: Path) -> None:
        """Find the zone files at `path`; each is read and checked when its zone is first asked for."""
        self._files = _zone_files(path)
        self._path = path
        self._traces: dict[str, Trace] = {}

    @property
    def name(self) -> str:
        """`replay:PATH`."""
        return f"replay:{self._path}"

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start`; raise NoIntensity outside the files."""
        trace = self._trace(zone)
        first = hour_of(start)
        wanted = hours_since_epoch(first)
        if trace.first <= wanted and wanted + hours <= trace.end:
            places: NDArray[np.int64] = np.arange(wanted, wanted + hours) - trace.first
            method = "replay of a file"
        elif len(trace.values) >= YEAR_H:
            places = _places(trace, wanted, hours)
            method = "replay of a file, same season, weekday and hour of its last year"
        else:
            raise NoIntensity(zone, f"{self._files[zone]} covers {_span(trace)} only", hint=_YEAR_HINT)
        return Intensity(zone, first, trace.values[places], self._basis(method))

    def covered(self, zone: str) -> tuple[datetime, datetime]:
        """Return the first hour of a zone's file and the hour after its last."""
        return _ends(self._trace(zone))

    def zones(self) -> frozenset[str]:
        """Return the zones that have a file."""
        return frozenset(self._files)

    def fingerprint(self) -> str:
        """Return a sha256 of every zone file's name and content."""
        return self._digest

    def describe(self) -> dict[str, Any]:
        """Return name, source and method, for the inputs of a plan."""
        return {
            "name": self.name,
            "source": str(self._path),
            "asOf": "as the files say",
            "method": "replay of files, unscaled; outside them the same season, weekday and hour of their "
            "last year",
            "quantity": self._basis("").quantity,
            "fingerprint": self.fingerprint(),
        }

    def _basis(self, method: str) -> Basis:
        return Basis("average", "unstated", "unstated", str(self._path), method, estimated=True)

    def _trace(self, zone: str) -> Trace:
        if zone not in self._traces:
            if zone not in self._files:
                raise NoIntensity(
                    zone, f"no file of that name in {self._path}", hint=nearest_zone(zone, self._files)
                )
            self._traces[zone] = read_trace(self._files[zone])
        return self._traces[zone]

    @cached_property
    def _digest(self) -> str:
        digest = sha256()
        for zone, path in sorted(self._files.items()):
            digest.update(zone.encode() + path.read_bytes())
        return digest.hexdigest()


_YEAR_HINT = "give a start inside it, or a file of at least a year (8,760 hours)"


def _zone_files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise HarchosError(f"{path}: no such file or directory", hint="`--signal replay:ZONEFILE|DIR`")
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files: dict[str, Path] = {}
    for file in candidates:
        suffix = next((s for s in _SUFFIXES if file.name.endswith(s)), None)
        if suffix is None:
            continue
        zone = file.name.removesuffix(suffix)
        if zone in files:
            raise HarchosError(
                f"{file}: zone {zone} has a second file, {files[zone]}", hint="remove one of them"
            )
        files[zone] = file
    if not files:
        raise HarchosError(f"{path}: no zone file", hint="name it ZONE.csv or ZONE.csv.gz, such as DE.csv")
    return files


def _places(trace: Trace, wanted: int, hours: int) -> NDArray[np.int64]:
    """Return the place of each hour in the file: itself where it is covered, else in the file's last year."""
    reference = trace.end - YEAR_H
    moments = np.arange(wanted, wanted + hours)
    covered = (moments >= trace.first) & (moments < trace.end)
    replayed = same_season(wanted, hours, reference) + reference - trace.first
    return np.where(covered, moments - trace.first, replayed)


def _ends(trace: Trace) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(trace.first * 3600, UTC), datetime.fromtimestamp(trace.end * 3600, UTC)


def _span(trace: Trace) -> str:
    first, end = _ends(trace)
    return f"{first:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"


def read_trace(path: Path) -> Trace:
    """Read and check one zone file; HarchosError names file and line of what is wrong with it."""
    try:
        with _open(path) as stream:
            return _parse(path, stream)
    except (OSError, EOFError) as error:
        raise HarchosError(f"{path}: cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarchosError(f"{path}: not a CSV file in UTF-8: {error}") from error


def _open(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _parse(path: Path, stream: TextIO) -> Trace:
    reader = csv.reader(stream)
    try:
        first, values = _series(reader)
    except _BadLineError as error:
        where = f"{path}:{max(reader.line_num, 1)}"
        raise HarchosError(f"{where}: {error.what}", hint=error.hint) from None
    return Trace(hours_since_epoch(first), np.array(values))


class _BadLineError(Exception):
    """What is wrong with the line just read, and what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def _series(reader: Iterator[list[str]]) -> tuple[datetime, list[float]]:
    time_column, value_column = _columns(next(reader, []))
    cells = max(time_column, value_column) + 1
    values: list[float] = []
    first = expected = None
    for row in reader:
        if not row:
            continue
        if len(row) < cells:
            raise _BadLineError(f"{len(row)} cells where the header has more", "complete the line")
        moment = _moment(row[time_column])
        if expected is None:
            first = moment
        elif moment != expected:
            raise _out_of_step(moment, expected)
        expected = moment + _HOUR
        values.append(_value(row[value_column]))
    if first is None:
        raise _BadLineError("no line of data", f"write lines of {_TIME},{_VALUE} below the header")
    return first, values


def _columns(header: list[str]) -> tuple[int, int]:
    names = [name.strip() for name in header]
    missing = [name for name in (_TIME, _VALUE) if name not in names]
    if missing:
        raise _BadLineError(
            f"missing column {' and '.join(missing)}",
            f"the first line must name the columns: {_TIME},{_VALUE}",
        )
    return names.index(_TIME), names.index(_VALUE)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _BadLineError(
            f"{text!r} is not a time", "write ISO 8601, such as 2022-01-01T00:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise _BadLineError(f"{text!r} has no time zone", f"write {text.strip()}Z if it is in UTC")
    moment = moment.astimezone(UTC)
    if moment.minute or moment.second or moment.microsecond:
        raise _BadLineError(f"{text!r} is not the start of an hour", "average the file to hours")
    return moment


def _out_of_step(moment: datetime, expected: datetime) -> _BadLineError:
    if moment > expected:
        missing = (moment - expected) // _HOUR
        return _BadLineError(
            f"gap: {missing} h missing before {moment:%Y-%m-%dT%H:%MZ}",
            "fill the gap in the file, so that it is known how; nothing is made up here",
        )
    if moment == expected - _HOUR:
        return _BadLineError(f"duplicate time {moment:%Y-%m-%dT%H:%MZ}", "keep one line an hour")
    return _BadLineError(f"{moment:%Y-%m-%dT%H:%MZ} comes after a later time", "sort by timestamp")


def _value(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or value < 0:
        raise _BadLineError(
            f"{_VALUE} is {text!r}", "a number of grams per kWh, 0 or more, is needed in every line"
        )
    return value
