"""Plans with pauses, moves and node counts equal a plain enumeration, on hundreds of small worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, combinations, pairwise, product
from random import Random
from typing import Any

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.workload.document import Workload

HOURS = 8
REGIONS = ("aws/one", "aws/two", "gcp/three")
PRICES = {"greenest": (0.0, 1.0), "cheapest": (1.0, 0.0), "balanced": (1.0, 190e-6)}
CURVES = ([1.0, 1.9, 2.5], [1.0, 1.2, 3.0], [1.0, 2.0], [2.0, 1.5, 5.0])


@dataclass(frozen=True)
class World:
    catalog: SmallCatalog
    signal: SmallSignal
    workload: Workload
    now: datetime


@dataclass(frozen=True)
class Span:
    """Hours from midnight that `nodes` machines of offer number `place` are rented."""

    place: int
    first: float
    last: float
    nodes: int


def world(
    random: Random,
    spec: dict[str, Any],
    *,
    embodied: bool = False,
    alike: bool = False,
    most_hours: int = HOURS - 1,
) -> World:
    """Make up a world; where offers are `alike`, only their grids differ."""
    levels = random.choice([(100.0,), (100.0, 700.0), (20.0, 333.3, 480.1, 77.0, 900.0)])
    levels = (20.0, 900.0) if alike else levels
    step_s = random.choice([3600, 3600, 1800, 900]) if "scaling" not in spec else 3600
    steps = HOURS * 3 * 3600 // step_s
    series = {zone: [random.choice(levels) for _ in range(steps)] for zone in "AB"}
    regions = [
        region(name, zone=zone if alike else random.choice("AB"), pue=random.choice([1.0, 1.25]))
        for name, zone in zip(REGIONS, "ABA", strict=True)
    ]
    offers = [
        offer(
            where,
            price=0.01 if alike else random.choice([0.0, 0.01, 1.0]),
            instance=f"m{n}",
            vcpus=8.0 if alike else random.choice([2.0, 8.0]),
        )
        for n, where in enumerate(REGIONS if alike else random.choices(REGIONS, k=random.randint(1, 3)))
    ]
    pairs = [(a, b) for a in REGIONS for b in REGIONS if a != b]
    catalog = SmallCatalog(
        regions,
        offers,
        embodied={(o.provider, o.instance_type): random.choice([3.0, 30.0]) for o in offers}
        if embodied
        else {},
        egress={
            pair: random.choice([0.0, 0.00001, 0.02]) for pair in pairs if alike or random.random() < 0.8
        },
        throughput={
            pair: random.choice([0.01, 1.0, 10.0]) for pair in pairs if alike or random.random() < 0.8
        },
    )
    now = MIDNIGHT + timedelta(minutes=random.choice([0, 0, 20]))
    spec = {"gpu": {}, "objective": "greenest" if alike else random.choice(list(PRICES)), **spec}
    if "duration" not in spec:
        parts, spec["duration"] = random.choice(
            [(2, 2), (3, 3), (3, 2.5 if step_s == 3600 and not alike else 3)]
        )
        minutes, spec["duration"] = step_s // 60, f"{spec['duration'] * step_s / 60:g}m"
        spec["deadline"] = f"{random.randint(parts * minutes, (parts + 4) * minutes)}m"
    else:
        spec["deadline"] = f"{random.randint(120, most_hours * 60)}m"
    return World(catalog, SmallSignal(series, step_s=step_s), workload(**spec), now)


def interruptible(random: Random, **checkpoint: Any) -> dict[str, Any]:
    overhead = {"restart": random.choice(["0s", "6m", "70m"]), "grace": random.choice(["0s", "3m"])}
    return {
        "interruptible": True,
        "checkpoint": {**overhead, **checkpoint},
    }


class Accounts:
    """What a schedule takes, added up by hand."""

    def __init__(self, w: World) -> None:
        self.w, self.spec = w, w.workload.spec
        self.a, self.b = PRICES[self.spec.objective or "balanced"]
        self.offers = w.catalog.offers
        self.regions = [w.catalog.regions[o.provider, o.region] for o in self.offers]
        self.deadline = float(self.spec.deadline) + self.now_h  # type: ignore[arg-type]
        base_s = int((w.now.replace(minute=0) - MIDNIGHT).total_seconds())
        self.base_h = base_s / 3600
        self.step_h = w.signal.step_s / 3600
        self.prefix = {
            zone: [0.0, *accumulate(v * self.step_h for v in values)]
            for zone, values in w.signal.series.items()
        }

    @property
    def now_h(self) -> float:
        return (self.w.now - MIDNIGHT) / timedelta(hours=1)

    def kw(self, place: int) -> float:
        machine = self.offers[place]
        return (2.0 * machine.vcpus + 0.5 * machine.memory_gib + 70.0) * self.regions[place].pue / 1000

    def grams_per_kw(self, place: int, first: float, last: float) -> float:
        zone = self.regions[place].zone or ""
        return self.until(zone, last) - self.until(zone, first)

    def until(self, zone: str, hour: float) -> float:
        step = int(hour / self.step_h)
        return self.prefix[zone][step] + (hour - step * self.step_h) * self.w.signal.series[zone][step]

    def mean(self, place: int) -> float:
        end = max(self.deadline, self.now_h + self.longest_h())
        hours = -(-round((end - self.base_h) * 3600) // 3600)
        return self.grams_per_kw(place, self.base_h, self.base_h + hours) / hours

    def longest_h(self) -> float:
        assert self.spec.duration is not None
        return float(self.spec.duration.default or 0.0)

    def total(self, spans: list[Span]) -> tuple[float, float]:
        """Return USD and gCO2e."""
        usd = grams = 0.0
        for span in spans:
            hours = span.nodes * (span.last - span.first)
            share = self.w.catalog.embodied_gco2e_hour(self.offers[span.place])
            usd += hours * self.offers[span.place].price_usd_hour
            grams += span.nodes * self.kw(span.place) * self.grams_per_kw(span.place, span.first, span.last)
            grams += hours * (share[0] if share else 0.0)
        for before, after in pairwise(spans):
            here, there = self.regions[before.place].id, self.regions[after.place].id
            if here != there:
                usd += self.checkpoint_gb() * self.w.catalog.egress[here, there]
                grams += self.checkpoint_gb() * 0.001 * (self.mean(before.place) + self.mean(after.place)) / 2
        return usd, grams

    def checkpoint_gb(self) -> float:
        checkpoint = self.spec.checkpoint
        return (checkpoint.size_gib or 0.0) * 1.073741824 if checkpoint else 0.0

    def score(self, usd: float, grams: float) -> float:
        return self.a * usd + self.b * grams

    def is_within(self, usd: float, grams: float) -> bool:
        budget = self.spec.budget
        return (budget.max_cost_usd is None or usd <= budget.max_cost_usd) and (
            budget.max_carbon_kg is None or grams <= budget.max_carbon_kg * 1000
        )

    def transfer_h(self, before: int, after: int) -> float | None:
        here, there = self.regions[before].id, self.regions[after].id
        if here == there:
            return 0.0
        if (here, there) not in self.w.catalog.egress or (here, there) not in self.w.catalog.throughput:
            return None
        return self.checkpoint_gb() * 8 / self.w.catalog.throughput[here, there] / 3600


def windows(accounts: Accounts, nodes: int, hours: float) -> Iterator[list[Span]]:
    latest = accounts.deadline - hours
    marks = [i * accounts.w.signal.step_s / 3600 for i in range(HOURS * 3 * 4)]
    starts = {accounts.now_h, latest, *marks, *(m - hours for m in marks)}
    for place in range(len(accounts.offers)):
        for start in starts:
            if accounts.now_h <= start <= latest + 1e-9:
                yield [Span(place, start, start + hours, nodes)]


def slot_h(accounts: Accounts, hours: float) -> float:
    for minutes in (60, 30, 15, 5):
        step = minutes / 60
        if minutes * 60 <= accounts.w.signal.step_s and -(hours / step) % 1 * step <= 0.01 * hours + 1e-9:
            return step
    raise AssertionError(hours)


def with_pauses(accounts: Accounts, *, may_move: bool) -> Iterator[list[Span]]:
    """Yield every choice of slots and places whose pauses are long enough."""
    spec, hours = accounts.spec, accounts.longest_h()
    assert spec.checkpoint is not None
    save, restart, step = spec.checkpoint.grace_h, spec.checkpoint.restart_h or 0.0, slot_h(accounts, hours)
    first = -(-round(accounts.now_h * 3600) // round(step * 3600)) * step
    count = int((accounts.deadline - first) / step + 1e-9)
    work = round(hours / step)
    for slots in combinations(range(count), work):
        runs = [[slots[0], slots[0] + 1]]
        for slot in slots[1:]:
            if slot == runs[-1][1]:
                runs[-1][1] += 1
            else:
                runs.append([slot, slot + 1])
        places = range(len(accounts.offers))
        for path in product(places, repeat=len(runs)) if may_move else [(p,) * len(runs) for p in places]:
            needed = [accounts.transfer_h(a, b) for a, b in pairwise(path)]
            pauses = [(b[0] - a[1]) * step for a, b in pairwise(runs)]
            if any(n is None or p < n + save + restart - 1e-9 for n, p in zip(needed, pauses, strict=True)):
                continue
            last = len(runs) - 1
            yield [
                Span(
                    place,
                    first + begin * step - (restart if i else 0.0),
                    first + end * step + (save if i < last else 0.0),
                    1,
                )
                for i, ((begin, end), place) in enumerate(zip(runs, path, strict=True))
            ]


def check(
    w: World, made: Plan, ways: Iterator[list[Span]], accounts: Accounts, *, rounded_s: int = 0
) -> bool:
    """Hold a plan to all ways, but for times rounded to seconds; return whether it has several segments."""
    most = accounts.score(1.0, 0.2 * 900)
    slack = 3 * most * rounded_s / 3600 + 1e-12
    totals = [accounts.total(spans) for spans in ways]
    within = [t for t in totals if accounts.is_within(*t)]
    if not within:
        assert made.chosen is None
        return False
    least = min(accounts.score(*t) for t in within)
    chosen = made.chosen
    assert chosen is not None
    by_hand = accounts.total(
        [
            Span(
                next(i for i, o in enumerate(accounts.offers) if o.instance_type == s.instance_type),
                (s.start - MIDNIGHT) / timedelta(hours=1),
                (s.end - MIDNIGHT) / timedelta(hours=1),
                s.nodes,
            )
            for s in chosen.segments
        ]
    )
    assert (chosen.cost_usd, chosen.gco2e) == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    assert accounts.is_within(chosen.cost_usd * (1 - 1e-9), chosen.gco2e * (1 - 1e-9))
    assert chosen.finish <= w.now + timedelta(hours=float(w.workload.spec.deadline))  # type: ignore[arg-type]
    score = accounts.score(chosen.cost_usd, chosen.gco2e)
    assert score >= least * (1 - 1e-9) - 1e-12
    assert score * (1 - chosen.gap) <= least * (1 + 1e-9) + slack
    for schedule in made.frontier:
        assert accounts.is_within(schedule.cost_usd * (1 - 1e-9), schedule.gco2e * (1 - 1e-9))
    return len(chosen.segments) > 1


def planned(w: World) -> Plan:
    return plan(w.workload, catalog=w.catalog, signal=w.signal, now=w.now)


def budgets(random: Random) -> dict[str, Any]:
    chosen: dict[str, float] = {}
    if random.random() < 0.3:
        chosen["maxCarbon"] = random.choice([0.01, 0.03, 0.06])
    if random.random() < 0.3:
        chosen["maxCost"] = random.choice([0.03, 2.05, 3.01])
    return {"budget": chosen}


def test_paused_where_a_plain_search_pauses() -> None:
    random = Random(31)
    paused = 0
    for _ in range(300):
        w = world(random, interruptible(random), embodied=random.random() < 0.3)
        accounts = Accounts(w)
        ways = [*windows(accounts, 1, accounts.longest_h()), *with_pauses(accounts, may_move=False)]
        paused += check(w, planned(w), iter(ways), accounts)
    assert paused > 20


def test_moved_where_a_plain_search_moves() -> None:
    random = Random(32)
    moved = 0
    for n in range(320):
        spec = interruptible(random, sizeGiB=random.choice([0.1, 1, 100]))
        w = world(random, {**spec, **(budgets(random) if n % 3 == 0 else {})}, alike=n % 4 > 0)
        accounts, made = Accounts(w), planned(w)
        ways = [*windows(accounts, 1, accounts.longest_h()), *with_pauses(accounts, may_move=True)]
        check(w, made, iter(ways), accounts)
        moved += made.chosen is not None and len({s.region for s in made.chosen.segments}) > 1
    assert moved > 5


def test_within_budgets_the_gap_that_is_stated_holds() -> None:
    random = Random(33)
    for _ in range(300):
        w = world(random, {**interruptible(random), **budgets(random)})
        accounts = Accounts(w)
        ways = [*windows(accounts, 1, accounts.longest_h()), *with_pauses(accounts, may_move=False)]
        check(w, planned(w), iter(ways), accounts)


def node_counts(accounts: Accounts, curve: list[float]) -> Iterator[list[Span]]:
    """Yield every node count in every slot of a job that is not paused, with one slot of two counts."""
    hours = accounts.longest_h()
    step = slot_h(accounts, hours)
    first = -(-round(accounts.now_h * 3600) // round(step * 3600)) * step
    count = int((accounts.deadline - first) / step + 1e-9)
    done = {0: 0.0, **{i + 1: f for i, f in enumerate(curve)}}
    work = hours / step * curve[0]
    for place, begin in product(range(len(accounts.offers)), range(count)):
        for length in range(1, min(count - begin, 4) + 1):
            for counts in product(range(1, len(curve) + 1), repeat=length):
                yield from filled(place, first + begin * step, step, counts, done, work)


def filled(
    place: int, first: float, step: float, counts: tuple[int, ...], done: dict[int, float], work: float
) -> Iterator[list[Span]]:
    total = sum(done[n] for n in counts)
    spans = [Span(place, first + i * step, first + (i + 1) * step, n) for i, n in enumerate(counts)]
    if abs(total - work) < 1e-9:
        yield spans
    for slot, less in product(range(len(counts)), done):
        lost = done[counts[slot]] - done[less]
        share = 1 - (total - work) / lost if lost > 0 else -1.0
        if 0 < share < 1 and (less > 0 or slot == len(counts) - 1):
            middle = spans[slot].first + share * step
            parts = [Span(place, spans[slot].first, middle, counts[slot])]
            parts += [Span(place, middle, spans[slot].last, less)] if less else []
            yield [*spans[:slot], *parts, *spans[slot + 1 :]]


def test_as_many_nodes_as_a_plain_search_gives() -> None:
    random = Random(34)
    several = 0
    for _ in range(60):
        curve = random.choice(CURVES)
        spec = {
            "duration": random.choice(["2h", "3h"]),
            "scaling": {"minNodes": 1, "maxNodes": len(curve), "throughput": curve},
        }
        w = world(random, spec)
        accounts = Accounts(w)
        ways: list[list[Span]] = list(node_counts(accounts, curve))
        for nodes, throughput in enumerate(curve, start=1):
            ways += windows(accounts, nodes, accounts.longest_h() * curve[0] / throughput)
        several += check(w, planned(w), iter(ways), accounts, rounded_s=2)
    assert several > 5


def paused_counts(accounts: Accounts, curve: list[float]) -> Iterator[list[Span]]:
    """Yield every node count, none among them, in every slot, with what each pause takes."""
    spec, hours = accounts.spec, accounts.longest_h()
    assert spec.checkpoint is not None
    save, restart, step = spec.checkpoint.grace_h, spec.checkpoint.restart_h or 0.0, slot_h(accounts, hours)
    first = -(-round(accounts.now_h * 3600) // round(step * 3600)) * step
    count = int((accounts.deadline - first) / step + 1e-9)
    done = {0: 0.0, **{i + 1: f for i, f in enumerate(curve)}}
    work = hours / step * curve[0]
    for place, counts in product(range(len(accounts.offers)), product(done, repeat=count)):
        total = sum(done[n] for n in counts)
        spans = [Span(place, first + i * step, first + (i + 1) * step, n) for i, n in enumerate(counts)]
        if abs(total - work) < 1e-9:
            yield from around_pauses(spans, save, restart)
        for slot, less in product(range(count), done):
            lost = done[counts[slot]] - done[less]
            share = 1 - (total - work) / lost if lost > 0 else -1.0
            if 0 < share < 1:
                a, b = (counts[slot], share), (less, 1 - share)
                for (n, part), (m, _) in ((a, b), (b, a)):
                    middle = spans[slot].first + part * step
                    parts = [
                        Span(place, spans[slot].first, middle, n),
                        Span(place, middle, spans[slot].last, m),
                    ]
                    yield from around_pauses([*spans[:slot], *parts, *spans[slot + 1 :]], save, restart)


def around_pauses(spans: list[Span], save: float, restart: float) -> Iterator[list[Span]]:
    running = [span for span in spans if span.nodes]
    for i, (before, after) in enumerate(pairwise(list(running))):
        pause = after.first - before.last
        if pause < 1e-9:
            continue
        if pause < save + restart - 1e-9:
            return
        running[i] = Span(before.place, running[i].first, before.last + save, before.nodes)
        running[i + 1] = Span(after.place, after.first - restart, after.last, after.nodes)
    yield running


def test_with_pauses_between_node_counts_the_gap_that_is_stated_holds() -> None:
    random = Random(35)
    paused = gaps = 0
    for _ in range(250):
        curve = random.choice([[1.0, 1.9], [1.0, 1.2, 3.0], [2.0, 1.5]])
        scaling = {"minNodes": 1, "maxNodes": len(curve), "throughput": curve}
        spec = {**interruptible(random), "duration": "3h", "scaling": scaling}
        w = world(random, spec, most_hours=5, alike=random.random() < 0.7)
        accounts = Accounts(w)
        ways = list(paused_counts(accounts, curve))
        for nodes, throughput in enumerate(curve, start=1):
            ways += windows(accounts, nodes, accounts.longest_h() * curve[0] / throughput)
        made = planned(w)
        check(w, made, iter(ways), accounts, rounded_s=2)
        gaps += made.chosen is not None and made.chosen.gap > 0.001
        paused += made.chosen is not None and any(
            b.start > a.end or b.restart_s for a, b in pairwise(made.chosen.segments)
        )
    assert paused > 5
    assert gaps < 125
