"""The plan equals a plain enumeration of every offer at every start, on a thousand small random worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import MIDNIGHT, POWER, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.catalog import Offer
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.workload.document import Workload

HOURS = 12
REGIONS = ("aws/one", "aws/two", "gcp/three", "azure/four")
ZONES = ("A", "B", "C")
PRICES = {"greenest": (0.0, 1.0), "cheapest": (1.0, 0.0), "balanced": (1.0, 190e-6), None: (1.0, 190e-6)}


@dataclass(frozen=True)
class Way:
    """One offer at one start, worked out by hand. `key` is the offer's place in the order of ties."""

    key: tuple[str, str, str, str]
    start: datetime
    finish: datetime
    usd: float
    kwh: float
    operational: float
    transfer: float
    embodied: float | None


@dataclass(frozen=True)
class World:
    catalog: SmallCatalog
    signal: SmallSignal
    workload: Workload
    now: datetime


def world(random: Random) -> World:
    levels = random.choice([(100.0,), (100.0, 200.0), (20.0, 333.3, 480.1, 77.0)])
    series = {zone: [random.choice(levels) for _ in range(HOURS * 3)] for zone in ZONES}
    if random.random() < 0.2:
        del series[random.choice(ZONES)]
    regions = [
        region(name, zone=random.choice([*ZONES, *ZONES, *ZONES, None]), pue=random.choice([1.0, 1.25]))
        for name in REGIONS
    ]
    offers = [
        offer(
            where,
            gpu=random.choice(["L4", "L4", "L4", "T4", "T4", "X1", None]),
            count=random.choice([1.0, 2.0]),
            price=random.choice([0.0, 1.0, 1.0, 2.5]),
            market=random.choice(["on-demand", "on-demand", "on-demand", "spot"]),
            instance=f"m{number}",
            vcpus=random.choice([2.0, 8.0]),
        )
        for number, where in enumerate(random.choices(REGIONS, k=random.randint(1, 8)))
    ]
    known = random.choice([0.0, 0.5, 1.0])
    embodied = {
        (o.provider, o.instance_type): random.choice([3.0, 30.0]) for o in offers if random.random() < known
    }
    egress = {(a, b): random.choice([0.0, 0.02]) for a in REGIONS for b in REGIONS if random.random() < 0.9}
    catalog = SmallCatalog(regions, offers, embodied=embodied, egress=egress)
    now = MIDNIGHT + timedelta(seconds=random.choice([0, 0, 1, 1800, 3599]))
    return World(catalog, SmallSignal(series), wishes(random, now), now)


def wishes(random: Random, now: datetime) -> Workload:
    spec: dict[str, Any] = {
        "duration": {"default": random.choice(["1h", "20m", "90m", "100m", "3h", "1s"]), "byGpu": {}},
        "objective": random.choice(list(PRICES)),
        "placement": {"market": random.choice(["on-demand", "any"])},
        "replicas": random.choice([1, 1, 3]),
    }
    if random.random() < 0.7:
        spec["gpu"] = {"count": random.choice([1, 1, 1, 2])}
        spec["duration"]["byGpu"] = random.choice([{}, {"T4": "2h"}, {"nvidia-L4": "80m"}])
        if random.random() < 0.3:
            spec["gpu"]["type"] = random.choice(["L4", ["L4", "T4"]])
    if random.random() < 0.85:
        spec["deadline"] = random.choice(["1h", "2h", "5h", "12h", f"{random.randint(1, 40000)}s", "11h"])
    if random.random() < 0.2:
        spec["earliestStart"] = (now + timedelta(minutes=random.randint(0, 90))).isoformat()
    if random.random() < 0.3:
        spec["data"] = [
            {"uri": "s3://x", "region": random.choice(REGIONS), "sizeGiB": random.choice([1, 500])}
        ]
    budget: dict[str, float] = {}
    if random.random() < 0.15:
        budget["maxCost"] = random.choice([0.5, 1.0, 3.0])
    if random.random() < 0.2:
        budget["maxCarbon"] = random.choice([0.005, 0.02, 0.05])
    return workload(**{k: v for k, v in {**spec, "budget": budget}.items() if v is not None})


def hours_of(w: World, machine: Offer) -> float:
    duration = w.workload.spec.duration
    assert duration is not None
    named = [hours for key, hours in duration.by_gpu.items() if key[-2:] == machine.gpu_model]
    hours = named[0] if named else duration.default
    assert hours is not None
    return hours


