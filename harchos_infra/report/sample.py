"""A few of a simulation's jobs on the map, in a week in the middle: where they arrived and where they ran."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.report.atlas import Atlas, ZoneHours
from harchos_infra.report.figures.route import Route, Stretch
from harchos_infra.report.wording import grams
from harchos_infra.simulation.result import Result

JOBS_DRAWN = 12
WEEK_H = 168


@dataclass(frozen=True, slots=True)
class Sample:
    """Zones where jobs lived or ran, over the hours of the sample, and the routes of its jobs."""

    atlas: Atlas
    routes: tuple[Route, ...]

    @classmethod
    def of(cls, result: Result) -> Sample:
        """Take jobs, evenly by arrival, that begin and end in the week after the job in the middle arrived.

        Where that one takes longer than a week, its own hours are taken.
        """
        jobs, ends = result.jobs, result.realised.account.end_s
        middle = len(jobs) // 2
        first = int(jobs.arrival_s[middle]) // HOUR_S
        last = min(result.series.hours, max(first + WEEK_H, -(-int(ends[middle]) // HOUR_S)))
        inside = np.flatnonzero((jobs.arrival_s >= first * HOUR_S) & (ends <= last * HOUR_S))
        places = np.unique(np.linspace(0, len(inside) - 1, min(JOBS_DRAWN, len(inside))).round().astype(int))
        return cls(_atlas(result, first, last), tuple(_route(result, int(job)) for job in inside[places]))


def _atlas(result: Result, first: int, last: int) -> Atlas:
    series = result.series
    lived = np.unique(np.concatenate([result.jobs.home, result.realised.spans.zone]))
    zones = []
    for row in lived.tolist():
        values = series.gco2_per_kwh[row, first:last]
        flat = last - first >= 24 and bool(np.ptp(values) == 0)
        zones.append(ZoneHours(series.zones[row], (), tuple(values.tolist()), "as the signal has them", flat))
    return Atlas(series.moment(first * HOUR_S), tuple(sorted(zones, key=lambda z: (z.mean, z.zone))), {})


def _route(result: Result, job: int) -> Route:
    series, spans = result.series, result.realised.spans
    arrival = series.moment(result.jobs.arrival_s[job])
    home = series.zones[result.jobs.home[job]]
    ran = np.flatnonzero(spans.job == job).tolist()
    stretches = [
        Stretch(series.zones[spans.zone[n]], series.moment(spans.start_s[n]), series.moment(spans.end_s[n]))
        for n in ran
    ]
    ours, before = result.realised.account.gco2[job], result.run_now.account.gco2[job]
    zones = ", then ".join(dict.fromkeys(stretch.zone for stretch in stretches))
    words = (
        f"arrived {arrival:%-d %b %H:%M} at {home}, ran in {zones}: "
        f"{grams(float(ours))} instead of {grams(float(before))}"
    )
    return Route(result.jobs.ids[job], "sample", (Stretch(home, arrival, arrival), *stretches), words)
