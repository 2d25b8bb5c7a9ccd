"""The jobs of a simulation: one line of CSV each, checked as a whole."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

REQUIRED = (
    "id",
    "arrival",
    "duration_h",
    "deadline",
    "nodes",
    "power_kw",
    "interruptible",
    "home_zone",
)
OPTIONAL = ("restart_kwh", "checkpoint_gib", "expected_h")
_SHOWN = 20
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Jobs:
    """One entry a job in every array, by arrival. Times are whole seconds from the series' first sample.

    `home` is a row of the series, `kw` the draw of all nodes, `nodes` their number. `restart_kwh` is drawn at
    each resume; `state_gib` lies at home when the job arrives and moves with it. `expected_s` is how long
    those who plan believe an uninterrupted job takes; it takes `duration_s`.
    """

    ids: tuple[str, ...]
    lines: Ints  # of the file
    arrival_s: Ints
    duration_s: Ints
    deadline_s: Ints
    nodes: Ints
    kw: Floats
    interruptible: NDArray[np.bool_]
    home: Ints
    restart_kwh: Floats
    state_gib: Floats
    expected_s: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def latest_s(self) -> Ints:
        """The latest start that keeps the deadline without a pause."""
        return self.deadline_s - self.duration_s

    def take(self, places: Ints) -> Jobs:
        """Return these jobs, in this order."""
        arrays = {field.name: getattr(self, field.name)[places] for field in fields(self)[1:]}
        return Jobs(tuple(self.ids[place] for place in places.tolist()), **arrays)


def read_jobs(path: Path, series: Series) -> Jobs:
    """Read and check a jobs file against the series it is to run on.

    `arrival` and `deadline` are hours from the series' first sample, or ISO 8601 with a time zone. Raises one
    HarchosError with every error of the file, each with its line and what to do.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            read = _Reading(path, series, next(reader, []))
            for row in reader:
                if row:
                    read.line(reader.line_num, row)
    except OSError as error:
        raise HarchosError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarchosError(f"{path}: not a CSV file in UTF-8: {error}") from error
    return read.jobs()


class _BadCellError(Exception):
    """What is wrong with a cell and what to do, in one sentence."""