def fits(w: World, machine: Offer) -> bool:
    spec = w.workload.spec
    gpu = spec.resources.gpu
    zone = w.catalog.regions[machine.provider, machine.region].zone
    if machine.gpu_model == "X1" or zone not in w.signal.series:
        return False
    if gpu is not None and (machine.gpu_model is None or machine.gpu_count < gpu.count):
        return False
    if gpu is not None and gpu.type and machine.gpu_model not in gpu.type:
        return False
    return spec.placement.market == "any" or machine.market == "on-demand"


def mean(values: list[float], first: float, last: float) -> float:
    """Mean of hourly values over a span in hours from midnight."""
    total = sum(v * max(0.0, min(last, hour + 1) - max(first, hour)) for hour, v in enumerate(values))
    return total / (last - first)


def ways(w: World, earliest: datetime, deadline: datetime | None, horizon_h: int) -> Iterator[Way]:
    """Yield every offer at every start that begins or ends on an hour, or is the first or last possible."""
    spec = w.workload.spec
    for machine in w.catalog.offers:
        if not fits(w, machine):
            continue
        place = w.catalog.regions[machine.provider, machine.region]
        values = w.signal.series[place.zone or ""]
        hours, nodes = hours_of(w, machine), spec.replicas
        watts = 2.0 * machine.vcpus + 0.5 * machine.memory_gib
        if machine.gpu_model:
            idle, most = {"L4": (10.0, 70.0), "T4": (10.0, 60.0)}[machine.gpu_model]
            used = spec.resources.gpu.count if spec.resources.gpu else 0
            watts += machine.gpu_count * idle + used * (most - idle)
        moved = transfer(w, place.id, values, earliest, horizon_h)
        if moved is None:
            continue
        run = timedelta(seconds=round(hours * 3600))
        share = w.catalog.embodied_gco2e_hour(machine)
        last = earliest if deadline is None else deadline - run
        midnights = [MIDNIGHT + timedelta(hours=h) for h in range(HOURS * 3)]
        starts = {earliest, max(last, earliest), *midnights, *(m - run for m in midnights)}
        for start in sorted(s for s in starts if earliest <= s <= max(last, earliest)):
            begin = (start - MIDNIGHT) / timedelta(hours=1)
            kwh = nodes * watts * place.pue / 1000 * (run / timedelta(hours=1))
            yield Way(
                key=(machine.provider, machine.region, machine.instance_type, machine.market),
                start=start,
                finish=start + run,
                usd=nodes * machine.price_usd_hour * (run / timedelta(hours=1)) + moved[0],
                kwh=kwh,
                operational=kwh * mean(list(values), begin, begin + run / timedelta(hours=1)),
                transfer=moved[1],
                embodied=None if share is None else nodes * share[0] * (run / timedelta(hours=1)),
            )


def transfer(
    w: World, target: str, values: Any, earliest: datetime, horizon_h: int
) -> tuple[float, float] | None:
    usd = grams = 0.0
    first = int((earliest - MIDNIGHT) / timedelta(hours=1))
    for data in w.workload.spec.data:
        if data.region == target or data.region is None or data.size_gib is None:
            continue
        price = w.catalog.egress.get((data.region, target))
        provider, short = data.region.split("/")
        source = w.signal.series.get(w.catalog.regions[provider, short].zone or "")
        if price is None or source is None:
            return None
        gb = data.size_gib * 1.073741824
        both = [sum(v[first : first + horizon_h]) / horizon_h for v in (source, values)]
        usd, grams = usd + gb * price, grams + gb * 0.001 * sum(both) / 2
    return usd, grams


