"""Schedules of several legs as further entries of the estimates, so that they are ranked like any other.

    kWh         = sum over legs of nodes x node kW x hours
    operational = sum over legs of nodes x node kW x integral of the zone's intensity
    USD         = sum over legs of nodes x price x hours, and the transfers: the data's, and each move's

Restarting and saving are part of a leg, at the power, price and intensity of the time they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.planner.course import Course
from harchos_infra.planner.estimate import Estimates, Transfer
from harchos_infra.planner.window import HOUR_S, integrals

if TYPE_CHECKING:
    from harchos_infra.planner.moving import Moves


def extended(estimates: Estimates, courses: Sequence[Course], moves: Moves | None = None) -> Estimates:
    """Return the estimates with an entry for each course, which belongs to the offer that it starts on."""
    if not courses:
        return estimates
    legs = [leg for course in courses for leg in course.legs]
    of = np.repeat(np.arange(len(courses)), [len(course.legs) for course in courses])
    candidates, start_s, end_s, nodes = (np.array([leg[i] for leg in legs], dtype=np.int64) for i in range(4))
    rows = estimates.rows[candidates]
    grams = integrals(estimates.horizon.intensity, rows, start_s, end_s, estimates.horizon.step_s)
    hours = nodes * (end_s - start_s) / HOUR_S

    def total(values: Any) -> Any:
        return np.bincount(of, weights=values, minlength=len(courses))

    kw = estimates.node_kw[candidates]
    energy_kwh, operational = total(kw * hours), total(kw * nodes * grams)
    first = np.array([course.legs[0].candidate for course in courses])
    starts = np.array([course.legs[0].start_s for course in courses])
    ends = np.array([course.legs[-1].end_s for course in courses])
    moved = [transfers(estimates, course, moves) for course in courses]
    added: dict[str, Any] = {
        "courses": tuple(courses),
        "duration_s": ends - starts,
        "energy_kwh": energy_kwh,
        "compute_usd": total(estimates.price_usd_hour[candidates] * hours),
        "embodied_g": total(estimates.embodied_g_hour[candidates] * hours),
        "transfer_usd": estimates.transfer_usd[first] + [m.usd for m in moved],
        "transfer_g": estimates.transfer_g[first] + [m.gco2e_low for m in moved],
        "transfer_g_high": estimates.transfer_g_high[first] + [m.gco2e_high for m in moved],
        "best_start_s": starts,
        "best_mean": operational / np.where(energy_kwh > 0, energy_kwh, 1.0),
    }
    for name in ("offers", "regions", "power", "modes"):
        values = getattr(estimates, name)
        added[name] = tuple(values[index] for index in first.tolist())
    for name in ("offer_of", "rows", "node_kw", "price_usd_hour", "embodied_g_hour", "now_mean"):
        added[name] = getattr(estimates, name)[first]
    longer: dict[str, Any] = {
        name: (*getattr(estimates, name), *values)
        if isinstance(values, tuple)
        else np.concatenate([getattr(estimates, name), values])
        for name, values in added.items()
    }
    return replace(estimates, **longer)


def transfers(estimates: Estimates, course: Course, moves: Moves | None) -> Transfer:
    """Return what the moves of a course transfer, in all."""
    usd = low = high = 0.0
    for before, after in pairwise(course.legs):
        if moves is not None and before.candidate != after.candidate:
            moved = moves.transfer(before.candidate, after.candidate)
            usd, low, high = usd + moved.usd, low + moved.gco2e_low, high + moved.gco2e_high
    return Transfer(usd, low, high)
