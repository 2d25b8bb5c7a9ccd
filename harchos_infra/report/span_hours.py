"""A simulation's spans of running cut at every full hour: what runs when, where, and what that emits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SpanHours:
    """One entry for each hour that a span touches: its hour and zone in the series, kWh drawn, grams emitted.

    Of running alone: what restarts and moves take is not in them.
    """

    hour: NDArray[np.int64]
    zone: NDArray[np.int64]
    kwh: NDArray[np.float64]
    gco2: NDArray[np.float64]

    @classmethod
    def of(cls, jobs: Jobs, series: Series, spans: Spans) -> SpanHours:
        """Cut the spans of `jobs` on this series."""
        first, last = spans.start_s // HOUR_S, -(-spans.end_s // HOUR_S)
        count = last - first
        span = np.repeat(np.arange(len(count)), count)
        place = np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count)
        hour, zone = first[span] + place, spans.zone[span]
        begin = np.maximum(spans.start_s[span], hour * HOUR_S)
        end = np.minimum(spans.end_s[span], (hour + 1) * HOUR_S)
        kwh = jobs.kw[spans.job[span]] * (end - begin) / HOUR_S
        return cls(hour, zone, kwh, kwh * series.gco2_per_kwh[zone, hour])

    def hourly_gco2(self, hours: int) -> NDArray[np.float64]:
        """Return the grams of each of the series' hours, shape (hours,)."""
        return np.bincount(self.hour, self.gco2, hours).astype(np.float64)

    def by_zone(self, zones: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return kWh and grams of each of the series' zones, shape (zones,)."""
        both = (np.bincount(self.zone, values, zones) for values in (self.kwh, self.gco2))
        kwh, gco2 = (values.astype(np.float64) for values in both)
        return kwh, gco2
