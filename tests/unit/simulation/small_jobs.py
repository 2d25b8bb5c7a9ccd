"""Small random worlds for the simulation, and what happens in them added up hour by hour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Outlook, Perfect
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import Spans
from harchos_infra.simulation.world import World

HOUR_S = 3600


def series(rng: np.random.Generator, zones: int = 3, hours: int = 30) -> Series:
    values = rng.integers(0, 9, (zones, hours)) * 50.0 + rng.integers(0, 3, (zones, 1)) * 100
    return Series(tuple(f"Z{row}" for row in range(zones)), 455_832, values, "small", "small")


def jobs(
    rng: np.random.Generator, of: Series, count: int = 6, *, unit_s: int = HOUR_S, **given: object
) -> Jobs:
    """Return jobs whose arrival, duration and slack are multiples of `unit_s`."""
    per_hour = HOUR_S // unit_s
    arrival = np.sort(rng.integers(0, 10 * per_hour, count)) * unit_s
    duration = rng.integers(1, 6 * per_hour, count) * unit_s
    slack = rng.integers(0, 8 * per_hour, count) * unit_s
    made = Jobs(
        ids=tuple(str(job) for job in range(count)),
        lines=np.arange(count) + 2,
        arrival_s=arrival,
        duration_s=duration,
        deadline_s=arrival + duration + slack,
        nodes=np.ones(count, dtype=np.int64),
        kw=rng.integers(1, 4, count).astype(float),
        interruptible=np.zeros(count, dtype=bool),
        home=rng.integers(0, len(of.zones), count),
        restart_kwh=np.zeros(count),
        state_gib=np.zeros(count),
        expected_s=duration,
    )
    assert int(made.deadline_s.max()) <= of.hours * HOUR_S
    return replace(made, **given)  # type: ignore[arg-type]


def job(arrival_h: float, duration_h: float, deadline_h: float, **given: object) -> Jobs:
    """Return one job of 1 kW at home in the first zone."""
    duration_s = np.array([round(duration_h * HOUR_S)])
    made = Jobs(
        ids=("a",),
        lines=np.array([2]),
        arrival_s=np.array([round(arrival_h * HOUR_S)]),
        duration_s=duration_s,
        deadline_s=np.array([round(deadline_h * HOUR_S)]),
        nodes=np.array([1]),
        kw=np.array([1.0]),
        interruptible=np.array([False]),
        home=np.array([0]),
        restart_kwh=np.zeros(1),
        state_gib=np.zeros(1),
        expected_s=duration_s,
    )
    return replace(made, **given)  # type: ignore[arg-type]


def world(of: Series, outlook: Outlook | None = None, **given: object) -> World:
    return World(of, outlook or Perfect(of), **given)  # type: ignore[arg-type]


def grams_by_hand(all_jobs: Jobs, job: int, of: Series, spans: Spans) -> float:
    """Add up a job's grams: running hour by hour, then its restarts. Moves are not in it."""
    total, began = 0.0, False
    for place in np.flatnonzero(spans.job == job):
        zone, start, end = spans.zone[place], spans.start_s[place], spans.end_s[place]
        for hour in range(of.hours):
            overlap = min(end, (hour + 1) * HOUR_S) - max(start, hour * HOUR_S)
            total += all_jobs.kw[job] * max(overlap, 0) / HOUR_S * of.gco2_per_kwh[zone, hour]
        if began:
            total += all_jobs.restart_kwh[job] * of.gco2_per_kwh[zone, start // HOUR_S]
        began = True
    return total
