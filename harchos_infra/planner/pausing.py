"""Candidates whose job is paused: the best pauses of each, for a price that is put on carbon.

The score of a candidate with node power k, price p and embodied share e, for a theta of grams to the dollar,
is k x (integral of intensity) + (theta x p + e) x hours. Divided by k it depends on the zone and on one
number, rho = (theta x p + e) / k: candidates that share both are solved once, all others together.

A job is not paused unless that gains something: the W cheapest slots and the least a single pause can cost
are a bound on every schedule with pauses, and a candidate whose window is no worse than it is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.course import Course, Leg
from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.interruptible import interruptible, spans
from harchos_infra.planner.request import Request
from harchos_infra.planner.slots import Slots
from harchos_infra.planner.window import HOUR_S, TIE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def rates(estimates: Estimates, members: Ints, theta: Floats | float, with_embodied: bool) -> Floats:
    """Return rho of each member, in g/kWh: what an hour costs beside its operational carbon."""
    embodied = np.nan_to_num(estimates.embodied_g_hour[members]) if with_embodied else 0.0
    rho: Floats = (theta * estimates.price_usd_hour[members] + embodied) / estimates.node_kw[members]
    return rho


def paused(request: Request, estimates: Estimates, members: Ints, rho: Floats) -> list[Course]:
    """Return the best schedule with pauses of each member (a window that is in time) that gains by them."""
    found: list[Course] = []
    members, rho = members[estimates.node_kw[members] > 0], rho[estimates.node_kw[members] > 0]
    for duration_s in np.unique(estimates.duration_s[members]).tolist():
        same = estimates.duration_s[members] == duration_s
        slots = Slots.of(estimates.horizon, duration_s)
        if slots.work < slots.count:
            found += _of_one_length(request, estimates, members[same], rho[same], slots)
    return found


def _of_one_length(
    request: Request, estimates: Estimates, members: Ints, rho: Floats, slots: Slots
) -> list[Course]:
    save_h, restart_h = request.save_s / HOUR_S, request.restart_s / HOUR_S
    zones, zone = np.unique(estimates.rows[members], return_inverse=True)
    run, save, restart = (
        slots.running(zones),
        slots.saving(zones, request.save_s),
        slots.restarting(zones, request.restart_s),
    )
    work = np.partition(run, slots.work - 1, axis=1)[:, : slots.work]
    least = work.sum(axis=1) - (1 - slots.last_share) * work[:, -1]
    pause = save.min(axis=1) + restart.min(axis=1)
    bound = least[zone] + pause[zone] + rho * (save_h + restart_h)
    hours = estimates.duration_s[members] / HOUR_S
    window = estimates.best_mean[members] * hours
    gains = np.flatnonzero(bound < window - TIE * (window + rho * hours))
    if not len(gains):
        return []
    rows, row = np.unique(np.stack([zone[gains], rho[gains]]), axis=1, return_inverse=True)
    zone_of, rate = rows[0].astype(np.int64), rows[1][:, None]
    total, running = interruptible(
        run[zone_of] + rate * slots.hours,
        slots.work,
        save_cost=save[zone_of] + rate * save_h,
        restart_cost=restart[zone_of] + rate * restart_h,
        gap_slots=slots.gap(request.save_s + request.restart_s),
        last_share=slots.last_share,
    )
    runs = [spans(mask) for mask in running]
    return [
        Course(legs(request, slots, [(a, b, int(member)) for a, b in runs[index]], estimates.nodes))
        for member, index, best in zip(
            members[gains], row.tolist(), (window + rho * hours)[gains].tolist(), strict=True
        )
        if len(runs[index]) > 1 and total[index] < best * (1 - TIE)
    ]


def legs(request: Request, slots: Slots, runs: list[tuple[int, int, int]], nodes: int) -> tuple[Leg, ...]:
    """Return the legs of runs of slots, (first, end, candidate), with restarting before and saving after."""
    last = len(runs) - 1
    unused_s = round((1 - slots.last_share) * slots.step_s)
    found = []
    for number, (first, end, candidate) in enumerate(runs):
        lead_s = request.restart_s if number else 0
        tail_s = request.save_s if number < last else 0
        work_end_s = slots.start_s(end) - (0 if number < last else unused_s)
        found.append(
            Leg(candidate, slots.start_s(first) - lead_s, work_end_s + tail_s, nodes, lead_s, tail_s)
        )
    return tuple(found)
