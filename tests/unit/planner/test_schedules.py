"""What a plan with several segments says, and when it has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.cli.plan_view import render_text
from harchos_infra.errors import HarchosError
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.runs.submit import check_runs

PAUSED = {
    "gpu": {},
    "duration": "2h",
    "deadline": "6h",
    "interruptible": True,
    "objective": "greenest",
    "checkpoint": {"restart": "6m", "grace": "3m"},
}
VALLEYS = [100.0, 900.0, 900.0, 100.0, 900.0, 900.0, 900.0]


def planned(signal=None, catalog=None, now=MIDNIGHT, source=None, **spec) -> Plan:
    catalog = catalog or SmallCatalog([region("aws/one")], [offer("aws/one", price=2.0)])
    signal = signal or SmallSignal({"A": VALLEYS, "B": [500.0] * 7})
    return plan(workload(**{**PAUSED, **spec}), catalog=catalog, signal=signal, now=now, source=source)


def times(made: Plan) -> list[tuple[str, str]]:
    assert made.chosen is not None
    return [(f"{s.start:%H:%M}", f"{s.end:%H:%M}") for s in made.chosen.segments]


def test_a_pause_is_saved_after_its_mark_and_left_before_the_next() -> None:
    made = planned()
    assert times(made) == [("00:00", "01:03"), ("02:54", "04:00")]
    assert made.chosen is not None
    assert [(s.restart_s, s.save_s) for s in made.chosen.segments] == [(0, 180), (360, 0)]


def test_grams_and_dollars_can_be_added_up_from_the_segments() -> None:
    chosen = planned().chosen
    assert chosen is not None
    assert sum(s.energy_kwh for s in chosen.segments) == pytest.approx(chosen.energy_kwh)
    assert sum(s.compute_usd for s in chosen.segments) == pytest.approx(chosen.cost_usd)
    grams = sum(s.energy_kwh * s.mean_gco2_per_kwh for s in chosen.segments)
    assert grams == pytest.approx(chosen.breakdown["operationalGco2e"])
    kw = chosen.segments[0].power_watts / 1000
    assert chosen.breakdown["pauseKwh"] == pytest.approx(kw * 0.15)
    assert chosen.breakdown["pauseUsd"] == pytest.approx(2.0 * 0.15)
    assert chosen.breakdown["pauseGco2e"] == pytest.approx(kw * 0.15 * 900)


def test_the_page_shows_each_segment_and_what_pauses_take() -> None:
    text = render_text(planned())
    assert "in 2 segments" in text
    assert "2026-11-23 00:00  2026-11-23 01:03" in text
    assert "of it for pauses: " in text
    assert "restarts for 6 min" in text


@pytest.mark.parametrize(
    "spec",
    [
        {"interruptible": False},
        {"deadline": None},
        {"objective": "cheapest"},
        {"checkpoint": {"restart": "6m", "grace": "3h"}},
        {"deadline": "2h"},
    ],
)
def test_no_pause_where_none_is_allowed_nor_worth_it(spec) -> None:
    document = {key: value for key, value in {**PAUSED, **spec}.items() if value is not None}
    made = plan(
        workload(**document),
        catalog=SmallCatalog([region("aws/one")], [offer("aws/one", price=2.0)]),
        signal=SmallSignal({"A": VALLEYS}),
        now=MIDNIGHT,
    )
    assert len(times(made)) == 1


def test_a_deadline_shorter_than_the_job_is_no_plan_and_the_nearest_miss_says_so() -> None:
    made = planned(deadline="90m")
    assert made.decision == "reject"
    assert made.nearest_miss == "finish 30 min later and it fits: aws/one L4x1 (on-demand)"


def test_what_is_not_given_is_said() -> None:
    assumed = planned(checkpoint={}).inputs["assumptions"]
    assert any(line.startswith("checkpoint.restart is not given: 5 min") for line in assumed)
    assert any(line.startswith("checkpoint.sizeGiB is not given") for line in assumed)
    assert "paused work goes on at marks of 60 min" in assumed


def test_the_same_inputs_give_the_same_bytes_and_are_read_back() -> None:
    source = {"path": "job.yaml", "sha256": "0" * 64}
    text = planned(source=source).dumps()
    assert text == planned(source=source).dumps()
    assert Plan.loads(text).dumps() == text


def two_places(**tables) -> SmallCatalog:
    regions = [region("aws/one", zone="A"), region("gcp/two", zone="B")]
    known = {("aws/one", "gcp/two"): 0.01, ("gcp/two", "aws/one"): 0.01}
    fast = dict.fromkeys(known, 8.0)
    offers = [offer("aws/one"), offer("gcp/two")]
    return SmallCatalog(regions, offers, **{"egress": known, "throughput": fast, **tables})


TIDES = SmallSignal({"A": [10.0, 900, 900, 900, 900, 900, 900], "B": [900.0, 900, 900, 10, 900, 900, 900]})


def test_a_job_moves_where_its_checkpoint_can_be_brought() -> None:
    made = planned(TIDES, two_places(), checkpoint={"sizeGiB": 1, "restart": "6m", "grace": "3m"})
    assert made.chosen is not None
    assert [s.region for s in made.chosen.segments] == ["one", "two"]
    there = made.chosen.segments[1]
    assert there.move_usd == pytest.approx(1.073741824 * 0.01)
    mean = (sum(TIDES.series["A"][:6]) + sum(TIDES.series["B"][:6])) / 12
    assert there.move_gco2e == pytest.approx(1.073741824 * 0.001 * mean)
    assert made.chosen.breakdown["moveUsd"] == there.move_usd
    assert made.chosen.breakdown["transferUsd"] == there.move_usd
    assert "the move into gcp/two" in render_text(made)


@pytest.mark.parametrize("tables", [{"throughput": {}}, {"egress": {}}])
def test_a_pair_that_nobody_has_measured_is_not_moved_between(tables) -> None:
    made = planned(TIDES, two_places(**tables), checkpoint={"sizeGiB": 1})
    assert made.chosen is not None
    assert len({s.region for s in made.chosen.segments}) == 1


def test_data_is_brought_once_more_into_the_place_that_a_job_moves_to() -> None:
    data = [{"uri": "s3://x", "region": "aws/one", "sizeGiB": 10}]
    made = planned(TIDES, two_places(), checkpoint={"sizeGiB": 1}, data=data)
    assert made.chosen is not None
    assert [s.region for s in made.chosen.segments] == ["one", "two"]
    assert made.chosen.cost_usd == pytest.approx(
        made.chosen.breakdown["computeUsd"] + 11 * 1.073741824 * 0.01
    )


def test_a_checkpoint_that_travels_too_long_is_not_moved() -> None:
    slow = dict.fromkeys([("aws/one", "gcp/two"), ("gcp/two", "aws/one")], 0.001)
    made = planned(TIDES, two_places(throughput=slow), checkpoint={"sizeGiB": 100})
    assert made.chosen is not None
    assert len({s.region for s in made.chosen.segments}) == 1


def test_more_nodes_where_the_grid_is_clean_in_segments_of_one_count_each() -> None:
    spec = {"interruptible": False, "checkpoint": None, "duration": "210m", "deadline": "4h"}
    document = {k: v for k, v in {**PAUSED, **spec}.items() if v is not None}
    document["scaling"] = {"minNodes": 1, "maxNodes": 2, "throughput": [1.0, 1.5]}
    made = plan(
        workload(**document),
        catalog=SmallCatalog([region("aws/one")], [offer("aws/one")]),
        signal=SmallSignal({"A": [900.0, 100.0, 900.0, 900.0, 900.0]}),
        now=MIDNIGHT,
    )
    assert made.chosen is not None
    assert [(s.nodes, s.hours) for s in made.chosen.segments] == [(1, 1.0), (2, 1.0), (1, 1.0)]
    assert "1 to 2 x aws/one" in render_text(made)
    with pytest.raises(HarchosError, match="changes the number of nodes, and without") as refused:
        check_runs(made)
    assert "remove `scaling`" in (refused.value.hint or "")


def test_more_nodes_meet_a_deadline_that_the_fewest_miss() -> None:
    scaling = {"minNodes": 1, "maxNodes": 3, "throughput": [1.0, 1.5, 2.0]}
    made = planned(interruptible=False, checkpoint={}, deadline="1h", scaling=scaling)
    assert made.chosen is not None
    assert [(s.nodes, s.hours) for s in made.chosen.segments] == [(3, 1.0)]
    assert made.baselines["runNowCheapest"] is None, "with one node it would not be in time"
    missed = planned(interruptible=False, checkpoint={}, deadline="50m", scaling=scaling)
    assert missed.nearest_miss == "finish 10 min later and it fits: aws/one L4x1 (on-demand)"


def test_a_power_mode_is_a_candidate_and_the_plan_names_it() -> None:
    modes = [
        {"watts": 40, "throughput": 0.9},
        {"watts": 300, "throughput": 1.0},
        {"watts": 9, "throughput": 0.5},
    ]
    catalog = SmallCatalog([region("aws/one")], [offer("aws/one", price=0.0, vcpus=0.5, memory=1.0)])
    made = planned(catalog=catalog, interruptible=False, checkpoint={}, gpu={"powerModes": modes})
    assert made.chosen is not None
    (segment,) = made.chosen.segments
    assert segment.gpu_limit_watts == 40
    assert segment.hours == pytest.approx(2 / 0.9, abs=1 / 3600)
    assert segment.power_watts == pytest.approx(2.0 * 0.5 + 0.5 * 1.0 + 40.0)
    assert "limited to 40 W of 70" in segment.power_basis
    assert "limited to 40 W" in render_text(made)
    assert made.summary["considered"] == 1
    assert made.rejected == ()
    with pytest.raises(HarchosError, match="limits its GPUs to 40 W"):
        check_runs(made)


def test_a_power_mode_of_another_model_is_left_alone() -> None:
    modes = [{"watts": 40, "throughput": 0.9, "type": "T4"}]
    made = planned(interruptible=False, checkpoint={}, gpu={"powerModes": modes})
    assert made.chosen is not None
    assert made.chosen.segments[0].gpu_limit_watts is None


@pytest.mark.parametrize("step_s", [300, 900, 1800])
def test_a_signal_of_shorter_steps_is_planned_on_its_own_marks(step_s: int) -> None:
    steps = 7 * 3600 // step_s
    values = [900.0] * steps
    values[3] = values[7] = 100.0
    signal = SmallSignal({"A": values}, step_s=step_s)
    made = planned(signal, duration=f"{step_s}s", interruptible=False, checkpoint={})
    assert made.chosen is not None
    (segment,) = made.chosen.segments
    assert segment.start == MIDNIGHT + timedelta(seconds=3 * step_s)
    assert (segment.intensity_step_s, segment.intensity_gco2_per_kwh) == (step_s, (100.0,))
    assert segment.mean_gco2_per_kwh == 100.0
    assert len(made.horizon["gco2PerKwh"]) == 6 * 3600 // step_s
    paused = planned(signal, duration=f"{2 * step_s}s", checkpoint={"restart": "0s", "grace": "0s"})
    assert paused.chosen is not None
    assert [(s.start - MIDNIGHT).total_seconds() / step_s for s in paused.chosen.segments] == [3, 7]
    assert "Intensity of A" in render_text(paused)


def test_zones_of_different_steps_are_compared() -> None:
    class Mixed(SmallSignal):
        def intensity(self, zone, start, hours):
            signal = SmallSignal({"B": [500.0] * 28}, step_s=900) if zone == "B" else self
            return SmallSignal.intensity(signal, zone, start, hours)

    made = planned(Mixed({"A": VALLEYS, "B": []}), two_places(), interruptible=False, checkpoint={})
    assert made.chosen is not None
    assert made.chosen.segments[0].region == "one"
    assert made.chosen.segments[0].intensity_step_s == 900


def test_a_step_that_does_not_divide_the_hour_is_refused() -> None:
    with pytest.raises(HarchosError, match="a step of 420 s"):
        planned(SmallSignal({"A": [1.0] * 100}, step_s=420))


def test_the_hours_that_a_clock_skips_or_repeats_are_hours_like_any_other() -> None:
    for spring_or_autumn in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        signal = SmallSignal({"A": VALLEYS}, first=spring_or_autumn)
        made = planned(signal, now=spring_or_autumn)
        assert times(made) == [("00:00", "01:03"), ("02:54", "04:00")]


def test_a_plan_of_several_segments_is_one_that_is_carried_out() -> None:
    check_runs(planned())
