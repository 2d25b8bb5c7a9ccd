"""A schedule is left for another where the gain beats the switching cost by a margin, on new data."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harchos_infra.planner.fit import Miss
from harchos_infra.planner.measured import Calibration, Figure, Key, Machine, Measures
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Schedule
from harchos_infra.planner.planner import plan
from harchos_infra.planner.replan import (
    LEAST_G,
    LEAST_SHARE,
    LEAST_USD,
    WAITING,
    Move,
    Stay,
    SwitchingCost,
    decide,
    goes_on,
    leaving,
    price,
    reconsider,
)
from harchos_infra.planner.request import Request
from harchos_infra.workload.work import work_sha256
from tests.unit.planner.small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

HOUR = timedelta(hours=1)
WORLD = SmallCatalog(
    [region("aws/one"), region("aws/two", zone="B")], [offer("aws/one"), offer("aws/two", price=1.0)]
)
JOB: dict[str, Any] = {
    "gpu": {"count": 1},
    "utilization": 1.0,
    "duration": "1h",
    "objective": "greenest",
    "deadline": (MIDNIGHT + 6 * HOUR).isoformat(),
}
KWH = 0.086


def signal(a: list[float], b: list[float]) -> SmallSignal:
    return SmallSignal({"A": a, "B": b})


FIRST = signal([500, 500, 500, 100, 500, 500], [600.0] * 6)


def held(**spec: Any) -> Schedule:
    made = plan(workload(**{**JOB, **spec}), catalog=WORLD, signal=FIRST, now=MIDNIGHT)
    assert made.chosen is not None
    assert made.chosen.start == MIDNIGHT + 3 * HOUR
    return made.chosen


def again(now_signal: SmallSignal, *, hour: int = 1, **options: Any) -> Stay | Move:
    spec = options.pop("spec", {})
    return reconsider(
        workload(**{**JOB, **spec}),
        held(**spec).segments,
        catalog=options.pop("catalog", WORLD),
        signal=now_signal,
        now=MIDNIGHT + hour * HOUR,
        **options,
    )


def test_on_the_same_data_a_schedule_stays() -> None:
    assert again(FIRST) == Stay("it is still the best")


def test_a_better_hour_moves_the_run_and_says_by_how_much() -> None:
    decision = again(signal([500, 500, 500, 400, 100, 500], [600.0] * 6))
    assert isinstance(decision, Move)
    assert decision.to.start == MIDNIGHT + 4 * HOUR
    assert decision.gco2e == pytest.approx(-300 * KWH)
    assert decision.usd == 0
    assert decision.expected == f"expected {-300 * KWH / 1000:+.3g} kgCO2e, +0 USD"


def test_a_better_place_moves_the_run() -> None:
    decision = again(signal([500, 500, 500, 400, 500, 500], [600, 600, 20, 600, 600, 600]))
    assert isinstance(decision, Move)
    assert (decision.to.segments[0].region, decision.to.start) == ("two", MIDNIGHT + 2 * HOUR)


def test_a_gain_within_the_margin_moves_nothing() -> None:
    decision = again(signal([500, 500, 500, 100, 96, 500], [600.0] * 6))
    assert isinstance(decision, Stay)
    assert "at least 5 needed" in decision.why


def test_figures_that_waver_within_the_margin_never_move_a_run_back_and_forth() -> None:
    rng = np.random.default_rng(7)
    base = np.array([500, 500, 500, 400, 401, 399], dtype=float)
    for _ in range(40):
        wavering = (base * (1 + rng.uniform(-0.02, 0.02, 6))).tolist()
        assert isinstance(again(signal(wavering, [600.0] * 6)), Stay)


def test_what_switching_takes_is_part_of_the_comparison() -> None:
    better = plan(
        workload(**JOB),
        catalog=WORLD,
        signal=signal([500, 500, 500, 500, 10, 500], [600.0] * 6),
        now=MIDNIGHT,
    ).chosen
    assert better is not None
    gain_g = held().gco2e - better.gco2e
    objective = Objective.of(workload(**JOB).spec)
    for more_g, moves in ((-0.1, True), (0.1, False)):
        cost = SwitchingCost(0.0, gain_g - LEAST_G + more_g)
        assert isinstance(decide(objective, held(), better, cost), Move) is moves


PAUSED = {
    **JOB,
    "duration": "3h",
    "interruptible": True,
    "checkpoint": {"grace": "6m", "restart": "12m", "sizeGiB": 1},
}
TWO_VALLEYS = signal([500, 100, 100, 600, 90, 90], [600.0] * 6)


def paused() -> Schedule:
    made = plan(workload(**PAUSED), catalog=WORLD, signal=TWO_VALLEYS, now=MIDNIGHT).chosen
    assert made is not None
    assert len(made.segments) > 1
    return made


def test_a_schedule_with_pauses_has_the_price_that_the_planner_gave_it() -> None:
    kept = price(paused().segments, Request.of(workload(**PAUSED), WORLD, MIDNIGHT), WORLD, TWO_VALLEYS)
    assert kept == paused()


def test_on_the_same_data_a_schedule_with_pauses_stays() -> None:
    decision = reconsider(
        workload(**PAUSED), paused().segments, catalog=WORLD, signal=TWO_VALLEYS, now=MIDNIGHT
    )
    assert decision == Stay("it is still the best")


def test_a_running_job_leaves_its_hub_only_where_that_pays_for_saving_and_restarting() -> None:
    job = {**JOB, "duration": "2h", "interruptible": True, "checkpoint": {"grace": "6m", "restart": "12m"}}
    first = plan(workload(**job), catalog=WORLD, signal=signal([100] * 6, [600.0] * 6), now=MIDNIGHT).chosen
    assert first is not None
    overhead_h = 0.3
    for later_g, moves in ((10, True), (75, False)):
        found = signal([100, 100, later_g, later_g, later_g, later_g], [600.0] * 6)
        decision = reconsider(
            workload(**job), first.segments, catalog=WORLD, signal=found, now=MIDNIGHT, runs=True
        )
        assert isinstance(decision, Move) is moves
        if isinstance(decision, Move):
            saved = (100 - later_g) * 2 * KWH
            takes = KWH * (0.1 * 100 + 0.2 * decision.to.segments[0].mean_gco2_per_kwh)
            assert decision.gco2e == pytest.approx(takes - saved)
            assert decision.usd == pytest.approx(overhead_h * first.segments[0].price_usd_hour)


def test_a_running_job_that_just_goes_on_takes_nothing() -> None:
    first = held().segments[0]
    assert goes_on(first, first, first.start)
    assert leaving(first, first, Request.of(workload(**JOB), WORLD, first.start)) == WAITING


def test_a_past_hour_is_no_choice() -> None:
    decision = again(signal([500, 10, 500, 100, 500, 500], [600.0] * 6), hour=2)
    assert decision == Stay("it is still the best")


def test_the_deadline_holds_when_a_run_is_planned_again() -> None:
    beyond = SmallSignal({"A": [500, 500, 500, 400, 400, 400, 1, 1], "B": [600.0] * 8})
    assert again(beyond) == Stay("it is still the best")


def test_a_schedule_that_would_now_miss_the_deadline_is_left_for_one_that_does_not() -> None:
    job = workload(**JOB)
    slow = Figure.of([3.5 * 3600])
    known = Calibration({Key("job", work_sha256(job), Machine("aws", "L4x1")): Measures(run_s=slow)})
    decision = again(FIRST, measured=known)
    assert isinstance(decision, Move)
    assert decision.why == "the schedule no longer fits: it would finish 30 min after the deadline"
    assert decision.to.finish <= MIDNIGHT + 6 * HOUR
    assert decision.usd is None


def test_a_budget_holds_when_a_run_is_planned_again() -> None:
    spec = {"budget": {"maxCarbon": 0.01}, "objective": "cheapest"}
    cheap = SmallCatalog([region("aws/one")], [offer("aws/one")])
    now = signal([500, 500, 500, 400, 90, 500], [600.0] * 6)
    decision = again(now, spec=spec, catalog=cheap)
    assert isinstance(decision, Move)
    assert decision.why.startswith("the schedule no longer fits: 0.0344 kgCO2e at the least")
    nowhere = again(signal([500.0] * 6, [600.0] * 6), spec=spec, catalog=cheap)
    assert isinstance(nowhere, Stay)
    assert not nowhere.confirmed
    assert nowhere.why.startswith("nothing fits any more: 0.043 kgCO2e at the least")
    assert "raise budget.maxCarbon" in nowhere.why


def test_a_source_that_is_silent_about_the_zone_moves_nothing() -> None:
    decision = again(SmallSignal({"B": [20.0] * 6}))
    assert isinstance(decision, Stay)
    assert not decision.confirmed
    assert decision.why.startswith("it cannot be priced now: ")


def test_a_source_that_is_silent_about_another_zone_takes_only_that_one_out() -> None:
    decision = again(SmallSignal({"A": [500, 500, 500, 400, 100, 500]}))
    assert isinstance(decision, Move)
    assert decision.to.start == MIDNIGHT + 4 * HOUR


def test_an_offer_that_is_gone_is_left() -> None:
    decision = again(FIRST, catalog=SmallCatalog([region("aws/two", zone="B")], [offer("aws/two")]))
    assert isinstance(decision, Move)
    assert decision.why == "the schedule no longer fits: aws one L4x1 on-demand is not offered any more"


def test_the_schedule_that_the_planner_just_chose_has_the_price_that_the_planner_gave_it() -> None:
    job = workload(**{**JOB, "data": [{"uri": "s3://b", "region": "aws/two", "sizeGiB": 5}]})
    world = SmallCatalog(
        [region("aws/one"), region("aws/two", zone="B")],
        [offer("aws/one")],
        egress={("aws/two", "aws/one"): 0.02},
    )
    made = plan(job, catalog=world, signal=FIRST, now=MIDNIGHT)
    assert made.chosen is not None
    assert price(made.chosen.segments, Request.of(job, world, MIDNIGHT), world, FIRST) == made.chosen


@given(
    before=st.lists(st.integers(1, 900), min_size=8, max_size=8),
    after=st.lists(st.integers(1, 900), min_size=8, max_size=8),
    start_h=st.integers(0, 6),
    minutes=st.integers(30, 110),
)
def test_a_move_is_made_exactly_when_brute_force_finds_the_gain(
    before: list[int], after: list[int], start_h: int, minutes: int
) -> None:
    world = SmallCatalog([region("aws/one")], [offer("aws/one")])
    spec = {**JOB, "duration": f"{minutes}m", "deadline": (MIDNIGHT + 8 * HOUR).isoformat()}
    first = plan(
        workload(**spec), catalog=world, signal=SmallSignal({"A": before}), now=MIDNIGHT + start_h * HOUR
    )
    assert first.chosen is not None
    now = MIDNIGHT + start_h * HOUR
    decision = reconsider(
        workload(**spec), first.chosen.segments, catalog=world, signal=SmallSignal({"A": after}), now=now
    )

    def grams(start: datetime) -> float:
        begin = (start - MIDNIGHT) / HOUR
        end = begin + minutes / 60
        hours = ((g, min(end, h + 1) - max(begin, h)) for h, g in enumerate(after))
        return sum(g * share * KWH for g, share in hours if share > 0)

    kept = grams(first.chosen.start)
    starts = range(start_h * 60, 8 * 60 - minutes + 1)
    best = min(grams(MIDNIGHT + timedelta(minutes=m)) for m in starts)
    needed = max(LEAST_SHARE * kept, LEAST_G)
    if abs(kept - best - needed) > 1e-6:
        assert isinstance(decision, Move) == (kept - best >= needed)
    if isinstance(decision, Move):
        assert grams(decision.to.start) == pytest.approx(best)


def test_dollars_are_weighed_by_the_objective() -> None:
    cheaper = plan(
        workload(**{**JOB, "objective": "cheapest"}),
        catalog=SmallCatalog([region("aws/two")], [offer("aws/two", price=0.9)]),
        signal=FIRST,
        now=MIDNIGHT,
    ).chosen
    assert cheaper is not None
    for name, moves in (("cheapest", True), ("balanced", True), ("greenest", False)):
        objective = Objective.of(workload(**{**JOB, "objective": name}).spec)
        assert isinstance(decide(objective, held(), cheaper, WAITING), Move) is moves


def test_a_tenth_of_a_cent_is_not_worth_a_move() -> None:
    world = SmallCatalog([region("aws/one")], [offer("aws/one", price=LEAST_USD * 0.9)])
    free = SmallCatalog([region("aws/two")], [offer("aws/two", price=0.0)])
    job = workload(**{**JOB, "objective": "cheapest"})
    dear, cheap = (plan(job, catalog=c, signal=FIRST, now=MIDNIGHT).chosen for c in (world, free))
    assert dear is not None
    assert cheap is not None
    assert isinstance(decide(Objective.of(job.spec), dear, cheap, WAITING), Stay)
    assert isinstance(decide(Objective.of(job.spec), Miss("offer", "gone"), cheap, WAITING), Move)
