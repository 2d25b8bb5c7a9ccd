"""The built-in signal: a historic year, replayed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.grid.season import hours_since_epoch, same_season
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, hour_of, nearest_zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent / "data"
TRACE_YEAR = 2022
_SOURCE = "Electricity Maps (ODbL)"
_YEARS = (2021, 2022, 2023, 2024, 2025)
_STEP_G = 0.1  # unit of the stored traces


@dataclass(frozen=True, slots=True)
class Zone:
    """A grid zone of the built-in replay. Averages in gCO2eq/kWh by year."""

    key: str
    name: str
    trace_row: int | None
    trace_mean: float | None
    """Mean of the hourly trace, before scaling."""
    yearly: dict[int, float]
    flat: bool

    def newest(self) -> tuple[int, float] | None:
        """Return the newest yearly average with its year; None where there is none."""
        return max(self.yearly.items(), default=None)


class BuiltinReplay:
    """A historic year's same season, weekday and hour, for every zone that has a figure.

    The 123 zones with an hourly trace of 2022 replay it, scaled so that its mean is the newest yearly average
    of the same source; the others are flat at that average. Average, life-cycle, consumption-based.
    """

    name = "replay"

    def __init__(self) -> None:
        """Read nothing yet: files are opened when first asked for."""
        self._levels: dict[str, _Level] = {}

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start`; raise NoIntensity for an unknown zone."""
        known = self._zones.get(zone)
        if known is None:
            raise NoIntensity(
                zone, "the built-in replay does not know it", hint=nearest_zone(zone, self._zones)
            )
        first = hour_of(start)
        level = self._level(known)
        if level.trace_row is None:
            return Intensity(zone, first, np.full(hours, level.gco2_per_kwh), level.basis)
        places = _places(hours_since_epoch(first), hours)
        return Intensity(zone, first, self._traces[level.trace_row][places] * level.gco2_per_kwh, level.basis)

    def zones(self) -> frozenset[str]:
        """Return every zone with a figure."""
        return frozenset(self._zones)

    def zone(self, key: str) -> Zone:
        """Return a zone's name and yearly averages."""
        return self._zones[key]

    def fingerprint(self) -> str:
        """Return a sha256 of the data files' own sha256, which the provenance file lists."""
        return sha256((FOLDER / "provenance.json").read_bytes()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return name, source, as-of date and method, for the inputs of a plan."""
        return {
            "name": self.name,
            "source": _SOURCE,
            "asOf": f"{TRACE_YEAR} hourly, {_YEARS[-1]} yearly",
            "method": f"same season, weekday and hour of {TRACE_YEAR}, scaled to the newest yearly average; "
            "flat yearly average where no hourly trace exists",
            "quantity": "average life-cycle consumption-based",
            "fingerprint": self.fingerprint(),
        }

    @cached_property
    def _zones(self) -> dict[str, Zone]:
        with (FOLDER / "zones.csv").open(encoding="utf-8", newline="") as stream:
            return {row["zone"]: _zone(row) for row in csv.DictReader(stream)}

    @cached_property
    def _traces(self) -> NDArray[np.uint16]:
        return np.asarray(np.load(FOLDER / f"traces_{TRACE_YEAR}.npy", mmap_mode="r"))

    def _level(self, zone: Zone) -> _Level:
        if zone.key not in self._levels:
            self._levels[zone.key] = _level(zone)
        return self._levels[zone.key]


@dataclass(frozen=True, slots=True)
class _Level:
    """How a zone's values come about: `trace[row] x gco2_per_kwh`, or `gco2_per_kwh` all year."""

    trace_row: int | None
    gco2_per_kwh: float
    basis: Basis


def _level(zone: Zone) -> _Level:
    newest = zone.newest()
    if zone.flat or zone.trace_row is None or zone.trace_mean is None:
        if newest is None:
            raise NoIntensity(zone.key, "it has neither an hourly trace nor a yearly average")
        return _Level(None, newest[1], _basis(f"flat {newest[0]} yearly average", flat=True))
    if newest is None:
        method = f"replay of {TRACE_YEAR}, unscaled: no yearly average"
        return _Level(zone.trace_row, _STEP_G, _basis(method))
    year, average = newest
    method = f"replay of {TRACE_YEAR} scaled to the {year} yearly average"
    return _Level(zone.trace_row, _STEP_G * average / zone.trace_mean, _basis(method))


def _zone(row: dict[str, str]) -> Zone:
    yearly = {year: float(row[f"y{year}"]) for year in _YEARS if row[f"y{year}"]}
    trace_row = int(row["trace_row"]) if row["trace_row"] else None
    trace_mean = float(row["trace_mean"]) if row["trace_mean"] else None
    return Zone(row["zone"], row["name"], trace_row, trace_mean, yearly, row["flat"] == "1")


def _basis(method: str, *, flat: bool = False) -> Basis:
    return Basis("average", "life-cycle", "consumption", _SOURCE, method, flat=flat, estimated=True)


@lru_cache(maxsize=64)
def _places(start: int, hours: int) -> NDArray[np.int64]:
    return same_season(start, hours, hours_since_epoch(datetime(TRACE_YEAR, 1, 1, tzinfo=UTC)))


@cache
def builtin_replay() -> BuiltinReplay:
    """Return the one built-in replay of this process, with what it has read and scaled so far."""
    return BuiltinReplay()
