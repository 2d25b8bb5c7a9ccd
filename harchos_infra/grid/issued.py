"""Forecasts that somebody issued: one CSV a zone, blocks of consecutive hours by time of issue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.file_replay import (
    BadLineError,
    check_complete,
    column_places,
    grams_in,
    hour_in,
    read_lines,
)
from harchos_infra.grid.season import hours_since_epoch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = ("issued_at", "timestamp", "gco2_per_kwh_forecast")
_ACTUAL = "gco2_per_kwh_actual"


@dataclass(frozen=True, slots=True)
class Issues:
    """The forecasts of one file, by time of issue. Hours count from 1970.

    Issue k was known at `at[k]` and says `values[begin[k]:begin[k + 1]]` for the hours from `first[k]` on.
    `actual` stands beside each value, in the same factor set; None where the file has none.
    """

    at: NDArray[np.int64]
    first: NDArray[np.int64]
    begin: NDArray[np.int64]
    values: NDArray[np.float64]
    actual: NDArray[np.float64] | None

    @property
    def hour(self) -> NDArray[np.int64]:
        """The hour that each value is for."""
        length = np.diff(self.begin)
        inside = np.arange(len(self.values)) - np.repeat(self.begin[:-1], length)
        hours: NDArray[np.int64] = np.repeat(self.first, length) + inside
        return hours


def read_issues(path: Path) -> Issues:
    """Read and check a file of forecasts; HarchosError names file and line of what is wrong with it."""
    return read_lines(path, _issues_of)


def _issues_of(reader: Iterator[list[str]]) -> Issues:
    header = next(reader, [])
    issued, time, value = places = column_places(header, _COLUMNS)
    actual_column = next((i for i, name in enumerate(header) if name.strip() == _ACTUAL), None)
    at: list[int] = []
    first: list[int] = []
    begin: list[int] = []
    values: list[float] = []
    actual: list[float] = []
    expected = None
    for row in reader:
        if not row:
            continue
        check_complete(row, places)
        issue, moment = hours_since_epoch(hour_in(row[issued])), hour_in(row[time])
        if at and issue < at[-1]:
            raise BadLineError(
                f"issued_at {row[issued]} comes after a later one: the horizons of two issues overlap",
                "sort by issued_at, then by timestamp",
            )
        if not at or issue > at[-1]:
            at.append(issue)
            first.append(hours_since_epoch(moment))
            begin.append(len(values))
        elif moment != expected:
            raise _out_of_step(row[time], late=expected is not None and moment > expected)
        expected = moment + timedelta(hours=1)
        values.append(grams_in(row[value], _COLUMNS[2]))
        if actual_column is not None:
            cell = row[actual_column] if actual_column < len(row) else ""
            actual.append(grams_in(cell, _ACTUAL))
    if not values:
        raise BadLineError("no line of data", f"write lines of {','.join(_COLUMNS)} below the header")
    return Issues(
        np.array(at),
        np.array(first),
        np.array([*begin, len(values)]),
        np.array(values),
        np.array(actual) if actual_column is not None else None,
    )


def _out_of_step(text: str, *, late: bool) -> BadLineError:
    if late:
        return BadLineError(
            f"gap before {text} within one issue", "fill it in the file, or end the issue there"
        )
    return BadLineError(
        f"{text} is not the next hour of its issue: duplicate, unsorted, or two issues' horizons overlap",
        "sort by issued_at, then by timestamp, and keep one line an hour",
    )
