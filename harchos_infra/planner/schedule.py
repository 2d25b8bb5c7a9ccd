"""A candidate's schedule, written out in full."""

from __future__ import annotations

from itertools import pairwise
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.course import Leg
from harchos_infra.planner.estimate import Estimates, Transfer
from harchos_infra.planner.horizon import Horizon
from harchos_infra.planner.plan import Schedule, Segment
from harchos_infra.planner.variants import transfers
from harchos_infra.planner.window import HOUR_S, integrals

if TYPE_CHECKING:
    from harchos_infra.planner.moving import Moves


def schedule(
    estimates: Estimates, index: int, *, at_once: bool = False, moves: Moves | None = None, gap: float = 0.0
) -> Schedule:
    """Return the schedule of an entry, or the window of its candidate that starts at once."""
    course = None if at_once else estimates.courses[index]
    legs = (_window(estimates, index, at_once),) if course is None else course.legs
    mean = float((estimates.now_mean if at_once else estimates.best_mean)[index])
    kwh = float(estimates.energy_kwh[index])
    embodied = float(estimates.embodied_g[index])
    breakdown = {
        "computeUsd": float(estimates.compute_usd[index]),
        "transferUsd": float(estimates.transfer_usd[index]),
        "operationalGco2e": kwh * mean,
        "embodiedGco2e": 0.0 if isnan(embodied) else embodied,
        "transferGco2e": float(estimates.transfer_g[index]),
        "transferGco2eHigh": float(estimates.transfer_g_high[index]),
    }
    if course is not None and len(legs) > 1:
        moved = transfers(estimates, course, moves)
        breakdown |= _pauses(estimates, legs)
        breakdown |= {"moveUsd": moved.usd, "moveGco2e": moved.gco2e_low, "moveGco2eHigh": moved.gco2e_high}
    into = [moves.transfer(a.candidate, b.candidate) if moves else None for a, b in pairwise(legs)]
    segments = tuple(_segment(estimates, leg, moved) for leg, moved in zip(legs, (None, *into), strict=True))
    return Schedule(
        segments=segments,
        cost_usd=breakdown["computeUsd"] + breakdown["transferUsd"],
        energy_kwh=kwh,
        gco2e=breakdown["operationalGco2e"] + breakdown["embodiedGco2e"] + breakdown["transferGco2e"],
        finish=segments[-1].end,
        breakdown=breakdown,
        gap=gap,
    )


def _window(estimates: Estimates, index: int, at_once: bool) -> Leg:
    start_s = estimates.horizon.earliest_s if at_once else int(estimates.best_start_s[index])
    return Leg(index, start_s, start_s + int(estimates.duration_s[index]), estimates.nodes)


def _pauses(estimates: Estimates, legs: tuple[Leg, ...]) -> dict[str, float]:
    """Return what saving and restarting take."""
    spans = [
        (leg, start_s, end_s)
        for leg in legs
        for start_s, end_s in (
            (leg.start_s, leg.start_s + leg.lead_s),
            (leg.end_s - leg.tail_s, leg.end_s),
        )
        if end_s > start_s
    ]
    candidates = np.array([leg.candidate for leg, _, _ in spans], dtype=np.int64)
    nodes = np.array([leg.nodes for leg, _, _ in spans], dtype=np.float64)
    starts, ends = (np.array([span[i] for span in spans], dtype=np.int64) for i in (1, 2))
    horizon, hours = estimates.horizon, nodes * (ends - starts) / HOUR_S
    rows, kw = estimates.rows[candidates], estimates.node_kw[candidates]
    grams = integrals(horizon.intensity, rows, starts, ends, horizon.step_s)
    return {
        "pauseKwh": float((kw * hours).sum()),
        "pauseUsd": float((estimates.price_usd_hour[candidates] * hours).sum()),
        "pauseGco2e": float((kw * nodes * grams).sum()),
    }


def _segment(estimates: Estimates, leg: Leg, moved: Transfer | None) -> Segment:
    index, horizon = leg.candidate, estimates.horizon
    offer, region, power = estimates.offers[index], estimates.regions[index], estimates.power[index]
    zone, mode = region.zone or "", estimates.modes[index]
    embodied = float(estimates.embodied_g_hour[index])
    return Segment(
        provider=offer.provider,
        region=offer.region,
        zone=zone,
        instance_type=offer.instance_type,
        market=offer.market,
        nodes=leg.nodes,
        start=horizon.moment(leg.start_s),
        end=horizon.moment(leg.end_s),
        gpu_model=offer.gpu_model,
        gpu_count=offer.gpu_count,
        price_usd_hour=offer.price_usd_hour,
        price_as_of=offer.price_as_of,
        power_watts=power.watts,
        power_basis=power.basis,
        pue=region.pue,
        pue_basis=region.pue_basis,
        embodied_gco2e_hour=None if isnan(embodied) else embodied,
        intensity_gco2_per_kwh=horizon.slice(zone, leg.start_s, leg.end_s),
        intensity_basis=_words(horizon, zone),
        intensity_step_s=horizon.step_s,
        gpu_limit_watts=mode.watts if mode else None,
        restart_s=leg.lead_s,
        save_s=leg.tail_s,
        move_usd=moved.usd if moved else 0.0,
        move_gco2e=moved.gco2e_low if moved else 0.0,
    )


def _words(horizon: Horizon, zone: str) -> str:
    basis = horizon.bases[horizon.rows[zone]]
    return f"{basis.quantity}; {basis.method}; {basis.source}"
