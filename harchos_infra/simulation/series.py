"""The signal of a simulation: the hours that all its zones have, as one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.file_replay import Trace, read_trace, zone_files
from harchos_infra.grid.replay import TRACE_YEAR, builtin_replay
from harchos_infra.grid.season import YEAR_H, hours_since_epoch
from harchos_infra.grid.signal import check_same_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUILTIN = "replay"


@dataclass(frozen=True)
class Series:
    """Actual intensity: shape (zones, hours) in gCO2eq/kWh, from `first` hours after 1970.

    `left_out_h` are hours that some zones have and others have not.
    """

    zones: tuple[str, ...]
    first: int
    gco2_per_kwh: NDArray[np.float64]
    source: str
    quantity: str
    left_out_h: int = 0

    @property
    def hours(self) -> int:
        """Number of hours."""
        return int(self.gco2_per_kwh.shape[1])

    def moment(self, offset_s: float) -> datetime:
        """Return the time that many seconds after the first sample."""
        return datetime.fromtimestamp(self.first * 3600 + float(offset_s), UTC)


def read_series(paths: Sequence[Path]) -> Series:
    """Read a directory, files `ZONE.csv[.gz]`, or the built-in year's hourly zones where there is no path.

    Only hours that every zone has are kept. Raises HarchosError with file, line and remedy for what
    `grid.file_replay` refuses in a file, and for files that are not one factor set.
    """
    if not paths:
        return _builtin()
    files = zone_files(paths)
    traces = {zone: read_trace(path) for zone, path in sorted(files.items())}
    _check_one_set(files, traces)
    first = max(trace.first for trace in traces.values())
    end = min(trace.end for trace in traces.values())
    if first >= end:
        latest = max(traces, key=lambda zone: traces[zone].first)
        earliest = min(traces, key=lambda zone: traces[zone].end)
        raise HarchosError(
            f"{files[latest]}: begins after {files[earliest]} ends: no hour is common to all zones",
            hint="give files that cover the same time",
        )
    values = np.array([trace.values[first - trace.first : end - trace.first] for trace in traces.values()])
    longest = max(len(trace.values) for trace in traces.values())
    where = ", ".join(str(path) for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    return Series(tuple(traces), first, values, where, "as the files say", longest - (end - first))


def _builtin() -> Series:
    signal = builtin_replay()
    start = datetime(TRACE_YEAR, 1, 1, tzinfo=UTC)
    every = (signal.intensity(zone, start, YEAR_H) for zone in sorted(signal.zones()))
    read = [intensity for intensity in every if not intensity.basis.flat]
    check_same_factors(intensity.basis for intensity in read)
    return Series(
        tuple(intensity.zone for intensity in read),
        hours_since_epoch(start),
        np.array([intensity.gco2_per_kwh for intensity in read]),
        f"{signal.name} of {TRACE_YEAR}, scaled to the newest yearly average",
        read[0].basis.quantity,
    )


def _check_one_set(files: dict[str, Path], traces: dict[str, Trace]) -> None:
    """Refuse files of two folders, or with other carbon columns: what they measure may differ."""
    (_, first), *others = files.items()
    columns = next(iter(traces[zone].carbon_columns for zone in files))
    for zone, path in others:
        if path.resolve().parent != first.resolve().parent:
            raise HarchosError(
                f"{path}: in another folder than {first}: intensities of two factor sets cannot be compared",
                hint="a folder is one factor set: put the zones of one set into one folder",
            )
        if traces[zone].carbon_columns != columns:
            raise HarchosError(
                f"{path}:1: carbon columns {', '.join(traces[zone].carbon_columns)}, but {first} has "
                f"{', '.join(columns)}: intensities of two factor sets cannot be compared",
                hint="take every zone from one set",
            )
