"""The threshold policy: no forecast, run while the grid is cleaner than it mostly was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.spans import Spans
from harchos_infra.simulation.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

WEEK_H = 168
PERCENTILE = 30.0


def by_threshold(jobs: Jobs, world: World) -> Spans:
    """Run at home in green hours, and in others as late as the deadline lets the rest of the work begin.

    An hour is green where the one before it, the last that is known, was at or below the 30th percentile of
    the week that it ends. In the first week of the series that is what has passed of it. A job that is not
    interruptible starts in the first green hour and runs through.
    """
    green = _green(world, np.unique(jobs.home))
    left, begun, parts = jobs.duration_s.copy(), np.zeros(len(jobs), dtype=bool), []
    active, now = np.arange(len(jobs)), jobs.arrival_s.copy()
    while len(active):
        start, hour = now[active], now[active] // HOUR_S
        end = np.minimum((hour + 1) * HOUR_S, jobs.deadline_s[active])
        runs = green[jobs.home[active], hour] | (begun[active] & ~jobs.interruptible[active])
        forced = np.maximum(jobs.deadline_s[active] - left[active], start)
        start = np.where(runs, start, np.minimum(forced, end))
        length = np.minimum(end - start, left[active])
        parts.append(Spans(active, jobs.home[active], start, start + length))
        left[active] -= length
        begun[active] |= length > 0
        now[active] = end
        active = active[left[active] > 0]
    world.tick(len(jobs))
    return Spans.joined(parts)


def _green(world: World, zones: Ints) -> Bools:
    """Return whether each hour is green, (all zones, hours); only rows of `zones` are looked at."""
    actual = world.series.gco2_per_kwh
    green = np.zeros(actual.shape, dtype=bool)
    for zone in zones.tolist():
        row = actual[zone]
        first = [np.percentile(row[:hours], PERCENTILE) for hours in range(1, min(WEEK_H, len(row)))]
        weeks = np.lib.stride_tricks.sliding_window_view(row, min(WEEK_H, len(row)))
        levels = np.concatenate([first, np.percentile(weeks, PERCENTILE, axis=1)])
        green[zone, 1:] = (row <= levels)[:-1]
    return green
