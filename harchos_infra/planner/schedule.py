"""A candidate with a start, written out in full."""

from __future__ import annotations

from math import isnan

from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.horizon import Horizon
from harchos_infra.planner.plan import Schedule, Segment
from harchos_infra.planner.window import HOUR_S


def schedule(estimates: Estimates, index: int, *, at_once: bool = False) -> Schedule:
    """Return a candidate's schedule in its greenest window, or in the one that starts at once."""
    segment = _segment(estimates, index, at_once)
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
    return Schedule(
        segments=(segment,),
        cost_usd=breakdown["computeUsd"] + breakdown["transferUsd"],
        energy_kwh=kwh,
        gco2e=breakdown["operationalGco2e"] + breakdown["embodiedGco2e"] + breakdown["transferGco2e"],
        finish=segment.end,
        breakdown=breakdown,
    )


def _segment(estimates: Estimates, index: int, at_once: bool) -> Segment:
    horizon, offer, region = estimates.horizon, estimates.offers[index], estimates.regions[index]
    power = estimates.power[index]
    zone = region.zone or ""
    start_s = horizon.earliest_s if at_once else int(estimates.best_start_s[index])
    end_s = start_s + int(estimates.duration_s[index])
    embodied = float(estimates.embodied_g[index])
    hours = estimates.nodes * (end_s - start_s) / HOUR_S
    return Segment(
        provider=offer.provider,
        region=offer.region,
        zone=zone,
        instance_type=offer.instance_type,
        market=offer.market,
        nodes=estimates.nodes,
        start=horizon.moment(start_s),
        end=horizon.moment(end_s),
        gpu_model=offer.gpu_model,
        gpu_count=offer.gpu_count,
        price_usd_hour=offer.price_usd_hour,
        price_as_of=offer.price_as_of,
        power_watts=power.watts,
        power_basis=power.basis,
        pue=region.pue,
        pue_basis=region.pue_basis,
        embodied_gco2e_hour=None if isnan(embodied) else embodied / hours,
        intensity_gco2_per_kwh=horizon.slice(zone, start_s, end_s),
        intensity_basis=_words(horizon, zone),
    )


def _words(horizon: Horizon, zone: str) -> str:
    basis = horizon.bases[horizon.rows[zone]]
    return f"{basis.quantity}; {basis.method}; {basis.source}"
