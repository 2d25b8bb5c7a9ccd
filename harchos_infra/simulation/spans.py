"""Where and when jobs ran, and what that took: the one place where grams are counted.

    running  = kW x integral of the actual intensity of the zone over the span
    restarts = restart kWh x intensity of the hour of each resume, of those after the first start
    moves    = GB of state x kWh per GB x mean intensity of both ends, from the job's arrival to its deadline

State lies at home when a job arrives; each change of zone moves it, the first one away from home included. In
which hour it travels is not planned, so that both ends count with their mean over the job's own hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog.transfer import ENERGY_KWH_PER_GB, GB_PER_GIB
from harchos_infra.planner.window import HOUR_S, integrals
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Uninterrupted stretches of running, one entry each; seconds from the series' first sample."""

    job: Ints
    zone: Ints
    start_s: Ints
    end_s: Ints

    @classmethod
    def of(cls, job: Ints, zone: Ints, start_s: Ints, end_s: Ints) -> Spans:
        """Return the spans by job and start, without empty ones; those that touch in one zone are one."""
        some = end_s > start_s
        job, zone, start_s, end_s = job[some], zone[some], start_s[some], end_s[some]
        order = np.lexsort((start_s, job))
        job, zone, start_s, end_s = job[order], zone[order], start_s[order], end_s[order]
        goes_on = (job[1:] == job[:-1]) & (zone[1:] == zone[:-1]) & (start_s[1:] == end_s[:-1])
        first = np.flatnonzero(np.concatenate([[True], ~goes_on])[: len(job)])
        last = np.append(first[1:], len(job)) - 1
        return cls(job[first], zone[first], start_s[first], end_s[last[: len(first)]])

    @classmethod
    def joined(cls, parts: Iterable[Spans]) -> Spans:
        """Return all of these spans."""
        found = list(parts)
        if not found:
            return cls(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
        return cls.of(
            np.concatenate([part.job for part in found]),
            np.concatenate([part.zone for part in found]),
            np.concatenate([part.start_s for part in found]),
            np.concatenate([part.end_s for part in found]),
        )

    def of_jobs(self, jobs: Ints) -> Spans:
        """Return the spans with `jobs[k]` in place of job k."""
        return Spans(jobs[self.job], self.zone, self.start_s, self.end_s)


@dataclass(frozen=True)
class Account:
    """What each job took: arrays of shape (jobs,). `move_g` and `move_kwh` are low and high: (2, jobs)."""

    compute_kwh: Floats
    compute_g: Floats
    restart_kwh: Floats
    restart_g: Floats
    move_kwh: Floats
    move_g: Floats
    restarts: Ints
    moves: Ints
    start_s: Ints
    end_s: Ints
    delay_s: Ints
    """Later end than a start at once would have had."""

    @property
    def gco2(self) -> Floats:
        """All grams, moves at the low end of their range."""
        grams: Floats = self.compute_g + self.restart_g + self.move_g[0]
        return grams

    @property
    def kwh(self) -> Floats:
        """All energy, moves at the low end of their range."""
        energy: Floats = self.compute_kwh + self.restart_kwh + self.move_kwh[0]
        return energy


def account(jobs: Jobs, series: Series, spans: Spans) -> Account:
    """Count what running `jobs` in `spans` took on the actual intensity."""
    count, actual = len(jobs), series.gco2_per_kwh
    first = np.concatenate([[True], spans.job[1:] != spans.job[:-1]])
    later = np.flatnonzero(~first)
    came_from = np.where(first, jobs.home[spans.job], np.roll(spans.zone, 1))
    moved = np.flatnonzero(came_from != spans.zone)
    mover = spans.job[moved]
    gb = jobs.state_gib[mover] * GB_PER_GIB
    ran, both = _intensities(jobs, actual, spans, came_from, moved)
    started = jobs.restart_kwh[spans.job[later]]
    begun, ended = np.flatnonzero(first), np.flatnonzero(np.roll(first, -1))

    def by_job(places: Ints, values: Floats) -> Floats:
        return np.bincount(spans.job[places], weights=values, minlength=count).astype(np.float64)

    every = np.arange(len(spans.job))
    return Account(
        compute_kwh=by_job(every, jobs.kw[spans.job] * (spans.end_s - spans.start_s) / HOUR_S),
        compute_g=by_job(every, jobs.kw[spans.job] * ran),
        restart_kwh=by_job(later, started),
        restart_g=by_job(later, started * actual[spans.zone[later], spans.start_s[later] // HOUR_S]),
        move_kwh=np.array([by_job(moved, gb * each) for each in ENERGY_KWH_PER_GB]),
        move_g=np.array([by_job(moved, gb * both * each) for each in ENERGY_KWH_PER_GB]),
        restarts=np.bincount(spans.job[later], minlength=count),
        moves=np.bincount(spans.job[moved], minlength=count),
        start_s=spans.start_s[begun],
        end_s=spans.end_s[ended],
        delay_s=spans.end_s[ended] - jobs.arrival_s - jobs.duration_s,
    )


def _intensities(
    jobs: Jobs, actual: Floats, spans: Spans, came_from: Ints, moved: Ints
) -> tuple[Floats, Floats]:
    """Return each span's integral in g/kWh x hours, and for each move the mean of both ends, g/kWh.

    The ends count with their mean over the hours from the job's arrival to its deadline.
    """
    mover = spans.job[moved]
    arrival_s = jobs.arrival_s[mover] // HOUR_S * HOUR_S
    deadline_s = -(-jobs.deadline_s[mover] // HOUR_S) * HOUR_S
    ran, left, entered = np.split(
        integrals(
            actual,
            np.concatenate([spans.zone, came_from[moved], spans.zone[moved]]),
            np.concatenate([spans.start_s, arrival_s, arrival_s]),
            np.concatenate([spans.end_s, deadline_s, deadline_s]),
        ),
        [len(spans.job), len(spans.job) + len(moved)],
    )
    return ran, (left + entered) / 2 / ((deadline_s - arrival_s) / HOUR_S)
