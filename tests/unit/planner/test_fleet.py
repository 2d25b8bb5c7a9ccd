"""A fleet in a small world: quotas are kept, nobody is moved in vain, and who has no place hears why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, product
from random import Random
from typing import Any

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload
from test_brute_force import Way, World, search, total, wishes, world

from harchos_infra.errors import HarchosError
from harchos_infra.planner.fleet.assemble import assemble
from harchos_infra.planner.fleet.fleet import Fleet, plan_fleet
from harchos_infra.planner.fleet.member import Member, Ways
from harchos_infra.planner.fleet.pool import Pools
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.workload.document import Metadata, Workload

DAY = [300.0] * 8 + [100.0] * 4 + [200.0] * 12
SIGNAL = SmallSignal({"A": DAY * 3, "B": [400.0] * 72})
CATALOG = SmallCatalog(
    [region("aws/one", zone="A"), region("gcp/two", zone="B")],
    [
        offer("aws/one", price=1.0),
        offer("gcp/two", price=1.5),
        offer("aws/one", gpu="T4", price=0.9, count=4),
    ],
)


def job(name: str, **spec: Any) -> Workload:
    made = workload(**{"gpu": {"count": 1, "type": "L4"}, "duration": "2h", "deadline": "20h", **spec})
    return made.model_copy(update={"metadata": Metadata(name=name)})


def member(made: Workload, now: datetime = MIDNIGHT, path: str | None = None) -> Member:
    source = {"path": path or f"{made.metadata.name}.yaml", "sha256": "0" * 64}
    return Member(made, CATALOG, plan(made, catalog=CATALOG, signal=SIGNAL, now=now, source=source))


def fleet(*jobs: Workload, quotas: tuple[Quota, ...] = ()) -> Fleet:
    return plan_fleet([member(made) for made in jobs], quotas=Quotas(quotas), signal=SIGNAL)


def l4s(limit: int, where: str | None = "one", provider: str = "aws") -> Quota:
    return Quota(provider, where, "L4", limit, counts_gpus=True)


def chosen(made: Fleet) -> list[Schedule]:
    return [entry.plan.chosen for entry in made.entries if entry.plan.chosen]


def test_without_quotas_each_has_its_own_plan() -> None:
    jobs = [job("a"), job("b", duration="5h"), job("c", objective="greenest")]
    made = fleet(*jobs)
    assert [entry.plan for entry in made.entries] == [member(each).plan for each in jobs]
    assert made.gap == 0.0
    assert made.exact
    assert made.method == "each alone"


def test_quotas_that_hold_change_no_plan() -> None:
    made = fleet(job("a"), job("b"), quotas=(l4s(2),))
    assert not any(entry.is_moved for entry in made.entries)
    assert all(entry.plan.inputs["fleet"]["hash"] == made.inputs["hash"] for entry in made.entries)
    assert [pool.use.peak for pool in made.pools] == [2.0]


def test_jobs_that_do_not_fit_together_follow_one_another() -> None:
    made = fleet(job("a"), job("b"), job("c"), quotas=(l4s(1),))
    spans = sorted((s.start, s.finish) for s in chosen(made))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert [start.hour for start, _ in spans] == [8, 10, 12], "the third begins when the clean hours end"
    assert made.exact
    assert not made.entries[0].is_moved


def test_who_can_go_elsewhere_for_less_goes() -> None:
    tied = job("tied", placement={"regions": ["aws/one"]}, deadline="2h")
    free = job("free", deadline="2h")
    made = fleet(tied, free, quotas=(l4s(1),))
    assert [s.segments[0].region for s in chosen(made)] == ["one", "two"]
    costs = made.entries[1].cost_of_quotas()
    assert costs is not None
    assert costs[1] == pytest.approx(1.0)
    assert made.pools[0].worth_usd > 0


def test_all_gpus_of_a_machine_count() -> None:
    wide = job("wide", gpu={"count": 1, "type": "T4"}, placement={"regions": ["aws/one"]})
    made = fleet(wide, quotas=(Quota("aws", None, None, 3, counts_gpus=True),))
    assert made.entries[0].reason == "quota"
    assert (
        made.entries[0].plan.nearest_miss
        == "raise maxGpus of aws/one GPU from 3 to 4: aws/one T4x4 (on-demand)"
    )
    made = fleet(wide, quotas=(Quota("aws", None, None, 1, counts_gpus=False),))
    assert made.entries[0].reason is None


def test_who_has_no_place_hears_how_much_later_there_is_one() -> None:
    here = {"placement": {"regions": ["aws/one"]}, "deadline": "3h"}
    made = fleet(job("a", **here), job("b", **here), quotas=(l4s(1),))
    first, second = made.entries
    assert (first.reason, second.reason) == (None, "quota")
    assert second.plan.decision == "reject"
    assert second.plan.nearest_miss == "finish 1 h later and it fits: aws/one L4x1 (on-demand)"
    assert {lost.reason for lost in second.plan.rejected if lost.instance_type == "L4x1"} >= {"quota"}
    assert made.bound_usd == pytest.approx(made.score_usd), "of those that have a place"


def test_without_a_deadline_nothing_waits_for_a_quota() -> None:
    here = {"placement": {"regions": ["aws/one"]}, "deadline": None}
    made = fleet(job("a", **here), job("b", **here), quotas=(l4s(1),))
    assert made.entries[1].plan.nearest_miss == (
        "give it a deadline, so that it can start 2 h later: aws/one L4x1 (on-demand)"
    )


def test_who_has_no_candidate_alone_takes_no_part() -> None:
    made = fleet(job("a"), job("b"), job("late", deadline="1h"), quotas=(l4s(1),))
    assert made.entries[2].reason == "no-candidate"
    assert made.entries[2].plan == member(job("late", deadline="1h")).plan
    assert len(made.placed) == 2


def test_two_workloads_of_one_name_are_refused() -> None:
    members = [member(job("same"), path="x.yaml"), member(job("same"), path="y.yaml")]
    with pytest.raises(HarchosError, match=r"x\.yaml and y\.yaml: workloads of one fleet have the same name"):
        plan_fleet(members, quotas=Quotas(), signal=SIGNAL)


def test_the_same_fleet_gives_the_same_bytes() -> None:
    jobs = [job(f"job-{number}", duration=f"{1 + number % 3}h") for number in range(9)]
    first, second = (fleet(*jobs, quotas=(l4s(1),)).dumps() for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert document["schema"] == "harchos.fleet/1"
    assert document["totals"]["placed"] == 9
    assert document["bound"]["gap"] >= 0
    assert [entry["name"] for entry in document["workloads"]] == [made.metadata.name for made in jobs]
    assert document["quotas"][0]["peak"] == 1.0


def test_a_plan_file_of_a_moved_workload_reads_back_and_says_which_fleet_moved_it() -> None:
    made = fleet(job("a"), job("b"), quotas=(l4s(1),))
    moved = next(entry.plan for entry in made.entries if entry.is_moved)
    read = Plan.loads(moved.dumps())
    assert read.chosen is not None
    assert read.chosen.start == moved.chosen.start if moved.chosen else False
    assert read.inputs["fleet"]["hash"] == made.inputs["hash"]
    assert len(read.rejected) == len(CATALOG.offers) - 1


def test_a_schedule_that_is_no_window_stays_where_it_fits() -> None:
    own = member(job("paused", deadline="20h"))
    assert own.plan.chosen is not None
    segment = own.plan.chosen.segments[0]
    hour = timedelta(hours=1)
    halves = (
        replace(segment, end=segment.start + hour),
        replace(segment, start=segment.start + 3 * hour, end=segment.end + 2 * hour),
    )
    paused = replace(own.plan.chosen, segments=halves, cost_usd=0.5, finish=halves[-1].end)
    own = replace(own, plan=replace(own.plan, chosen=paused))
    early = [member(job(name, deadline="5h", placement={"regions": ["aws/one"]})) for name in ("a", "b")]
    made = plan_fleet([own, *early], quotas=Quotas((l4s(1),)), signal=SIGNAL)
    assert made.method != "each alone"
    assert made.entries[0].plan.chosen == paused
    assert made.bound_usd <= made.score_usd
    assert peak(made) <= 1


def test_members_that_trust_a_forecast_differently_each_keep_their_own_figures() -> None:
    ways = [Ways.of(member(job(name)), SIGNAL) for name in ("a", "b", "c")]
    horizon = ways[1].estimates.horizon
    doubled = replace(ways[1].estimates, horizon=replace(horizon, intensity=2 * horizon.intensity))
    ways[1] = replace(ways[1], estimates=doubled)
    problem = assemble(ways, Pools(Quotas((l4s(1),)))).problem
    zones = {number: set(problem.candidates.zone[problem.candidates.job == number]) for number in range(3)}
    assert zones[0] == zones[2]
    assert not zones[0] & zones[1]
    assert problem.intensity[sorted(zones[1])] == pytest.approx(2 * problem.intensity[sorted(zones[0])])


def test_members_that_start_at_different_hours_share_one_clock() -> None:
    later = (MIDNIGHT + timedelta(hours=5)).isoformat()
    here = {"placement": {"regions": ["aws/one"]}}
    made = fleet(job("a", **here), job("b", earliestStart=later, **here), quotas=(l4s(1),))
    assert sorted(s.start.hour for s in chosen(made)) == [8, 10]
    for entry in made.entries:
        segment = entry.plan.chosen.segments[0] if entry.plan.chosen else None
        assert segment is not None
        assert segment.intensity_gco2_per_kwh == (100.0, 100.0)


def peak(made: Fleet) -> float:
    segments = [s for c in chosen(made) for s in c.segments if (s.region, s.gpu_model) == ("one", "L4")]
    return max(sum(s.gpu_count for s in segments if s.start <= at.start < s.end) for at in segments)


def test_no_combination_of_windows_is_better_than_the_fleet() -> None:
    compared = 0
    for seed in range(120):
        random = Random(seed)
        first = world(random)
        worlds = [replace(first, workload=named(wishes(random, first.now), n)) for n in range(3)]
        quotas = tuple(
            Quota(
                provider, None, random.choice([None, "L4", "T4"]), random.choice([0, 1, 2, 3]),
                counts_gpus=random.random() < 0.7,
            )
            for provider in ("aws", "gcp") if random.random() < 0.8
        )  # fmt: skip
        members = [
            Member(w.workload, w.catalog, plan(w.workload, catalog=w.catalog, signal=w.signal, now=w.now,
                                               source={"path": w.workload.metadata.name}))
            for w in worlds
        ]  # fmt: skip
        made = plan_fleet(members, quotas=Quotas(quotas), signal=first.signal)
        assert keeps(worlds, made, quotas)
        best = combined(worlds, members, quotas)
        if best is None:
            continue
        without, least = best
        assert len(made.entries) - len(made.placed) <= without, seed
        if len(made.entries) - len(made.placed) == without:
            assert made.score_usd <= least * (1 + 1e-9) + 1e-12, seed
        if without == 0:
            assert made.bound_usd <= least * (1 + 1e-9) + 1e-12, seed
        compared += made.method != "each alone"
    assert compared > 30


def named(made: Workload, number: int) -> Workload:
    return made.model_copy(update={"metadata": Metadata(name=f"job-{number}")})


def units(w: World, quota: Quota, key: tuple[str, str, str, str]) -> float:
    found = next(o for o in w.catalog.offers if (o.provider, o.region, o.instance_type, o.market) == key)
    return quota.need(found, w.workload.spec.replicas) if quota.limits(found) else 0.0


def within(quotas: tuple[Quota, ...], spans: list[tuple[World, Any, datetime, datetime]]) -> bool:
    for _, _, moment, _ in spans:
        running = [(w, key) for w, key, start, end in spans if start <= moment < end]
        for quota in quotas:
            by_region: dict[str, float] = {}
            for w, key in running:
                by_region[key[1]] = by_region.get(key[1], 0.0) + units(w, quota, key)
            if any(taken > quota.limit for taken in by_region.values()):
                return False
    return True


def keeps(worlds: list[World], made: Fleet, quotas: tuple[Quota, ...]) -> bool:
    spans = [
        (w, segment.offer, segment.start, segment.end)
        for w, entry in zip(worlds, made.entries, strict=True)
        for segment in (entry.plan.chosen.segments if entry.plan.chosen else ())
    ]
    return within(quotas, spans)


def combined(
    worlds: list[World], members: list[Member], quotas: tuple[Quota, ...]
) -> tuple[int, float] | None:
    """Return (without a place, least sum of scores) over all combinations of windows; None: too many."""
    ways: list[list[tuple[Way | None, float]]] = []
    for w, each in zip(worlds, members, strict=True):
        _, feasible, with_embodied, _ = search(w)
        per_usd, per_g = each.weights
        scored = [(x, per_usd * x.usd + per_g * total(x, with_embodied)) for x in feasible]
        ways.append([*sorted(scored, key=lambda item: item[1])[:40], (None, 0.0)])
    if len(ways[0]) * len(ways[1]) * len(ways[2]) > 20_000:
        return None
    best: tuple[int, float] | None = None
    for combination in product(*ways):
        key = sum(x is None for x, _ in combination), sum(score for _, score in combination)
        if best is not None and key >= best:
            continue
        spans = [
            (w, x.key, x.start, x.finish)
            for w, (x, _) in zip(worlds, combination, strict=True)
            if x is not None
        ]
        if within(quotas, spans):
            best = key
    return best
