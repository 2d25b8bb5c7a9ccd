"""Policies that wait for the greenest window, at home or anywhere: planner.window on what is foreseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import HOUR_S, breakpoint_starts, earliest_least, window_means
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.spans import Spans
from harchos_infra.simulation.world import World, least

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_ROWS = 10_000
"""Rows of a matrix that stays in a processor's cache."""


def by_window(jobs: Jobs, world: World, *, anywhere: bool) -> Spans:
    """Start each job where and when its window is least, as foreseen; with replanning, until it has begun."""
    parts = []
    for piece in world.pieces(jobs, anywhere=anywhere):
        parts.append(_piece(jobs.take(piece), world, anywhere).of_jobs(piece))
        world.tick(len(piece))
    return Spans.joined(parts)


def _piece(jobs: Jobs, world: World, anywhere: bool) -> Spans:
    zones = world.choices(jobs, anywhere=anywhere)
    moved_g = world.placing_g(jobs, zones, world.move_means(jobs, zones, jobs.arrival_s))
    start, chosen = np.zeros_like(jobs.arrival_s), np.zeros_like(jobs.home)
    waiting, now = np.arange(len(jobs)), jobs.arrival_s.copy()
    while len(waiting):
        best_s, mean = _windows(jobs.take(waiting), world, zones[waiting], now[waiting])
        kwh = (jobs.kw * jobs.expected_s)[waiting] / HOUR_S
        column = least(kwh[:, None] * mean + moved_g[waiting])
        start[waiting] = best_s[np.arange(len(waiting)), column]
        chosen[waiting] = zones[waiting, column]
        if world.replan_s is None:
            break
        now[waiting] += world.replan_s
        waiting = waiting[start[waiting] >= now[waiting]]
    return Spans(np.arange(len(jobs)), chosen, start, start + jobs.duration_s)


def _windows(jobs: Jobs, world: World, zones: Ints, now_s: Ints) -> tuple[Ints, Floats]:
    """Return the best start from `now_s` on of each job in each zone, and its mean intensity as foreseen."""
    hour, phase = np.divmod(now_s, HOUR_S)
    latest = jobs.latest_s - hour * HOUR_S
    best_s, best = np.zeros(zones.shape, dtype=np.int64), np.zeros(zones.shape)
    for members, (earliest_s, latest_s, duration_s) in alike(zones.shape[1], phase, latest, jobs.expected_s):
        ahead = -(-(latest_s + duration_s) // HOUR_S)
        seen = world.seen(zones[members], hour[members], ahead).reshape(-1, ahead)
        starts = breakpoint_starts(earliest_s, latest_s, duration_s)
        means = window_means(seen, starts, duration_s)
        first = earliest_least(means, seen)
        shape = len(members), zones.shape[1]
        best[members] = means[np.arange(len(first)), first].reshape(shape)
        best_s[members] = starts[first].reshape(shape) + hour[members, None] * HOUR_S
    return best_s, best


def alike(zones: int, *keys: Ints) -> Iterator[tuple[Ints, tuple[int, ...]]]:
    """Yield the places of jobs that share all keys, a bounded number at a time, with the keys."""
    distinct, group = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group.ravel(), minlength=len(distinct)))
    at_once = max(_ROWS // zones, 1)
    for values, first, end in zip(distinct.tolist(), (0, *ends[:-1].tolist()), ends.tolist(), strict=True):
        for begin in range(first, end, at_once):
            yield order[begin : min(begin + at_once, end)], tuple(values)
