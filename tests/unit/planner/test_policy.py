"""A policy holds in every plan: in choice, reasons and nearest miss, in fleets and while a run waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.catalog import Catalog
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.fleet.fleet import plan_fleet
from harchos_infra.planner.fleet.member import Member
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.planner.policing import of_plan
from harchos_infra.planner.replan import Move, Stay, reconsider
from harchos_infra.workload.document import Workload
from support.policies import policy_of

HOUR = timedelta(hours=1)
SIGNAL = SmallSignal({"A": [400.0, 100.0] * 24, "B": [50.0] * 48})
CATALOG = SmallCatalog(
    [region("aws/berlin", zone="A"), region("gcp/oslo", zone="B", country="NO")],
    [
        offer("aws/berlin", price=1.0),
        offer("aws/berlin", price=0.4, market="spot"),
        offer("gcp/oslo", price=2.0, instance="g2-l4"),
    ],
)
SPEC = {"gpu": {"count": 1}, "objective": "cheapest", "placement": {"market": "any"}}


def planned(rules: str, **spec: Any) -> Plan:
    policy = policy_of(rules)
    return plan(workload(**{**SPEC, **spec}), catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT, policy=policy)


def where(made: Plan) -> str:
    assert made.chosen is not None, made.nearest_miss
    segment = made.chosen.segments[0]
    return f"{segment.provider}/{segment.region} {segment.market}"


@pytest.mark.parametrize(
    ("rules", "left", "reason", "detail"),
    [
        ("providers: [gcp]", "gcp/oslo on-demand", "policy-provider", "aws; providers allows gcp (p.yaml:5)"),
        (
            "regions: ['os*']",
            "gcp/oslo on-demand",
            "policy-region",
            "aws/berlin; regions allows os* (p.yaml:5)",
        ),
        (
            "regions: ['gcp/*']",
            "gcp/oslo on-demand",
            "policy-region",
            "aws/berlin; regions allows gcp/* (p.yaml:5)",
        ),
        ("countries: [NO]", "gcp/oslo on-demand", "policy-country", "in DE; countries allows NO (p.yaml:5)"),
        (
            "instanceTypes: ['g2-*', 'gcp/L4*']",
            "gcp/oslo on-demand",
            "policy-instance-type",
            "L4x1; instanceTypes allows g2-*, gcp/L4* (p.yaml:5)",
        ),
        (
            "markets: [on-demand]",
            "aws/berlin on-demand",
            "policy-market",
            "spot; markets allows on-demand (p.yaml:5)",
        ),
        (
            "\nmaxIntensity: 60",
            "gcp/oslo on-demand",
            "policy-intensity",
            "400 gCO2/kWh on the mean; maxIntensity is 60 (p.yaml:5)",
        ),
    ],
)
def test_what_is_not_allowed_is_not_chosen_and_says_which_rule(
    rules: str, left: str, reason: str, detail: str
) -> None:
    made = planned(rules)
    assert where(made) == left
    assert detail in [lost.detail for lost in made.rejected if lost.reason == reason]
    assert made.summary[reason] >= 1


@pytest.mark.parametrize(
    ("rules", "spec", "miss"),
    [
        (
            "providers: [azure]",
            {},
            "have providers of the policy (p.yaml:5) allow aws: aws/berlin L4x1 (spot)",
        ),
        ("countries: [SE]", {}, "have countries of the policy (p.yaml:5) allow DE: aws/berlin L4x1 (spot)"),
        (
            "instanceTypes: [x]",
            {},
            "have instanceTypes of the policy (p.yaml:5) allow L4x1: aws/berlin L4x1 (spot)",
        ),
        (
            "maxPrice: 0.3",
            {},
            "have maxPrice of the policy (p.yaml:5) raised to 0.4 USD/h: aws/berlin L4x1 (spot)",
        ),
        ("maxPrice: 0.7", {"replicas": 2}, "raised to 0.8 USD/h: aws/berlin L4x1 (spot)"),
        (
            "maxIntensity: 49",
            {},
            "have maxIntensity of the policy (p.yaml:5) raised to 50 gCO2/kWh: gcp/oslo",
        ),
        (
            "maxCost: 0.1",
            {},
            "have maxCost of the policy (p.yaml:5) raised to 0.4 USD: aws/berlin L4x1 (spot)",
        ),
        ("maxCarbon: 0.001", {}, "have maxCarbon of the policy (p.yaml:5) raised to 0.0043 kg: gcp/oslo"),
        ("maxTtl: 90m", {"ttl": "2h"}, "lower spec.ttl from 2h to 90m (maxTtl, p.yaml:5)"),
        ("maxTtl: 90m", {}, "set spec.ttl, to 90m at most (maxTtl, p.yaml:5), in place of what is planned"),
        ("requiredLabels: [team]", {}, "metadata.labels has no `team` (p.yaml:5)"),
        (
            "requiredLabels:\n  team: a\n  owner: b",
            {},
            "metadata.labels has no `team` (p.yaml:6); metadata.labels has no `owner` (p.yaml:7)",
        ),
    ],
)
def test_where_nothing_is_left_the_nearest_miss_names_the_rule_and_its_line(
    rules: str, spec: dict[str, Any], miss: str
) -> None:
    made = planned(rules, **spec)
    assert made.decision == "reject"
    assert miss in (made.nearest_miss or "")


def labelled(**labels: str) -> Workload:
    made = workload(**SPEC)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"labels": labels})})


@pytest.mark.parametrize(("team", "ok"), [("vision", True), ("research-7", True), ("sales", False)])
def test_a_label_may_be_held_to_values(team: str, ok: bool) -> None:
    policy = policy_of("requiredLabels:\n  team: [vision, 'research-*']\n")
    made = plan(labelled(team=team), catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT, policy=policy)
    assert (made.chosen is not None) is ok
    if not ok:
        assert "label team is `sales`, not vision or research-* (p.yaml:6)" in (made.nearest_miss or "")


def test_a_dirty_hour_is_waited_out_where_the_deadline_lets_it() -> None:
    at_once = planned("maxIntensity: 150\nproviders: [aws]")
    in_time = planned("maxIntensity: 150\nproviders: [aws]", deadline="5h")
    assert "raised to 400 gCO2/kWh" in (at_once.nearest_miss or "")
    assert in_time.chosen is not None and in_time.chosen.start == MIDNIGHT + HOUR


def test_the_plan_records_the_policy_and_its_inputs_differ() -> None:
    free = plan(workload(**SPEC), catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT)
    held = planned("maxPrice: 5")
    policy = policy_of("maxPrice: 5")
    assert held.inputs["policy"] == policy.record()
    assert "policy" not in free.inputs
    assert held.inputs["hash"] != free.inputs["hash"]
    assert held.chosen == free.chosen


def test_the_home_baseline_is_where_the_job_runs_today_whatever_the_policy() -> None:
    made = planned("regions: [gcp/oslo]", placement={"homeRegion": "aws/berlin", "market": "any"})
    home = made.baselines["runNowHome"]
    assert where(made) == "gcp/oslo on-demand"
    assert home is not None and home.segments[0].region == "berlin"


def test_schedules_with_pauses_keep_to_the_policy_and_say_what_they_may_miss() -> None:
    pausable = {
        "duration": "4h", "interruptible": True, "deadline": "12h", "objective": "cheapest",
        "checkpoint": {"path": "c", "restart": "0s", "grace": "0s"},
    }  # fmt: skip
    made = planned("maxIntensity: 120\nproviders: [aws]", **pausable)
    assert made.chosen is not None and len(made.chosen.segments) > 1
    kwh, grams = made.chosen.energy_kwh, made.chosen.breakdown["operationalGco2e"]
    assert grams / kwh <= 120
    held = planned("maxTtl: 2h\nproviders: [aws]\nmaxIntensity: 120", **pausable)
    assert max(segment.hours for segment in held.chosen.segments) * 1.5 + 0.5 <= 2  # type: ignore[union-attr]


def test_node_counts_keep_to_the_price_of_all_machines_at_once() -> None:
    scaling = {"minNodes": 1, "maxNodes": 4, "throughput": [1.0, 1.9, 2.7, 3.4]}
    spec = {"duration": "4h", "deadline": "6h", "scaling": scaling, "objective": "greenest"}
    free, held = planned("providers: [aws]", **spec), planned("providers: [aws]\nmaxPrice: 0.9", **spec)
    assert free.chosen is not None and max(s.nodes for s in free.chosen.segments) > 2
    assert held.chosen is not None
    assert all(s.nodes * s.price_usd_hour <= 0.9 for s in held.chosen.segments)
    assert held.chosen.gco2e >= free.chosen.gco2e


def rules(random: Random) -> str:
    made = {
        "countries": random.sample(["SE", "NO", "DE", "FR", "US", "CA", "GB", "IE"], 4),
        "providers": random.sample(["aws", "gcp", "azure"], 2),
        "instanceTypes": ["*4*", "aws/g*"],
        "markets": random.choice([["on-demand"], ["spot", "on-demand"]]),
        "maxPrice": random.choice([0.6, 1.5, 4]),
        "maxIntensity": random.choice([40, 120, 350]),
        "maxTtl": random.choice(["5h", "8h"]),
        "maxCost": random.choice([1.5, 4]),
        "maxCarbon": random.choice([0.02, 0.2]),
    }
    return "\n".join(f"{key}: {made[key]}".replace("'", '"') for key in random.sample(sorted(made), 4))


NOW = datetime(2026, 7, 1, tzinfo=MIDNIGHT.tzinfo)


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_of_the_real_catalogue_breaks_its_policy(seed: int) -> None:
    random = Random(seed)
    policy = policy_of(rules(random))
    job = workload(
        duration="3h", gpu={"count": 1}, deadline="24h", placement={"market": "any"},
        objective=random.choice(["greenest", "cheapest", "balanced"]),
    )  # fmt: skip
    made = plan(job, catalog=Catalog.builtin(), signal=builtin_replay(), now=NOW, policy=policy)
    free = plan(job, catalog=Catalog.builtin(), signal=builtin_replay(), now=NOW)
    if made.chosen is None:
        assert made.nearest_miss
        assert of_plan(policy, free, job, Catalog.builtin()), (
            "the plan without a policy would have kept to it"
        )
        return
    assert of_plan(policy, made, job, Catalog.builtin()) == ()
    kept = not of_plan(policy, free, job, Catalog.builtin())
    assert (made.chosen == free.chosen) is kept


def test_a_plan_that_was_made_without_it_names_each_rule_once() -> None:
    free = plan(workload(**SPEC), catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT)
    policy = policy_of(
        "countries: [NO]\nmaxPrice: 0.1\nmaxIntensity: 60\nmaxTtl: 1h\nmaxCost: 0.1\nmaxCarbon: 0.001\n"
        "markets: [on-demand]\nproviders: [gcp]\nregions: [oslo]\ninstanceTypes: ['g2-*']\n"
        "requiredLabels: [team]\n"
    )
    broken = of_plan(policy, free, workload(**SPEC), CATALOG)
    assert sorted(miss.reason for miss in broken) == sorted(
        f"policy-{what}"
        for what in (
            "country", "price", "intensity", "ttl", "cost", "carbon", "market", "provider", "region",
            "instance-type", "label",
        )
    )  # fmt: skip


def test_in_a_fleet_each_keeps_to_the_policy_when_a_quota_moves_it() -> None:
    policy = policy_of("maxIntensity: 150\nmarkets: [on-demand]")
    jobs = []
    for name in ("one", "two", "three"):
        job = workload(**{**SPEC, "deadline": "5h", "objective": "cheapest", "placement": {}})
        job = job.model_copy(update={"metadata": job.metadata.model_copy(update={"name": name})})
        made = plan(
            job,
            catalog=CATALOG,
            signal=SIGNAL,
            now=MIDNIGHT,
            policy=policy,
            source={"path": name, "sha256": ""},
        )
        jobs.append(Member(job, CATALOG, made, None, policy))
    fleet = plan_fleet(jobs, quotas=Quotas((Quota("aws", None, None, 1, counts_gpus=True),)), signal=SIGNAL)
    starts = sorted((e.plan.chosen.start - MIDNIGHT) / HOUR for e in fleet.placed)  # type: ignore[union-attr]
    assert len(fleet.placed) == 3
    for entry in fleet.placed:
        assert of_plan(policy, entry.plan, entry.member.workload, CATALOG) == ()
    assert [place.plan.chosen.segments[0].region for place in fleet.placed].count("berlin") == 2  # type: ignore[union-attr]
    assert set(starts) <= {0.0, 1.0, 3.0}


def test_a_waiting_run_moves_only_where_the_policy_lets_it() -> None:
    deadline = (MIDNIGHT + 10 * HOUR).isoformat()
    job = workload(**{**SPEC, "objective": "greenest", "deadline": deadline})
    policy = policy_of("countries: [DE]")
    dirty = SmallSignal({"A": [500.0] * 5 + [400.0] * 43, "B": [10.0] * 48})
    held = plan(job, catalog=CATALOG, signal=dirty, now=MIDNIGHT, policy=policy).chosen
    assert held is not None
    known = {"catalog": CATALOG, "signal": dirty, "now": MIDNIGHT + HOUR}
    assert isinstance(reconsider(job, held.segments, **known), Move)  # type: ignore[arg-type]
    assert reconsider(job, held.segments, **known, policy=policy) == Stay("it is still the best")  # type: ignore[arg-type]


def test_a_waiting_run_that_the_policy_no_longer_lets_leaves_its_place() -> None:
    deadline = (MIDNIGHT + 10 * HOUR).isoformat()
    job = workload(**{**SPEC, "deadline": deadline})
    held = plan(job, catalog=CATALOG, signal=SIGNAL, now=MIDNIGHT).chosen
    assert held is not None
    decision = reconsider(
        job,
        held.segments,
        catalog=CATALOG,
        signal=SIGNAL,
        now=MIDNIGHT,
        policy=policy_of("maxIntensity: 60"),
    )
    assert isinstance(decision, Move) and decision.to.segments[0].region == "oslo"
    assert "maxIntensity is 60 (p.yaml:5)" in decision.why
