"""Under a policy, schedules with pauses keep to it, and the gap that is stated holds by a plain search."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from test_brute_force_schedules import (
    Accounts,
    Span,
    World,
    budgets,
    interruptible,
    windows,
    with_pauses,
    world,
)

from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.policy.loader import LoadedPolicy
from harchos_infra.workload.document import Workload
from support.policies import policy_of


def planned(w: World, policy: LoadedPolicy | None, workload: Workload | None = None) -> Plan:
    return plan(workload or w.workload, catalog=w.catalog, signal=w.signal, now=w.now, policy=policy)


def test_limits_of_cost_and_carbon_are_budgets() -> None:
    random, limited = Random(41), 0
    for _ in range(150):
        w = world(random, {**interruptible(random), **budgets(random)})
        limits = w.workload.spec.budget.model_dump(by_alias=True, exclude_none=True)
        if not limits:
            continue
        free = w.workload.model_copy(
            update={"spec": w.workload.spec.model_copy(update={"budget": type(w.workload.spec.budget)()})}
        )
        policy = policy_of("\n".join(f"{key}: {value}" for key, value in limits.items()))
        by_policy, by_budget = planned(w, policy, free), planned(w, None)
        assert by_policy.chosen == by_budget.chosen
        assert by_policy.frontier == by_budget.frontier
        limited += by_budget.chosen != planned(w, None, free).chosen
    assert limited > 10


def rules(random: Random, free: Plan) -> tuple[str, dict[str, float]]:
    """Make up limits near the figures of what would be done without any."""
    assert free.chosen is not None
    mean = free.chosen.breakdown["operationalGco2e"] / free.chosen.energy_kwh
    hours = 1.5 * max(segment.hours for segment in free.chosen.segments) + 0.5
    price = max(segment.price_usd_hour for segment in free.chosen.segments)
    limits = {
        "maxIntensity": mean * random.choice([0.7, 0.9, 0.99, 1.2]),
        "maxTtl": round(hours * random.choice([0.7, 0.9, 1.2]) * 60) / 60,
        "maxPrice": price * random.choice([0.9, 1.1]) + 1e-6,
    }
    for key in random.sample(sorted(limits), 2):
        if random.random() < 0.8:
            del limits[key]
    lines = (
        f"maxTtl: {round(limit * 60)}m" if key == "maxTtl" else f"{key}: {limit!r}"
        for key, limit in limits.items()
    )
    return "\n".join(lines), limits


def keeps(accounts: Accounts, spans: list[Span], limits: dict[str, float]) -> bool:
    kwh = sum(s.nodes * accounts.kw(s.place) * (s.last - s.first) for s in spans)
    grams = sum(
        s.nodes * accounts.kw(s.place) * accounts.grams_per_kw(s.place, s.first, s.last) for s in spans
    )
    price = max(s.nodes * accounts.offers[s.place].price_usd_hour for s in spans)
    hours = max(s.last - s.first for s in spans)
    figures = {"maxIntensity": grams / kwh, "maxPrice": price, "maxTtl": 1.5 * hours + 0.5}
    return all(figures[key] <= limit * (1 + 1e-9) + 1e-9 for key, limit in limits.items())


def test_the_other_limits_are_kept_and_the_gap_holds() -> None:
    random, held = Random(42), 0
    for _ in range(600):
        w = world(random, interruptible(random))
        free = planned(w, None)
        text, limits = rules(random, free)
        accounts, made = Accounts(w), planned(w, policy_of(text))
        alone = [*windows(accounts, 1, accounts.longest_h())]
        ways = [*alone, *with_pauses(accounts, may_move=False)]
        kept = [spans for spans in ways if keeps(accounts, spans, limits)]
        if made.chosen is None:
            assert not any(keeps(accounts, spans, limits) for spans in alone)
            continue
        spans = [
            Span(
                next(i for i, o in enumerate(accounts.offers) if o.instance_type == s.instance_type),
                (s.start.timestamp() - w.now.timestamp()) / 3600 + accounts.now_h,
                (s.end.timestamp() - w.now.timestamp()) / 3600 + accounts.now_h,
                s.nodes,
            )
            for s in made.chosen.segments
        ]
        assert keeps(accounts, spans, limits)
        assert all(before.last <= after.first for before, after in pairwise(spans))
        least = min(accounts.score(*accounts.total(way)) for way in kept)
        score = accounts.score(made.chosen.cost_usd, made.chosen.gco2e)
        assert score * (1 - made.chosen.gap) <= least * (1 + 1e-9) + 1e-12
        held += made.chosen != free.chosen
    assert held > 8
