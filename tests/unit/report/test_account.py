"""What an account says, against figures worked out by hand."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harchos_infra.errors import HarchosError
from harchos_infra.planner.plan import Plan
from harchos_infra.report.account import account
from harchos_infra.report.interval import Interval
from support.records import HORIZON, NOW, START, home, hub, iso, measurement, plan, record, schedule, segment

MINUTE = timedelta(minutes=1)


def test_operational_carbon_is_energy_times_pue_times_the_intensity_of_its_hour():
    realised = account(record()).realised
    assert realised.kwh_before_pue == pytest.approx(0.5)
    assert realised.kwh == pytest.approx(0.55)
    assert realised.carbon.operational == pytest.approx(0.25 * 1.1 * 20 + 0.25 * 1.1 * 30)
    assert realised.gco2_per_kwh == pytest.approx(25)


def test_a_measurement_across_an_hour_boundary_is_split_exactly_there():
    # 40 minutes ending 15:10: three quarters in the 20 g hour, one quarter in the 30 g hour.
    across = measurement(START + 70 * MINUTE, 2400, 1.0)
    carbon = account(record(measurements=(across,), hubs=(hub(pue=1.0),))).realised.carbon
    assert carbon.operational == pytest.approx(0.75 * 20 + 0.25 * 30)


def test_intensity_is_looked_up_on_the_runs_own_clock():
    # The hub lives on another real day; the offset carries it to the planned segment.
    real = START - timedelta(days=1000)
    moved = record(
        hubs=(
            hub(
                created_at=real,
                gone_at=real + timedelta(hours=2),
                schedule_offset_s=timedelta(days=1000).total_seconds(),
            ),
        ),
        measurements=(
            measurement(real + timedelta(hours=1), 3600, 0.25),
            measurement(real + timedelta(hours=2), 3600, 0.25),
        ),
    )
    assert account(moved).realised.carbon.operational == pytest.approx(13.75)
    assert account(moved).start_delay_s == 0
    assert account(moved).finish_delay_s == 0


def test_embodied_carbon_and_price_follow_the_hubs_life_and_its_nodes():
    long = hub(nodes=3, gone_at=START + timedelta(hours=4))
    realised = account(record(hubs=(long,))).realised
    assert realised.carbon.embodied == pytest.approx(10 * 3 * 4)
    assert realised.cost.compute == pytest.approx(0.8 * 3 * 4)
    assert realised.hub_s == 3 * 4 * 3600


def test_embodied_carbon_nobody_published_is_missing_not_zero():
    realised = account(record(hubs=(hub(embodied_gco2e_hour=None),))).realised
    assert realised.carbon.embodied is None
    assert realised.carbon.embodied_unpublished == ("g6.xlarge",)
    assert realised.carbon.total() == Interval(*[pytest.approx(13.75)] * 2)


def test_a_living_hub_is_counted_up_to_now_or_to_the_last_thing_known():
    living = record(hubs=(hub(gone_at=None),), outcome=None, finished_at=None)
    now = account(living, START + timedelta(hours=5))
    assert now.alive
    assert now.realised.cost.compute == pytest.approx(0.8 * 5)
    assert now.realised.finish is None and now.finish_delay_s is None
    assert account(living).realised.cost.compute == pytest.approx(0.8 * 2)


def test_gaps_in_the_metering_are_named_and_the_coverage_says_how_much_was_metered():
    parts = (
        measurement(START + 20 * MINUTE, 600, 0.1),
        measurement(START + 60 * MINUTE, 1800, 0.1),
        measurement(START + 50 * MINUTE, 600, 0.0),
    )
    realised = account(record(measurements=parts)).realised
    assert [(g.where, g.seconds) for g in realised.gaps] == [
        ("before the first measurement", 600),
        ("between measurements", 600),
        ("after the last measurement", 3600),
    ]
    assert realised.coverage == pytest.approx(40 / 120)


def test_each_node_is_metered_and_paid_by_itself():
    hour = timedelta(hours=1)
    whole = [measurement(START + n * hour, 3600, 0.25, node=node) for node in (0, 1) for n in (1, 2)]
    hubs = (hub(nodes=2),)
    both = account(record(hubs=hubs, measurements=tuple(whole))).realised
    assert both.kwh_before_pue == pytest.approx(1.0)
    assert both.cost.compute == pytest.approx(2 * 2 * 0.8)
    assert (both.coverage, both.gaps) == (pytest.approx(1.0), ())
    half = account(record(hubs=hubs, measurements=tuple(whole[:3]))).realised
    assert half.coverage == pytest.approx(0.75)
    assert [(g.hub[-6:], g.where) for g in half.gaps] == [("-h1-n1", "after the last measurement")]


def test_a_hub_never_measured_has_unknown_energy_not_none_at_all():
    blind = account(record(measurements=()))
    assert blind.realised.kwh is None
    assert blind.realised.carbon.operational is None
    assert blind.realised.carbon.total() is None
    assert blind.sci.reason == "no energy was metered"
    assert [g.where for g in blind.realised.gaps] == ["never measured"]
    assert blind.comparisons[0].realised is None


def test_metered_zero_is_zero():
    idle = account(record(measurements=(measurement(START + timedelta(hours=2), 7200, 0.0),)))
    assert idle.realised.kwh == 0
    assert idle.realised.carbon.operational == 0
    assert idle.realised.gco2_per_kwh is None


def test_a_run_that_never_had_a_hub_took_nothing():
    never = account(record(hubs=(), measurements=(), outcome="failed"))
    assert never.realised.kwh == 0
    assert never.realised.carbon.total() == Interval(0, 0)
    assert never.realised.cost.total == 0
    assert never.realised.coverage is None
    assert never.start_delay_s is None


def test_energy_in_an_hour_without_intensity_is_reported_not_guessed():
    short = record().intensities["SE-SE3"] | {"gco2_per_kwh": [35.0, 34.0, 33.0, 30.0, 25.0, 20.0]}
    partly = account(record(intensities={"SE-SE3": short}))
    assert partly.realised.carbon.operational == pytest.approx(0.25 * 1.1 * 20)
    assert partly.realised.kwh_without_intensity == pytest.approx(0.275)
    assert partly.realised.gco2_per_kwh == pytest.approx(20)
    assert partly.comparisons[0].realised_reason == "part of the energy has no intensity"
    elsewhere = {"DE": record().intensities["SE-SE3"]}
    assert account(record(intensities=elsewhere)).realised.carbon.operational is None


def test_until_the_run_is_settled_the_plans_intensity_stands_in_for_it():
    dirtier = plan(chosen=schedule(segment(intensityGco2PerKwh=[200.0, 300.0])))
    got = account(record(intensities={}, plan=dirtier))
    assert got.realised.carbon.operational == pytest.approx(137.5)


def test_transfer_stays_a_range_and_moves_baseline_and_plan_together():
    chosen = schedule(segment(), transfer=(1.0, 60.0), usd=0.5)
    base = schedule(home(), transfer=(2.0, 120.0))
    got = account(record(plan=plan(chosen=chosen, baselines={"runNowHome": base})))
    assert got.realised.carbon.transfer == Interval(1.0, 60.0)
    assert got.realised.cost.transfer == 0.5
    total = got.realised.carbon.total()
    assert total.high - total.low == pytest.approx(59)
    saved = got.comparisons[0].planned.gco2e
    without = (0.121 * (400 + 380) + 20) - (0.121 * (20 + 30) + 20)
    assert saved.low == pytest.approx(without + 1)
    assert saved.high == pytest.approx(without + 60)


def test_a_negative_saving_is_shown_as_negative():
    dirty = schedule(segment(intensityGco2PerKwh=[900.0, 900.0], priceUsdHour=9.0))
    worse = account(record(plan=plan(chosen=dirty))).comparisons[1].planned
    assert worse.gco2e.high < 0
    assert worse.gco2e_share.high == pytest.approx(1 - (0.121 * 1800 + 20) / (0.121 * 780 + 20))
    assert worse.usd == pytest.approx(2 * 1.006 - 18)


def test_a_baseline_without_published_embodied_carbon_is_compared_without_it_on_both_sides():
    base = schedule(home(embodiedGco2eHour=None))
    got = account(record(plan=plan(baselines={"runNowHome": base}))).comparisons[0].planned
    assert not got.embodied_included
    assert got.gco2e.low == pytest.approx(0.121 * 780 - 0.121 * 50)


def test_a_baseline_that_the_plan_does_not_have_says_so():
    got = account(record(plan=plan(baselines={"runNowHome": None}))).comparisons[0]
    assert got.baseline is None and got.planned is None


def test_a_real_run_is_set_against_the_planned_baseline():
    got = account(record()).comparisons[1]
    assert got.realised_reason is None
    assert got.realised.gco2e.low == pytest.approx(0.121 * 780 + 20 - (13.75 + 20))
    assert got.later_s == (START - NOW).total_seconds()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rehearsal": True}, "rehearsal"),
        ({"outcome": "failed"}, "work was not done"),
        ({"outcome": None}, "not finished"),
        ({"hubs": (hub(gone_at=None),)}, "still alive"),
    ],
)
def test_a_run_that_did_not_do_the_planned_work_on_the_planned_machine_is_never_set_against_a_baseline(
    changes, reason
):
    got = account(record(**changes)).comparisons[1]
    assert got.planned is not None
    assert got.realised is None
    assert reason in got.realised_reason


def test_a_rehearsal_moves_no_data_between_regions():
    chosen = schedule(segment(), transfer=(1.0, 60.0), usd=0.5)
    got = account(record(plan=plan(chosen=chosen), rehearsal=True)).realised
    assert got.carbon.transfer == Interval(0.0, 0.0)
    assert got.cost.transfer == 0.0


def test_a_plan_that_chose_nothing_has_no_account():
    with pytest.raises(HarchosError, match="chose nothing"):
        account(record(plan=plan(chosen=None)))


@pytest.mark.parametrize(
    ("type_", "units", "r", "count"),
    [
        ("training", {"tokens": 9.0}, "run", 1),
        ("inference", {"tokens": 50_000.0}, "1,000 tokens", 50),
        ("batch", {"rows": 4_000.0, "items": 1.0}, "1,000 rows", 4),
        ("pipeline", {"items": 500.0}, "1,000 items", 0.5),
        ("pipeline", {}, "run", 1),
        ("dev", {}, "hour", 2),
    ],
)
def test_sci_is_operational_plus_embodied_per_functional_unit(type_, units, r, count):
    sci = account(record(type=type_, units=units)).sci
    assert (sci.r, sci.count) == (r, count)
    assert sci.gco2e_per_r == pytest.approx((13.75 + 20) / count)
    assert sci.includes_embodied


def test_sci_of_a_service_without_tokens_is_unknown():
    sci = account(record(type="inference")).sci
    assert sci.gco2e_per_r is None
    assert sci.reason == "the service reported no tokens"


def test_meters_are_listed_apart_by_what_they_are():
    mixed = (
        measurement(START + timedelta(hours=1), 3600, 0.3),
        measurement(START + timedelta(hours=2), 3600, 0.2, basis="modelled", by="cpu-model"),
    )
    meters = account(record(measurements=mixed)).realised.meters
    assert [(m.basis, m.by, m.kwh) for m in meters] == [
        ("measured", "nvml", pytest.approx(0.3)),
        ("modelled", "cpu-model", pytest.approx(0.2)),
    ]


@given(
    st.lists(st.tuples(st.integers(1, 7200), st.floats(0, 10)), min_size=1, max_size=6),
    st.lists(st.integers(1, 20), min_size=6, max_size=6),
    st.lists(st.floats(0, 1500), min_size=24, max_size=24),
)
def test_cutting_measurements_into_smaller_ones_changes_no_total(intervals, pieces, hourly):
    whole, cut, at = [], [], HORIZON
    for (seconds, kwh), n in zip(intervals, pieces, strict=False):
        end = at + timedelta(seconds=seconds)
        whole.append(measurement(end, seconds, kwh))
        cut += [
            measurement(at + timedelta(seconds=seconds) * (i + 1) / n, seconds / n, kwh / n) for i in range(n)
        ]
        at = end
    zone = {"SE-SE3": {"start": iso(HORIZON), "gco2_per_kwh": hourly, "basis": "made up"}}
    lived = (hub(created_at=HORIZON, gone_at=at),)
    one, many = (
        account(record(hubs=lived, measurements=tuple(ms), intensities=zone)).realised for ms in (whole, cut)
    )
    assert many.kwh == pytest.approx(one.kwh)
    assert many.carbon.operational == pytest.approx(one.carbon.operational, rel=1e-6, abs=1e-6)
    assert many.metered_s == pytest.approx(one.metered_s, abs=1e-3)
    assert many.gaps == one.gaps == ()


def test_these_records_hold_a_plan_as_the_planner_writes_it():
    written = json.loads(Plan.from_json(plan()).dumps())
    assert written.keys() == plan().keys()
    assert written["chosen"].keys() == plan()["chosen"].keys()
    assert written["chosen"]["segments"] == plan()["chosen"]["segments"]
