"""A queue whose quotas bind: its hubs go to several places and hours, and nothing does better within them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations_with_replacement
from random import Random
from typing import Any

import pytest
from test_brute_force import wishes, world

from harchos_infra.catalog.availability import Availability
from harchos_infra.catalog.live import LiveOffer
from harchos_infra.catalog.live import Quota as LiveQuota
from harchos_infra.catalog.refreshed import Refreshed
from harchos_infra.planner.fleet.fleet import plan_fleet
from harchos_infra.planner.fleet.member import Member
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.planner.policing import of_plan
from harchos_infra.planner.queue import hubs_of, member_of, of_each_hub, parts_of, plan_queue
from harchos_infra.planner.request import ASSUMED_RESTART_S
from harchos_infra.policy.document import Rules
from harchos_infra.policy.loader import LoadedPolicy
from harchos_infra.runs.submit import check_runs
from harchos_infra.workload.document import Workload
from tests.unit.planner.small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

START_H = ASSUMED_RESTART_S / 3600
DIRTY_BUT = [100.0] * 10 + [10.0] * 3 + [100.0] * 40
SIGNAL = SmallSignal({"A": DIRTY_BUT, "B": [2 * value for value in DIRTY_BUT]})
"""Three clean hours, the same everywhere; B has twice the carbon."""
CATALOG = SmallCatalog(
    [region("aws/a", zone="A"), region("gcp/b", zone="B")],
    [offer("aws/a", price=1.0), offer("gcp/b", price=1.5)],
)
ONE_EACH = Quotas(
    (Quota("aws", None, None, 1, counts_gpus=True), Quota("gcp", None, None, 1, counts_gpus=True))
)


def queue(**spec: Any) -> Workload:
    items = {"count": 240, "maxHubs": 2}
    asked = {"duration": "5h", "deadline": "30h", "objective": "greenest", "items": items, **spec}
    return workload(gpu={"count": 1}, **asked)


def planned(of: Workload, quotas: Quotas = ONE_EACH, **how: Any) -> Plan:
    asked = {"catalog": CATALOG, "signal": SIGNAL, **how}
    return plan_queue(of, now=MIDNIGHT, source={"path": "q.yaml", "sha256": "x"}, quotas=quotas, **asked)


def where(made: Plan) -> list[tuple[int, str, int]]:
    return [(part.hubs, part.chosen.segments[0].region, part.chosen.start.hour) for part in parts_of(made)]


def test_where_a_quota_holds_one_hub_in_a_region_the_other_is_in_the_next() -> None:
    made = planned(queue())
    assert where(made) == [(1, "a", 10), (1, "b", 10)]
    assert [part.share for part in parts_of(made)] == [0.5, 0.5]
    assert [tried["places"] for tried in made.inputs["queue"]["considered"]] == [1, 2]


def test_the_whole_is_the_sum_of_its_hubs_each_with_its_start() -> None:
    made = planned(queue())
    assert made.chosen is not None
    assert made.chosen.cost_usd == pytest.approx((2.5 + START_H) * (1.0 + 1.5))
    assert made.chosen.cost_usd == pytest.approx(sum(s.compute_usd for s in made.chosen.segments))
    assert made.chosen.energy_kwh == pytest.approx(sum(s.energy_kwh for s in made.chosen.segments))
    assert made.chosen.gco2e == pytest.approx(
        sum(s.energy_kwh * s.mean_gco2_per_kwh for s in made.chosen.segments)
    )
    assert made.chosen.finish == max(segment.end for segment in made.chosen.segments)


def test_where_a_quota_holds_them_all_nobody_is_apart() -> None:
    made = planned(queue(), Quotas((Quota("aws", None, None, 2, counts_gpus=True),)))
    assert where(made) == [(2, "a", 10)]
    assert made.parts is None


def test_without_quotas_the_plan_is_the_one_of_one_place() -> None:
    made = planned(queue(), Quotas())
    assert where(made) == [(2, "a", 10)]
    assert "fleet" not in made.inputs


def test_hubs_in_one_region_follow_one_another_where_that_is_cleaner_than_elsewhere() -> None:
    twice = SmallSignal(
        {"A": [100.0] * 10 + [10.0] * 3 + [100.0] * 9 + [10.0] * 3 + [100.0] * 28, "B": [500.0] * 53}
    )
    made = planned(queue(), signal=twice)
    assert where(made) == [(1, "a", 10), (1, "a", 22)]
    assert made.chosen is not None and len(made.chosen.segments) == 2


def test_without_a_deadline_as_many_hubs_as_the_quotas_hold_start_now() -> None:
    made = planned(queue(deadline=None, items={"count": 240, "maxHubs": 6}))
    assert (hubs_of(made), where(made)) == (2, [(1, "a", 0), (1, "b", 0)])


def test_a_cloud_that_said_what_may_be_rented_is_kept_to() -> None:
    made = planned(queue(), Quotas(), catalog=refreshed(one_gpu("a")))
    assert where(made) == [(1, "a", 10), (1, "b", 10)]
    assert made.inputs["fleet"]["quotas"] is None


def test_a_quota_of_all_regions_together_is_one() -> None:
    both = SmallCatalog(
        [region("aws/a", zone="A"), region("aws/b", zone="B")],
        [offer("aws/a", price=1.0), offer("aws/b", price=1.5)],
    )
    everywhere = [replace(one_gpu(name), everywhere=True) for name in ("a", "b")]
    of = queue(deadline="4h")
    assert planned(of, Quotas(), catalog=refreshed(one_gpu("a"), one_gpu("b"), on=both)).chosen is not None
    assert planned(of, Quotas(), catalog=refreshed(*everywhere, on=both)).chosen is None


def test_each_hub_of_a_queue_takes_one_of_a_quota_that_counts_hubs() -> None:
    network = LiveQuota("a", "Networks", "N", ("L4",), None, "hub", 1, 0)
    assert where(planned(queue(), Quotas(), catalog=refreshed(network))) == [(1, "a", 10), (1, "b", 10)]


def test_a_budget_holds_for_all_hubs_together_though_one_takes_more_than_its_half() -> None:
    cost = (2.5 + START_H) * 2.5
    assert where(planned(queue(budget={"maxCost": cost + 0.01}))) == [(1, "a", 10), (1, "b", 10)]
    assert hubs_of(planned(queue(budget={"maxCost": cost - 0.01}))) == 1


def test_a_policy_holds_for_all_hubs_together() -> None:
    def under(**rules: float) -> tuple[Plan, LoadedPolicy]:
        policy = LoadedPolicy("p", Rules.model_validate(rules, by_name=False), "p.yaml", "x", "", {})
        return planned(queue(), policy=policy), policy

    for rules in ({"maxPrice": 2.4}, {"maxCost": 6.0}):
        made, policy = under(**rules)
        assert made.chosen is not None
        assert hubs_of(made) == 1 or where(made)[0][2] != where(made)[1][2]
        assert of_plan(policy, made, queue(), CATALOG) == ()
    assert where(under(maxPrice=2.5)[0]) == [(1, "a", 10), (1, "b", 10)]


def test_each_hub_has_a_plan_of_its_own_part() -> None:
    of = queue(budget={"maxCost": 7.0}, data=[{"uri": "s3://x", "sizeGiB": 10}])
    made = planned(of)
    each = of_each_hub(made, of)
    assert [plan.chosen and plan.chosen.segments[0].region for plan in each] == ["a", "b"]
    assert all(plan.chosen and plan.chosen.segments[0].nodes == 1 for plan in each)
    assert made.chosen is not None
    for figure in ("cost_usd", "energy_kwh", "gco2e"):
        parts = [getattr(plan.chosen, figure) for plan in each]
        assert sum(parts) == pytest.approx(getattr(made.chosen, figure))
    budgets = [plan.workload["spec"]["budget"]["maxCost"] for plan in each]
    assert sum(budgets) == pytest.approx(7.0)
    assert all(plan.chosen and plan.chosen.cost_usd <= most for plan, most in zip(each, budgets, strict=True))
    assert all("fleet" in plan.inputs and plan.parts is None for plan in each)


def test_the_plan_file_is_read_back_as_it_was_and_can_be_carried_out() -> None:
    made = planned(
        queue(items={"count": 240, "maxHubs": 3}, duration="9h"),
        Quotas((Quota("aws", None, None, 2, counts_gpus=True),)),
    )
    assert made.parts is not None
    assert Plan.loads(made.dumps()).dumps() == made.dumps()
    check_runs(made)


def test_a_fleet_places_each_hub_of_a_queue() -> None:
    alone = planned(queue(), Quotas())
    other = workload(gpu={"count": 1}, duration="3h", deadline="30h", objective="greenest")
    other = other.model_copy(update={"metadata": other.metadata.model_copy(update={"name": "other"})})
    whole = plan(
        other, catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT, source={"path": "o.yaml", "sha256": "x"}
    )
    members = [member_of(alone, queue(), CATALOG), Member(other, CATALOG, whole)]
    made = plan_fleet(members, quotas=Quotas((Quota("aws", None, None, 2, counts_gpus=True),)), signal=SIGNAL)
    assert len(made.placed) == 2
    segments = [s for entry in made.placed if entry.plan.chosen for s in entry.plan.chosen.segments]
    assert sum(segment.nodes for segment in segments) == 3
    assert most_at_once(segments, "a") == 2


def one_gpu(name: str) -> LiveQuota:
    return LiveQuota(name, "GPUs", "G", ("L4",), None, "gpu", 1, 0)


def refreshed(*quotas: LiveQuota, on: SmallCatalog = CATALOG) -> Any:
    names = tuple({quota.region for quota in quotas})
    live = [
        LiveOffer(o.region, o.instance_type, o.market, o.price_usd_hour, (), MIDNIGHT, "test")
        for o in on.offers if o.provider == "aws"
    ]  # fmt: skip
    said = Refreshed("aws", "me", MIDNIGHT, names, tuple(o for o in live if o.region in names), quotas)
    return on.with_availability(Availability([(said, "said")]))


def most_at_once(segments: Sequence[Any], name: str) -> int:
    there = [s for s in segments if s.region == name]
    return max((sum(s.nodes for s in there if s.start <= at.start < s.end) for at in there), default=0)


# held to exhaustive search

HOURS = 8
WATTS = {"L4": 86.0, "T4": 76.0}


def small(random: Random) -> tuple[Workload, SmallCatalog, SmallSignal, Quotas]:
    """Return a queue on machines that start at once, so that every start is on an hour."""
    signal = SmallSignal(
        {zone: [random.choice([20.0, 100.0, 150.0, 400.0]) for _ in range(24)] for zone in "AB"}
    )
    offers = [
        offer(
            f"local/{random.choice('ab')}",
            gpu=random.choice(["L4", "L4", "T4"]),
            price=random.choice([0.5, 1.0, 2.0]),
            instance=f"m{number}",
        )
        for number in range(random.randint(1, 3))
    ]
    catalog = SmallCatalog([region("local/a", zone="A"), region("local/b", zone="B")], offers)
    quotas = [
        Quota("local", name, random.choice([None, None, "L4"]), random.choice([1, 1, 2]), counts_gpus=True)
        for name in "ab"
        if random.random() < 0.8
    ]
    of = workload(
        gpu={"count": 1},
        duration={"default": "6h", "byGpu": random.choice([{}, {"T4": "12h"}])},
        deadline=random.choice([f"{HOURS}h", "4h", "3h", None]),
        objective=random.choice(["greenest", "balanced", "cheapest"]),
        placement={"providers": ["local"]},
        items={"count": 30, "maxHubs": 3},
    )
    return of, catalog, signal, Quotas(tuple(quotas))


def ways(
    of: Workload, catalog: SmallCatalog, signal: SmallSignal, hubs: int
) -> Iterator[tuple[Any, int, int, float]]:
    """Yield each offer at each hour of its start, with its length in hours and its score."""
    spec, duration = of.spec, of.spec.duration
    assert duration is not None
    objective = Objective.of(spec)
    for machine in catalog.offers:
        model = machine.gpu_model or ""
        length = round((duration.by_gpu.get(model) or duration.default or 0.0) / hubs)
        last = 0 if spec.deadline is None else round(float(spec.deadline)) - length  # type: ignore[arg-type]
        values = signal.series[catalog.regions["local", machine.region].zone or ""]
        for start in range(last + 1):
            grams = WATTS[model] / 1000 * sum(values[start : start + length])
            usd = machine.price_usd_hour * length
            yield machine, start, length, objective.usd_weight * usd + objective.usd_per_g * grams


def within(placed: Sequence[tuple[Any, int, int, float]], quotas: Quotas) -> bool:
    for quota in quotas.entries:
        mine = [way for way in placed if quota.limits(way[0])]
        for _, at, _, _ in mine:
            if sum(start <= at < start + length for _, start, length, _ in mine) > quota.limit:
                return False
    return True


def search(of: Workload, catalog: SmallCatalog, signal: SmallSignal, quotas: Quotas) -> dict[int, float]:
    """Return the least score on each number of hubs that has a place."""
    found = {}
    for hubs in (1, 2, 3):
        options = list(ways(of, catalog, signal, hubs))
        scores = (
            sum(way[3] for way in placed)
            for placed in combinations_with_replacement(options, hubs)
            if within(placed, quotas)
        )
        least = min(scores, default=None)
        if least is not None:
            found[hubs] = least
    return found


def score(of: Workload, chosen: Schedule) -> float:
    objective = Objective.of(of.spec)
    return objective.usd_weight * chosen.cost_usd + objective.usd_per_g * chosen.gco2e


def test_no_choice_of_places_hours_and_number_of_hubs_is_better() -> None:
    apart = 0
    for seed in range(40):
        of, catalog, signal, quotas = small(Random(seed))
        made = planned(of, quotas, catalog=catalog, signal=signal)
        least = search(of, catalog, signal, quotas)
        if not least:
            assert made.chosen is None, seed
            continue
        assert made.chosen is not None, seed
        best = least[max(least)] if of.spec.deadline is None else min(least.values())
        assert score(of, made.chosen) == pytest.approx(best), seed
        apart += made.parts is not None
    assert apart > 10


def test_it_is_never_worse_than_one_place_and_never_breaks_quota_or_budget() -> None:
    compared = 0
    for seed in range(60):
        random = Random(seed)
        w = world(random)
        asked = {"interruptible": random.random() < 0.5, "items": queue().spec.items, "replicas": 1}
        of = w.workload.model_copy(update={"spec": wishes(random, w.now).spec.model_copy(update=asked)})
        quotas = Quotas(tuple(
            Quota(provider, None, random.choice([None, "L4"]), random.choice([0, 1, 2]), counts_gpus=False)
            for provider in ("aws", "gcp") if random.random() < 0.8
        ))  # fmt: skip
        made = plan_queue(
            of, catalog=w.catalog, signal=w.signal, now=w.now, source={"path": "q"}, quotas=quotas
        )
        for one in one_place(of, w, quotas):
            assert made.chosen is not None, seed
            if of.spec.deadline is not None:
                assert counted(of, made, one) <= counted(of, one, made) * (1 + 1e-9) + 1e-12, seed
        if made.chosen is None:
            continue
        compared += 1
        parts = parts_of(made)
        segments = [(s, part.hubs) for part in parts for s in part.chosen.segments]
        for quota in quotas.entries:
            for name in {s.region for s, _ in segments}:
                machines = [o for o in w.catalog.offers if quota.limits(o) and o.region == name]
                there = [(s, n) for s, n in segments if s.offer in {o.key for o in machines}]
                for at, _ in there:
                    assert sum(n for s, n in there if s.start <= at.start < s.end) <= quota.limit, seed
        budget = of.spec.budget
        assert made.chosen.cost_usd <= (budget.max_cost_usd or float("inf")) * (1 + 1e-9)
        assert made.chosen.gco2e <= (budget.max_carbon_kg or float("inf")) * 1000 * (1 + 1e-9)
        assert sum(part.hubs for part in parts) == hubs_of(made)
        deadline = limit(of, w.now)
        assert deadline is None or made.chosen.finish <= deadline
    assert compared > 25


def limit(of: Workload, now: datetime) -> datetime | None:
    hours = of.spec.deadline
    return None if hours is None else now + timedelta(hours=float(hours))  # type: ignore[arg-type]


def one_place(of: Workload, w: Any, quotas: Quotas) -> Iterator[Plan]:
    """Yield the plans on one and two hubs that are all in the best place that holds them."""
    duration = of.spec.duration
    assert duration is not None and duration.default is not None
    for hubs in (1, 2):
        part = {
            "default": duration.default / hubs + START_H,
            "by_gpu": {gpu: hours / hubs + START_H for gpu, hours in duration.by_gpu.items()},
        }
        spec = {"duration": duration.model_copy(update=part), "replicas": hubs}
        nodes = of.model_copy(update={"spec": of.spec.model_copy(update=spec)})
        catalog = w.catalog.within(quotas.entries)
        made = plan(nodes, catalog=catalog, signal=w.signal, now=w.now, source={"path": "q"})
        if made.chosen is not None:
            yield made


def counted(of: Workload, made: Plan, other: Plan) -> float:
    assert made.chosen is not None
    objective = Objective.of(of.spec)
    known = all("embodied" in plan.inputs["objective"]["carbon"] for plan in (made, other))
    grams = made.chosen.gco2e - (0.0 if known else made.chosen.breakdown["embodiedGco2e"])
    return objective.usd_weight * made.chosen.cost_usd + objective.usd_per_g * grams


def test_where_no_quota_holds_a_single_hub_the_nearest_miss_names_one() -> None:
    closed = replace(one_gpu("a"), limit=0)
    here = SmallCatalog([region("aws/a", zone="A")], [offer("aws/a", price=1.0)])
    made = planned(queue(), Quotas(), catalog=refreshed(closed, on=here))
    assert made.chosen is None
    assert made.nearest_miss is not None and "quota GPUs (G) of aws/a raised to 1" in made.nearest_miss