class _Reading:
    """The rows read so far, and what was wrong with the others."""

    def __init__(self, path: Path, series: Series, header: Sequence[str]) -> None:
        self._path = path
        self._series = series
        self._zones = {zone: row for row, zone in enumerate(series.zones)}
        self._rows: list[tuple[Any, ...]] = []
        self._line_of: dict[str, int] = {}
        self._last = (-1.0, 0)
        self._errors: list[str] = []
        self._columns = [name.strip() for name in header]
        self._check_header()

    def _check_header(self) -> None:
        known = (*REQUIRED, *OPTIONAL)
        for name in REQUIRED:
            if name not in self._columns:
                self._fail(1, f"missing column {name} (the first line names the columns: {','.join(known)})")
        for name in self._columns:
            if name not in known:
                self._fail(1, f"unknown column {name!r}{_near(name, known)}")
            elif self._columns.count(name) > 1:
                self._fail(1, f"column {name} stands twice (keep one)")
        if self._errors:
            raise self._error()

    def line(self, number: int, row: list[str]) -> None:
        """Check one line of data, and keep it if it is sound."""
        if len(row) != len(self._columns):
            self._fail(number, f"{len(row)} cells where the header has {len(self._columns)}")
            return
        cells = dict(zip(self._columns, (cell.strip() for cell in row), strict=True))
        found = len(self._errors)
        values = {name: self._cell(number, name, text) for name, text in cells.items()}
        if len(self._errors) == found:
            for what in self._relations(number, values):
                self._fail(number, what)
        if len(self._errors) == found:
            self._rows.append((*(values.get(name) for name in (*REQUIRED, *OPTIONAL)), number))

    def _cell(self, number: int, name: str, text: str) -> Any:
        try:
            return _PARSERS[name](self, text)
        except _BadCellError as error:
            self._fail(number, f"{name}: {error}")
            return None

    def _relations(self, number: int, job: dict[str, Any]) -> Iterator[str]:
        """Yield what does not fit together in one line, or with the lines before it."""
        name, arrival, deadline = job["id"], job["arrival"], job["deadline"]
        if name in self._line_of:
            yield f"id: {name!r} is line {self._line_of[name]}'s (give each job an id of its own)"
        self._line_of.setdefault(name, number)
        if arrival < self._last[0]:
            yield f"arrival: before that of line {self._last[1]} (sort by arrival)"
        self._last = max(self._last, (arrival, number))
        end = self._series.hours
        if arrival < 0:
            yield f"arrival: {-arrival:g} h before the signal's first sample, {self._when(0)}"
        if deadline < arrival + job["duration_h"] - 1 / HOUR_S:
            yield (
                f"deadline: {deadline - arrival:.6g} h after arrival, but duration_h is "
                f"{job['duration_h']:g} (give it time, or take the job out)"
            )
        if deadline > end + 1 / HOUR_S:
            yield f"deadline: {deadline - end:.6g} h after the signal's end, {self._when(end)}"
        expected = job.get("expected_h")
        if expected is not None and job["interruptible"]:
            yield "expected_h: only a job that is not interruptible is planned by it (leave it empty)"
        elif expected is not None and deadline - job["duration_h"] + expected > end:
            yield f"expected_h: the latest start + {expected:g} h is after the signal's end"

    def jobs(self) -> Jobs:
        """Return the jobs of a file without errors."""
        if self._errors:
            raise self._error()
        if not self._rows:
            raise HarchosError(f"{self._path}: no job", hint=f"write lines of {','.join(REQUIRED)}")
        ids, arrival, duration, deadline, nodes, power, pausable, home, restart, state, expected, line = zip(
            *self._rows, strict=True
        )
        duration_s = np.maximum(_seconds(duration), 1)
        arrival_s = _seconds(arrival)
        return Jobs(
            ids=tuple(ids),
            lines=np.array(line, dtype=np.int64),
            arrival_s=arrival_s,
            duration_s=duration_s,
            deadline_s=np.maximum(_seconds(deadline), arrival_s + duration_s),
            nodes=np.array(nodes, dtype=np.int64),
            kw=np.array(nodes, dtype=np.float64) * np.array(power, dtype=np.float64),
            interruptible=np.array(pausable, dtype=bool),
            home=np.array(home, dtype=np.int64),
            restart_kwh=np.array([value or 0.0 for value in restart]),
            state_gib=np.array([value or 0.0 for value in state]),
            expected_s=np.maximum(
                _seconds([d if e is None else e for e, d in zip(expected, duration, strict=True)]), 1
            ),
        )

    def _fail(self, number: int, what: str) -> None:
        self._errors.append(f"{self._path}:{number}: {what}")

    def _error(self) -> HarchosError:
        count = len(self._errors)
        more = [f"… and {count - _SHOWN} more"] if count > _SHOWN else []
        lines = "\n".join(f"  {line}" for line in (*self._errors[:_SHOWN], *more))
        return HarchosError(f"{self._path}: {count} error{'s' if count != 1 else ''}\n{lines}")

    def _when(self, hour: int) -> str:
        return f"{self._series.moment(hour * HOUR_S):%Y-%m-%dT%H:%MZ}"

    def identifier(self, text: str) -> str:
        if not text:
            raise _BadCellError("empty (give each job an id)")
        return text

    def moment(self, text: str) -> float:
        """Return hours from the first sample."""
        try:
            hours = float(text)
        except ValueError:
            return self._iso(text)
        if not isfinite(hours):
            raise _BadCellError(f"{text!r} is no time (hours from the first sample, or ISO 8601)")
        return hours

    def _iso(self, text: str) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _BadCellError(
                f"{text!r} is no time (hours from the first sample, or ISO 8601 such as 2022-01-01T00:00Z)"
            ) from None
        if moment.tzinfo is None:
            raise _BadCellError(f"{text!r} has no time zone (write {text}Z if it is in UTC)")
        return moment.timestamp() / HOUR_S - self._series.first

    def amount(self, text: str) -> float:
        value = _number(text)
        if value < 0:
            raise _BadCellError(f"{text} is negative")
        return value

    def positive(self, text: str) -> float:
        value = _number(text)
        if value <= 0:
            raise _BadCellError(f"{text} is not more than 0")
        return value

    def count(self, text: str) -> int:
        value = self.positive(text)
        if value != int(value):
            raise _BadCellError(f"{text} is not a whole number")
        return int(value)

    def truth(self, text: str) -> bool:
        if text.lower() not in _TRUTH:
            raise _BadCellError(f"{text!r} is neither true nor false")
        return _TRUTH[text.lower()]

    def zone(self, text: str) -> int:
        if text not in self._zones:
            raise _BadCellError(f"the signal has no zone {text!r}{_near(text, self._series.zones)}")
        return self._zones[text]

    def optional_amount(self, text: str) -> float | None:
        return self.amount(text) if text else None

    def optional_positive(self, text: str) -> float | None:
        return self.positive(text) if text else None


_PARSERS: dict[str, Callable[[_Reading, str], Any]] = {
    "id": _Reading.identifier,
    "arrival": _Reading.moment,
    "duration_h": _Reading.positive,
    "deadline": _Reading.moment,
    "nodes": _Reading.count,
    "power_kw": _Reading.amount,
    "interruptible": _Reading.truth,
    "home_zone": _Reading.zone,
    "restart_kwh": _Reading.optional_amount,
    "checkpoint_gib": _Reading.optional_amount,
    "expected_h": _Reading.optional_positive,
}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise _BadCellError(f"{text!r} is no number")
    return value


def _near(text: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(text, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _seconds(hours: Sequence[float]) -> NDArray[np.int64]:
    return np.rint(np.array(hours, dtype=np.float64) * HOUR_S).astype(np.int64)
