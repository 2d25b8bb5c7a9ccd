"""From readings of 5, 15, 30 or 60 minutes to hours.

The value of an hour is the time-weighted mean of the readings in it:

    g(h) = sum_i s_i(h) g_i / sum_i s_i(h),     s_i(h) = seconds of reading i that lie in h and have a value

if they cover at least three quarters of the hour; else the hour is a gap. An hour that is not covered in
full, or holds an estimated reading, is estimated. Nothing is ever put in the place of a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harchos_infra.grid.sources.source import Reading

HOUR_S = 3600
LEAST_COVERED_S = 2700


@dataclass(frozen=True, slots=True)
class Hour:
    """The value of one hour in g/kWh; None is a gap."""

    gco2_per_kwh: float | None
    estimated: bool = False


GAP = Hour(None)


def hourly(readings: Iterable[Reading]) -> dict[int, Hour]:
    """Return the hours that readings touch, by hours since 1970."""
    grams: dict[int, float] = {}
    covered: dict[int, int] = {}
    estimated: set[int] = set()
    for reading in readings:
        for hour, part_s in _parts(reading):
            covered.setdefault(hour, 0)
            if reading.gco2_per_kwh is None:
                continue
            covered[hour] += part_s
            grams[hour] = grams.get(hour, 0.0) + part_s / HOUR_S * reading.gco2_per_kwh
            if reading.estimated:
                estimated.add(hour)
    return {
        hour: Hour(grams[hour] / (part_s / HOUR_S), hour in estimated or part_s < HOUR_S)
        if part_s >= LEAST_COVERED_S
        else GAP
        for hour, part_s in covered.items()
    }


def _parts(reading: Reading) -> Iterable[tuple[int, int]]:
    at, end = reading.start_s, reading.start_s + reading.span_s
    while at < end:
        hour = at // HOUR_S
        until = min(end, (hour + 1) * HOUR_S)
        yield hour, until - at
        at = until
