"""Time the planning of fleets under quotas: 10,000 jobs by decomposition, small fleets by branching.

.venv/bin/python scripts/bench_fleet.py

The jobs are synthetic, drawn with a fixed seed: a GPU model of five (L4, T4, A10G, A100-80GB, H100-SXM;
weights 4, 3, 1, 1, 1), 1, 2, 4 or 8 of them (weights 60, 20, 12, 8), 1 to 24 h long, may start at an hour of
the first four days and must be done 6 to 72 h after its length has passed. Each may run on every on-demand
offer of the catalogue with its model and enough GPUs; watts, PUE, prices and hourly intensity are the
package's own, from 2022-07-01 on; carbon costs 190 USD/t. A quota holds for every model in every region.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.grid.parse import parse_signal
from harchos_infra.planner.fleet.problem import Candidates, Problem
from harchos_infra.planner.fleet.solve import Solution, solve
from harchos_infra.planner.objective import BALANCED_CARBON_PRICE_USD_PER_T

NOW = datetime(2022, 7, 1, tzinfo=UTC)
MODELS, MODEL_WEIGHTS = ("L4", "T4", "A10G", "A100-80GB", "H100-SXM"), (4, 3, 1, 1, 1)
COUNTS, COUNT_WEIGHTS = (1, 2, 4, 8), (60, 20, 12, 8)
HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
SLACK_H = (6, 12, 24, 48, 72)
ARRIVE_H = 96
LATEST_H = ARRIVE_H + max(SLACK_H) + max(HOURS)


@dataclass(frozen=True)
class Measured:
    """One solved fleet: seconds to solve, wall and processor, the process's peak memory, and the solution."""

    jobs: int
    candidates: int
    quota: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    unplaced: int
    solution: Solution
    unlimited: float
    """Sum of scores if there were no quotas."""


def fleet(jobs: int, quota: int, seed: int = 1, regions: int | None = None) -> Problem:
    """Return the synthetic fleet; `regions` keeps only so many of the catalogue's, those with most offers."""
    rng = np.random.default_rng(seed)
    model = rng.choice(len(MODELS), jobs, p=np.array(MODEL_WEIGHTS) / sum(MODEL_WEIGHTS))
    count = rng.choice(len(COUNTS), jobs, p=np.array(COUNT_WEIGHTS) / sum(COUNT_WEIGHTS))
    hours = rng.choice(HOURS, jobs)
    arrive, slack = rng.integers(0, ARRIVE_H, jobs), rng.choice(SLACK_H, jobs)
    offers, zones, pools = offered(regions)
    intensity = np.array(
        [parse_signal(None).intensity(zone, NOW, LATEST_H).gco2_per_kwh for zone in zones], dtype=float
    )
    parts = []
    for job in range(jobs):
        rows = offers[model[job], count[job]]
        parts.append(np.column_stack([np.full(len(rows), job), rows]))
    table = np.concatenate(parts)
    job = table[:, 0].astype(np.int64)
    length = hours[job]
    candidates = Candidates(
        job=job,
        zone=table[:, 1].astype(np.int64),
        earliest_s=arrive[job] * 3600,
        latest_s=(arrive + slack)[job] * 3600,
        duration_s=length * 3600,
        fixed=table[:, 2] * length,
        slope=table[:, 3] * length * BALANCED_CARBON_PRICE_USD_PER_T / 1e6,
        most_mean=np.full(len(job), np.inf),
        pools=table[:, 4:5].astype(np.int64),
        units=table[:, 5:6],
    )
    return Problem(jobs, candidates, intensity, np.full(pools, float(quota)), np.full(jobs, np.inf))


def offered(regions: int | None) -> tuple[dict[tuple[int, int], np.ndarray], list[str], int]:
    """Return, per model and count, rows of zone, USD/h, kW with PUE, pool and GPUs; the zones; the pools."""
    catalog = Catalog.builtin()
    with_offers: dict[tuple[str, str], int] = {}
    for offer in catalog.offers:
        if offer.market == "on-demand" and offer.gpu_model in MODELS:
            with_offers[offer.provider, offer.region] = with_offers.get((offer.provider, offer.region), 0) + 1
    places = sorted(with_offers, key=lambda place: (-with_offers[place], place))[:regions]
    zones = sorted({zone for place in places if (zone := catalog.regions[place].zone)})
    pool = {(place, model): i for i, (place, model) in enumerate((p, m) for p in places for m in MODELS)}
    rows: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for offer in catalog.offers:
        place = offer.provider, offer.region
        if offer.market != "on-demand" or (place, offer.gpu_model) not in pool:
            continue
        region = catalog.regions[place]
        if region.zone is None or offer.gpu_model is None:
            continue
        for index, count in enumerate(COUNTS):
            power = catalog.power.node_watts(offer, count, 1.0, 0.5) if offer.gpu_count >= count else None
            if power is not None:
                rows.setdefault((MODELS.index(offer.gpu_model), index), []).append(
                    (
                        zones.index(region.zone),
                        offer.price_usd_hour,
                        power.watts * region.pue / 1000,
                        pool[place, offer.gpu_model],
                        offer.gpu_count,
                    )
                )
    return {key: np.array(found) for key, found in rows.items()}, zones, len(pool)


def measure(jobs: int, quota: int, *, regions: int | None = None) -> Measured:
    """Solve one synthetic fleet and time it."""
    problem = fleet(jobs, quota, regions=regions)
    unlimited = solve(replace(problem, capacity=np.full_like(problem.capacity, 1e9)))
    begin, begin_cpu = time.perf_counter(), time.process_time()
    solution = solve(problem)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    unplaced = int((solution.placement.candidate < 0).sum())
    return Measured(
        jobs=jobs,
        candidates=len(problem.candidates),
        quota=quota,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_mib=peak,
        unplaced=unplaced,
        solution=solution,
        unlimited=unlimited.score,
    )


FLEETS = ((100, 8, 5), (500, 16, 5), (10_000, 32, None))
"""Jobs, GPUs of a model in a region, and how many regions (None: all), from small to large."""
HEADINGS = (
    "| fleet | method | wall | processor | gap | score | without a place | peak memory of the process |",
    "|---|---|--:|--:|--:|--:|--:|--:|",
)


def rows() -> Iterator[str]:
    """Yield the table line by line, as each fleet is solved."""
    yield from HEADINGS
    for jobs, quota, regions in FLEETS:
        yield row(measure(jobs, quota, regions=regions))


def row(measured: Measured) -> str:
    """Return a line of the table."""
    s = measured.solution
    return (
        f"| {measured.jobs:,} jobs, {measured.candidates:,} candidates, {measured.quota} GPUs a pool "
        f"| {s.method} "
        f"| {measured.seconds:.2f} s | {measured.cpu_seconds:.2f} s | {s.gap:.3%} | {s.score:,.0f} USD, "
        f"{s.score - measured.unlimited:+,.0f} for the quotas | {measured.unplaced} "
        f"| {measured.peak_mib:.0f} MiB |"
    )


if __name__ == "__main__":
    for line in rows():
        print(line, flush=True)
