"""Replay of files of one's own: one CSV a zone, hourly, in UTC."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.season import YEAR_H, hours_since_epoch, same_season
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, hour_of, nearest_zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUFFIXES = (".csv", ".csv.gz")
_TIME, _VALUE = "timestamp", "gco2_per_kwh"
_HOUR = timedelta(hours=1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trace:
    """Hourly intensity of one file: hours from 1970 to the first value, and the values in g/kWh.

    `carbon_columns` are the names of all its columns of carbon: two factor sets may differ in them.
    """

    first: int
    values: NDArray[np.float64]
    carbon_columns: tuple[str, ...] = (_VALUE,)

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
        self._files = zone_files([path])
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


_PATH_HINT = "a file ZONE.csv or ZONE.csv.gz, or a directory of them"
_YEAR_HINT = "give a start inside it, or a file of at least a year (8,760 hours)"


def zone_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the file of each zone among files `ZONE.csv[.gz]` and directories of them."""
    files: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise HarchosError(f"{path}: no such file or directory", hint=_PATH_HINT)
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            zone = _zone_of(file)
            if zone in files:
                raise HarchosError(
                    f"{file}: zone {zone} has a second file, {files[zone]}", hint="remove one of them"
                )
            if zone is not None:
                files[zone] = file
            elif file == path:
                raise _no_zone_file(path)
    if not files:
        raise _no_zone_file(paths[0])
    return files


def _no_zone_file(path: Path) -> HarchosError:
    return HarchosError(f"{path}: no zone file", hint="name it ZONE.csv or ZONE.csv.gz, such as DE.csv")


def _zone_of(file: Path) -> str | None:
    suffix = next((s for s in _SUFFIXES if file.name.endswith(s)), None)
    return None if suffix is None else file.name.removesuffix(suffix)


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
    return read_lines(path, _trace_of)


def read_lines(path: Path, parse: Callable[[Iterator[list[str]]], T]) -> T:
    """Return what `parse` makes of a CSV file's lines, zipped or not.

    A BadLineError that it raises becomes a HarchosError with file and line, as does what cannot be read.
    """
    try:
        with _open(path) as stream:
            reader = csv.reader(stream)
            try:
                return parse(reader)
            except BadLineError as error:
                where = f"{path}:{max(reader.line_num, 1)}"
                raise HarchosError(f"{where}: {error.what}", hint=error.hint) from None
    except (OSError, EOFError) as error:
        raise HarchosError(f"{path}: cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarchosError(f"{path}: not a CSV file in UTF-8: {error}") from error


def _open(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


class BadLineError(Exception):
    """For `read_lines`: what is wrong with the line just read, and what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def _trace_of(reader: Iterator[list[str]]) -> Trace:
    header = next(reader, [])
    time_column, value_column = places = column_places(header, (_TIME, _VALUE))
    values: list[float] = []
    first = expected = None
    for row in reader:
        if not row:
            continue
        check_complete(row, places)
        moment = hour_in(row[time_column])
        if expected is None:
            first = moment
        elif moment != expected:
            raise _out_of_step(moment, expected)
        expected = moment + _HOUR
        values.append(grams_in(row[value_column], _VALUE))
    if first is None:
        raise BadLineError("no line of data", f"write lines of {_TIME},{_VALUE} below the header")
    carbon = tuple(name.strip() for name in header if "gco2" in name)
    return Trace(hours_since_epoch(first), np.array(values), carbon)


def check_complete(row: list[str], places: list[int]) -> None:
    """Raise BadLineError for a line without a cell in each of these places."""
    if len(row) <= max(places):
        raise BadLineError(f"{len(row)} cells where the header has more", "complete the line")


def column_places(header: list[str], wanted: tuple[str, ...]) -> list[int]:
    """Return where the header has each wanted column; raise BadLineError if one is missing."""
    names = [name.strip() for name in header]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise BadLineError(
            f"missing column {' and '.join(missing)}",
            f"the first line must name the columns: {','.join(wanted)}",
        )
    return [names.index(name) for name in wanted]


def hour_in(text: str) -> datetime:
    """Return the UTC time that a cell means; raise BadLineError unless it is the start of an hour."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadLineError(
            f"{text!r} is not a time", "write ISO 8601, such as 2022-01-01T00:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise BadLineError(f"{text!r} has no time zone", f"write {text.strip()}Z if it is in UTC")
    moment = moment.astimezone(UTC)
    if moment.minute or moment.second or moment.microsecond:
        raise BadLineError(f"{text!r} is not the start of an hour", "average the file to hours")
    return moment


def _out_of_step(moment: datetime, expected: datetime) -> BadLineError:
    if moment > expected:
        missing = (moment - expected) // _HOUR
        return BadLineError(
            f"gap: {missing} h missing before {moment:%Y-%m-%dT%H:%MZ}",
            "fill the gap in the file, so that it is known how; nothing is made up here",
        )
    if moment == expected - _HOUR:
        return BadLineError(f"duplicate time {moment:%Y-%m-%dT%H:%MZ}", "keep one line an hour")
    return BadLineError(f"{moment:%Y-%m-%dT%H:%MZ} comes after a later time", "sort by timestamp")


def grams_in(text: str, column: str) -> float:
    """Return the g/kWh that a cell means; raise BadLineError unless it is finite and 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or value < 0:
        raise BadLineError(
            f"{column} is {text!r}", "a number of grams per kWh, 0 or more, is needed in every line"
        )
    return value
