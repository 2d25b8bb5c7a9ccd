"""Metered energy, hour by hour: joined with the grid's intensity, and checked for gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, fsum
from typing import Any

from harchos_infra.runs.record import HubSpan, Measurement

JOULES_PER_KWH = 3_600_000.0
GAP_TOLERANCE_S = 1.0
"""Shorter gaps are clock jitter between consecutive measurements: not listed, but not counted as metered."""


@dataclass(frozen=True, slots=True)
class IntensitySeries:
    """A zone's hourly intensity on the run's own clock, in gCO2e per kWh; None where an hour has no value."""

    start: datetime
    gco2_per_kwh: tuple[float | None, ...]
    basis: str

    @classmethod
    def parse(cls, document: dict[str, Any]) -> IntensitySeries:
        """Read one entry of `RunRecord.intensities`."""
        return cls(
            datetime.fromisoformat(document["start"]), tuple(document["gco2_per_kwh"]), document["basis"]
        )

    def at(self, hour: int) -> float | None:
        """Return the intensity of the hour with this index, None outside the series."""
        return self.gco2_per_kwh[hour] if 0 <= hour < len(self.gco2_per_kwh) else None

    def shares(self, start: datetime, end: datetime) -> Iterator[tuple[int, float]]:
        """Yield (hour index, share of the interval in that hour); the shares add up to one."""
        a, b = ((t - self.start).total_seconds() for t in (start, end))
        if b <= a:
            yield floor(b / 3600), 1.0
            return
        hour = floor(a / 3600)
        while hour * 3600 < b:
            yield hour, (min(b, (hour + 1) * 3600) - max(a, hour * 3600)) / (b - a)
            hour += 1


def planned_intensity(segment: dict[str, Any]) -> IntensitySeries:
    """Return the intensity that a plan's segment was decided on, from the hour in which it starts.

    Steps of less than an hour are averaged over those of each hour that the segment touches.
    """
    started = datetime.fromisoformat(segment["start"])
    start = started.replace(minute=0, second=0, microsecond=0)
    step_s, values = segment.get("intensityStepS", 3600), segment["intensityGco2PerKwh"]
    first = int((started - start).total_seconds()) // step_s
    by_hour: dict[int, list[float]] = {}
    for place, value in enumerate(values, start=first):
        by_hour.setdefault(place * step_s // 3600, []).append(value)
    hourly = tuple(sum(hour) / len(hour) for hour in by_hour.values())
    return IntensitySeries(start, hourly, segment["intensityBasis"])


@dataclass(frozen=True, slots=True)
class Emission:
    """Operational emission of some energy, and the part of that energy whose hour has no intensity."""

    gco2e: float
    kwh: float
    kwh_without_intensity: float


def emission(hub: HubSpan, measurements: Iterable[Measurement], series: IntensitySeries | None) -> Emission:
    """Return what the hub's metered energy emitted: sum over hours of kWh x PUE x intensity(zone, hour).

    Each measurement's energy is spread evenly over its interval and split exactly at hour boundaries of
    the run's own clock (`HubSpan.on_run_clock`). An hour without intensity is reported, never guessed.
    """
    grams, total, unknown = [], [], []
    for m in measurements:
        kwh = m.joules / JOULES_PER_KWH * hub.pue
        total.append(kwh)
        if series is None:
            unknown.append(kwh)
            continue
        start, end = (hub.on_run_clock(t) for t in (m.at - timedelta(seconds=m.seconds), m.at))
        for hour, share in series.shares(start, end):
            intensity = series.at(hour)
            if intensity is None:
                unknown.append(kwh * share)
            else:
                grams.append(kwh * share * intensity)
    return Emission(fsum(grams), fsum(total), fsum(unknown))


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a hub's life (real UTC) without measurement."""

    hub: str
    start: datetime
    end: datetime
    where: str

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end - self.start).total_seconds()


def metered(
    hub: HubSpan, end: datetime, measurements: Iterable[Measurement]
) -> tuple[float, tuple[Gap, ...]]:
    """Return the seconds of the hub's life until `end` that are covered by measurements, and the gaps.

    Each node counts by itself; overlapping measurements of one cover their union once.
    """
    by_node: list[list[Measurement]] = [[] for _ in range(hub.nodes)]
    for measurement in measurements:
        by_node[measurement.node].append(measurement)
    found = [_metered_node(hub, node, end, part) for node, part in enumerate(by_node)]
    return sum(covered for covered, _ in found), tuple(gap for _, gaps in found for gap in gaps)


def _metered_node(
    hub: HubSpan, node: int, end: datetime, measurements: Iterable[Measurement]
) -> tuple[float, list[Gap]]:
    name = f"{hub.hub}-n{node}" if node else hub.hub
    spans = sorted((m.at - timedelta(seconds=m.seconds), m.at) for m in measurements)
    covered, gaps, reached = 0.0, [], hub.created_at
    for start, stop in spans:
        start, stop = max(start, reached), min(stop, end)
        if stop <= start:
            continue
        if start > reached:
            where = "before the first measurement" if not covered else "between measurements"
            gaps.append(Gap(name, reached, start, where))
        covered += (stop - start).total_seconds()
        reached = stop
    if end > reached:
        gaps.append(Gap(name, reached, end, "after the last measurement" if covered else "never measured"))
    return covered, [gap for gap in gaps if gap.seconds >= GAP_TOLERANCE_S]
