"""Policies that start every job on arrival: they differ in where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.spans import Spans, account
from harchos_infra.simulation.world import World, least

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def run_now(jobs: Jobs, world: World) -> Spans:
    """Start on arrival, at home."""
    return _at_once(jobs, jobs.home)


def run_now_cheapest(jobs: Jobs, world: World) -> Spans:
    """Start on arrival, in the zone whose nodes are cheapest; of equals at home, else the first by name."""
    if world.prices is None:
        raise HarchosError(
            "run-now-cheapest needs prices", hint="name a GPU model: --gpu H100 (`harchos offers` lists them)"
        )
    zones = world.choices(jobs, anywhere=True)
    return _at_once(jobs, _chosen(zones, least(world.prices.usd_hour[zones])))


def greenest_now(jobs: Jobs, world: World) -> Spans:
    """Start on arrival, where it was greenest in the last known hour, the move of the state included."""
    zones = world.choices(jobs, anywhere=True)
    now = world.last_known(zones, jobs.arrival_s)
    grams = (jobs.kw * jobs.expected_s / HOUR_S)[:, None] * now + world.placing_g(jobs, zones, now)
    return _at_once(jobs, _chosen(zones, least(grams)))


def best_static(jobs: Jobs, world: World) -> Spans:
    """Start on arrival, all in the one zone that, in hindsight, takes the least for these jobs together."""
    by_zone = [_at_once(jobs, np.full_like(jobs.home, zone)) for zone in world.places.tolist()]
    totals = [account(jobs, world.series, spans).gco2.sum() for spans in by_zone]
    return by_zone[int(np.argmin(totals))]


def _at_once(jobs: Jobs, zone: Ints) -> Spans:
    return Spans(np.arange(len(jobs)), zone, jobs.arrival_s, jobs.arrival_s + jobs.duration_s)


def _chosen(zones: Ints, column: Ints) -> Ints:
    return zones[np.arange(len(zones)), column]
