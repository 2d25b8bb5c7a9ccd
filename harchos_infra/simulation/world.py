"""What a policy may know: the signal up to now, the outlook, prices, and where jobs may run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog.transfer import ENERGY_KWH_PER_GB, GB_PER_GIB
from harchos_infra.planner.window import HOUR_S, TIE
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Outlook
from harchos_infra.simulation.prices import Prices
from harchos_infra.simulation.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CELLS = 1_000_000
"""Jobs x zones x hours that are looked at in one piece."""


def _silent(done: int) -> None:
    return None


@dataclass(frozen=True)
class World:
    """`replan_s` is how often a job that waits or is paused is decided on again; None: only on arrival.

    `tick` is called with the number of jobs just done.
    """

    series: Series
    outlook: Outlook
    replan_s: int | None = None
    prices: Prices | None = None
    tick: Callable[[int], None] = field(default=_silent)

    @property
    def places(self) -> Ints:
        """Rows of the zones where jobs may run: all, or with prices those that have an offer."""
        every = np.arange(len(self.series.zones))
        return every if self.prices is None else every[~np.isnan(self.prices.usd_hour)]

    def choices(self, jobs: Jobs, *, anywhere: bool) -> Ints:
        """Return the zones each job may run in, its home first: (jobs, places), or (jobs, 1) at home."""
        home = jobs.home[:, None]
        if not anywhere:
            return home
        places = np.broadcast_to(self.places, (len(jobs), len(self.places)))
        return np.concatenate([home, places[places != home].reshape(len(jobs), -1)], axis=1)

    def seen(self, zones: Ints, hour: Ints, ahead: int) -> Floats:
        """Return the outlook of each job's zones (jobs, zones) at its hour: (jobs, zones, ahead)."""
        rows, columns = zones.shape
        seen = self.outlook.seen(zones.ravel(), np.repeat(hour, columns), ahead)
        return seen.reshape(rows, columns, ahead)

    def last_known(self, zones: Ints, at_s: Ints) -> Floats:
        """Return the intensity of the hour before each time, or of the series' first (jobs, zones)."""
        hour = np.maximum(at_s // HOUR_S - 1, 0)
        known: Floats = self.series.gco2_per_kwh[zones, hour[:, None]]
        return known

    def move_means(self, jobs: Jobs, zones: Ints, now_s: Ints) -> Floats:
        """Return each zone's mean intensity from `now_s` to the job's deadline, as foreseen: (jobs, zones).

        Zeros where no job has state to move.
        """
        means = np.zeros(zones.shape)
        if not jobs.state_gib.any():
            return means
        hour = now_s // HOUR_S
        length = -(-jobs.deadline_s // HOUR_S) - hour
        for ahead in np.unique(length).tolist():
            members = np.flatnonzero(length == ahead)
            means[members] = self.seen(zones[members], hour[members], ahead).mean(axis=2)
        return means

    def placing_g(self, jobs: Jobs, zones: Ints, means: Floats) -> Floats:
        """Return the grams of moving each job's state from home to each zone, home first: (jobs, zones)."""
        grams = move_kwh(jobs)[:, None] * (means[:, :1] + means) / 2
        return np.where(zones == jobs.home[:, None], 0.0, grams)

    def pieces(self, jobs: Jobs, *, anywhere: bool) -> Iterator[Ints]:
        """Yield the places of jobs by arrival, in pieces that bound the memory."""
        hours = -(-(np.maximum(jobs.deadline_s, jobs.latest_s + jobs.expected_s)) // HOUR_S)
        cells = (hours - jobs.arrival_s // HOUR_S + 1) * (len(self.places) if anywhere else 1)
        piece = np.cumsum(cells) // _CELLS
        every = np.arange(len(jobs))
        for number in np.unique(piece).tolist():
            yield every[piece == number]


def move_kwh(jobs: Jobs) -> Floats:
    """Return the energy of moving each job's state once, at the low end of the range."""
    kwh: Floats = jobs.state_gib * GB_PER_GIB * ENERGY_KWH_PER_GB[0]
    return kwh


def least(totals: Floats) -> Ints:
    """Return the first column of each row whose total is the least but for TIE: home stands first."""
    best = totals.min(axis=1, keepdims=True)
    first: Ints = np.argmax(totals <= best + TIE * np.abs(best), axis=1)
    return first