def search(w: World) -> tuple[Way | None, list[Way], bool, Way | None]:
    """Return winner, feasible ways, whether embodied carbon counts, and the cheapest way that starts now."""
    spec = w.workload.spec
    earliest = max(w.now, spec.earliest_start or w.now)
    deadline = None
    if spec.deadline is not None:
        deadline = w.now + timedelta(seconds=round(float(spec.deadline) * 3600))  # type: ignore[arg-type]
    base = earliest.replace(minute=0, second=0)
    fitting = [o for o in w.catalog.offers if fits_machine(w, o)]
    longest = max(
        (timedelta(seconds=round(hours_of(w, o) * 3600)) for o in fitting), default=timedelta(hours=1)
    )
    end = max(earliest + longest, deadline or earliest)
    horizon_h = -(-int((end - base).total_seconds()) // 3600)
    everything = list(ways(w, earliest, deadline, horizon_h))
    in_time = [x for x in everything if deadline is None or x.finish <= deadline]
    now_ways = [x for x in in_time if x.start == earliest]
    within = [
        x
        for x in in_time
        if (spec.budget.max_cost_usd is None or x.usd <= spec.budget.max_cost_usd)
        and (spec.budget.max_carbon_kg is None or total(x, True) <= spec.budget.max_carbon_kg * 1000)
    ]
    with_embodied = all(x.embodied is not None for x in within)
    a, b = PRICES[spec.objective]
    winner = least(within, with_embodied, lambda x: a * x.usd + b * total(x, with_embodied))
    cheapest = least(now_ways, True, lambda x: x.usd)
    return winner, within, with_embodied, cheapest


def fits_machine(w: World, machine: Offer) -> bool:
    """Fits as far as workload and machine go: what decides how many hours are looked at."""
    gpu, market = w.workload.spec.resources.gpu, w.workload.spec.placement.market
    if market != "any" and machine.market != "on-demand":
        return False
    if gpu is None:
        return True
    wanted = not gpu.type or machine.gpu_model in gpu.type
    return machine.gpu_model is not None and machine.gpu_count >= gpu.count and wanted


def total(x: Way, with_embodied: bool) -> float:
    return x.operational + x.transfer + ((x.embodied or 0.0) if with_embodied else 0.0)


def least(found: list[Way], with_embodied: bool, score: Any) -> Way | None:
    if not found:
        return None
    rest = found
    for figure in (score, lambda x: total(x, with_embodied), lambda x: x.usd):
        lowest = min(figure(x) for x in rest)
        rest = [x for x in rest if figure(x) <= lowest * (1 + 1e-9)]
    return min(rest, key=lambda x: (x.start, x.key))


def check(w: World, made: Plan) -> None:
    winner, within, with_embodied, cheapest = search(w)
    assert (made.chosen is None) == (winner is None)
    if winner is not None and made.chosen is not None:
        segment = made.chosen.segments[0]
        assert (segment.offer, segment.start) == (winner.key, winner.start)
        assert made.chosen.cost_usd == pytest.approx(winner.usd)
        assert made.chosen.energy_kwh == pytest.approx(winner.kwh)
        assert made.chosen.gco2e == pytest.approx(total(winner, True))
        assert made.chosen.finish == winner.finish
        assert made.summary["feasible"] == len({x.key for x in within})
        points = [(x.usd, total(x, with_embodied)) for x in within]
        front = [p for p in points if not any(beats(q, p) for q in points)]
        planned = [(s.cost_usd, counted(s, with_embodied)) for s in made.frontier]
        assert all(any(p == pytest.approx(q) for q in planned) for p in front)
        assert all(any(p == pytest.approx(q) for q in front) for p in planned)
    base = made.baselines["runNowCheapest"]
    assert (base is None) == (cheapest is None)
    if base is not None and cheapest is not None:
        assert base.cost_usd == pytest.approx(cheapest.usd)
        assert base.gco2e == pytest.approx(total(cheapest, True))
    assert len(made.rejected) + (made.chosen is not None) == len(w.catalog.offers)
    assert (made.nearest_miss is None) == (made.chosen is not None)


def counted(schedule: Schedule, with_embodied: bool) -> float:
    parts = schedule.breakdown
    embodied = parts["embodiedGco2e"] if with_embodied else 0.0
    return parts["operationalGco2e"] + parts["transferGco2e"] + embodied


def beats(p: tuple[float, float], q: tuple[float, float]) -> bool:
    no_worse = all(a <= b * (1 + 1e-9) for a, b in zip(p, q, strict=True))
    return no_worse and any(a < b * (1 - 1e-9) for a, b in zip(p, q, strict=True))


def planned(w: World) -> Plan:
    return plan(w.workload, catalog=w.catalog, signal=w.signal, now=w.now)


def test_the_plan_is_what_a_plain_search_finds_in_a_thousand_worlds() -> None:
    decisions = set()
    for seed in range(1000):
        w = world(Random(seed))
        made = planned(w)
        check(w, made)
        decisions.add(made.decision)
    assert decisions == {"schedule_now", "defer", "reject"}


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_plan_is_what_a_plain_search_finds_where_hypothesis_looks(random: Random) -> None:
    w = world(random)
    check(w, planned(w))


def test_the_model_of_power_here_is_the_one_the_search_writes_out() -> None:
    watts = POWER.node_watts(offer("aws/one", count=2.0), 1, 1.0, 0.5)
    assert watts is not None
    assert watts.watts == 4 * 2.0 + 16 * 0.5 + 2 * 10 + 1 * 60
