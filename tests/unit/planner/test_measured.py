"""What runs were measured to take replaces the model in the next plan, visibly, and nowhere else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from harchos_infra.planner.drift import drift
from harchos_infra.planner.measured import Calibration, Figure, Key, Machine, Measures
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan
from harchos_infra.workload.work import work_sha256
from tests.unit.planner.small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

HERE = Machine("aws", "L4x1")
JOB = {"gpu": {"count": 1}, "utilization": 1.0, "duration": "2h"}
MODELLED_W = 70.0 + 4 * 2.0 + 16 * 0.5
SIGNAL = SmallSignal({"A": [100.0] * 72})


def catalog() -> SmallCatalog:
    return SmallCatalog(
        [region("aws/one")], [offer("aws/one"), offer("aws/one", gpu="T4", price=5.0)], embodied={}
    )


def figure(*values: float) -> Figure:
    found = Figure.of(values)
    assert found is not None
    return found


def measured(job: Any, machine: Machine = HERE, name: str = "job", **measures: Figure) -> Calibration:
    return Calibration({Key(name, work_sha256(job), machine): Measures(**measures)})


def planned(calibration: Calibration | None = None, now: datetime = MIDNIGHT, **spec: Any) -> Plan:
    return plan(workload(**{**JOB, **spec}), catalog=catalog(), signal=SIGNAL, now=now, measured=calibration)


def test_without_measurements_the_model_stands_and_nothing_is_said_of_them() -> None:
    made = planned(Calibration())
    assert made.chosen is not None
    assert made.chosen.segments[0].power_watts == MODELLED_W
    assert made.chosen.segments[0].power_basis.startswith("modelled, ")
    assert "measured" not in made.inputs
    assert made.inputs["hash"] == planned(None).inputs["hash"]


def test_measured_watts_replace_the_model_and_say_count_spread_and_what_the_model_said() -> None:
    made = planned(measured(workload(**JOB), watts=figure(46.0, 50.0, 54.0)))
    assert made.chosen is not None
    segment = made.chosen.segments[0]
    assert segment.power_watts == 50.0
    assert segment.power_basis == f"measured, n=3, +-4 W; modelled: {MODELLED_W:g} W"
    assert made.chosen.energy_kwh == pytest.approx(0.050 * 2)


def test_gpus_that_were_measured_replace_their_part_of_the_model_and_the_host_stays_modelled() -> None:
    made = planned(measured(workload(**JOB), gpu_watts=figure(38.0, 42.0)))
    assert made.chosen is not None
    segment = made.chosen.segments[0]
    assert segment.power_watts == 40.0 + 4 * 2.0 + 16 * 0.5
    assert segment.power_basis == (
        f"GPUs measured, n=2, +-2.83 W (40 W); host modelled, test host at 50%; modelled: {MODELLED_W:g} W"
    )
    both = planned(measured(workload(**JOB), gpu_watts=figure(38.0, 42.0), watts=figure(55.0)))
    assert both.chosen is not None
    assert both.chosen.segments[0].power_watts == 55.0


def test_a_power_mode_is_counted_from_what_was_measured_without_a_limit() -> None:
    limited = {"gpu": {"count": 1, "powerModes": [{"watts": 50, "throughput": 0.8}]}, "objective": "greenest"}
    known = measured(workload(**{**JOB, **limited}), watts=figure(60.0), run_s=figure(3600.0))
    made = planned(known, **limited)
    assert made.chosen is not None
    segment = made.chosen.segments[0]
    assert segment.gpu_limit_watts == 50.0
    assert segment.power_watts == 60.0 - (70.0 - 50.0)
    assert segment.power_basis.startswith(
        "measured, n=1, spread unknown, less 20 W, modelled, for the limit; "
    )
    assert segment.end - segment.start == timedelta(seconds=3600 / 0.8)


def test_one_run_is_enough_and_its_spread_is_said_to_be_unknown() -> None:
    made = planned(measured(workload(**JOB), watts=figure(50.0)))
    assert made.chosen is not None
    assert made.chosen.segments[0].power_basis.startswith("measured, n=1, spread unknown")


def test_watts_measured_where_nobody_has_published_any_make_an_offer_plannable() -> None:
    world = SmallCatalog([region("aws/one")], [offer("aws/one", gpu="X1")])
    job = workload(**JOB)
    unknown = plan(job, catalog=world, signal=SIGNAL, now=MIDNIGHT)
    assert [lost.reason for lost in unknown.rejected] == ["no-power"]
    known = measured(job, Machine("aws", "X1x1"), watts=figure(80.0))
    made = plan(job, catalog=world, signal=SIGNAL, now=MIDNIGHT, measured=known)
    assert made.chosen is not None
    assert made.chosen.segments[0].power_watts == 80.0


def test_run_time_and_start_up_are_reserved_paid_and_powered() -> None:
    job = workload(**JOB)
    made = planned(measured(job, run_s=figure(3590.0, 3610.0), start_s=figure(600.0)))
    assert made.chosen is not None
    hours = (3600 + 600) / 3600
    assert made.chosen.finish - made.chosen.start == timedelta(seconds=4200)
    assert made.chosen.cost_usd == pytest.approx(1.0 * hours)
    assert made.chosen.energy_kwh == pytest.approx(MODELLED_W / 1000 * hours)
    said = made.inputs["assumptions"]
    assert "aws L4x1: run time 3.6e+03 s (measured, n=2, +-14.1 s), in place of 2 h" in said
    assert "aws L4x1: start-up 600 s (measured, n=1, spread unknown) on top of the run time" in said


def test_start_up_counts_against_the_deadline() -> None:
    job = {"deadline": "2h", "gpu": {"count": 1, "type": ["L4"]}}
    assert planned(None, **job).decision == "schedule_now"
    made = planned(measured(workload(**{**JOB, **job}), start_s=figure(60.0)), **job)
    assert made.decision == "reject"
    assert made.nearest_miss is not None
    assert made.nearest_miss.startswith("finish 1 min later and it fits")


def test_a_load_is_assumed_only_where_watts_are_modelled() -> None:
    here = {"placement": {"regions": ["aws/one"]}, "gpu": {"count": 1, "type": ["L4"]}, "utilization": None}
    assumed = "spec.utilization is not given: GPUs at 100% while the job runs"
    assert assumed in planned(None, **here).inputs["assumptions"]
    known = measured(workload(**{**JOB, **here}), watts=figure(50.0))
    assert assumed not in planned(known, **here).inputs["assumptions"]


def test_a_run_time_that_was_measured_makes_up_for_an_estimate_that_is_missing() -> None:
    job = workload(**{**JOB, "duration": None})
    made = plan(
        job, catalog=catalog(), signal=SIGNAL, now=MIDNIGHT, measured=measured(job, run_s=figure(1800.0))
    )
    assert made.chosen is not None
    assert made.chosen.finish == MIDNIGHT + timedelta(minutes=30)
    assert made.chosen.segments[0].instance_type == "L4x1"


def test_a_service_is_up_for_its_ttl_whatever_was_measured() -> None:
    spec = {"type": "inference", "ttl": "3h", "duration": None}
    calibration = measured(workload(**{**JOB, **spec}), start_s=figure(600.0), run_s=figure(60.0))
    made = planned(calibration, **spec)
    assert made.chosen is not None
    assert made.chosen.finish == MIDNIGHT + timedelta(hours=3)


@pytest.mark.parametrize(
    ("machine", "name"), [(Machine("gcp", "L4x1"), "job"), (Machine("aws", "L4x2"), "job"), (HERE, "another")]
)
def test_a_measurement_counts_for_its_own_workload_and_machine_only(machine: Machine, name: str) -> None:
    made = planned(measured(workload(**JOB), machine, name, watts=figure(1.0), run_s=figure(1.0)))
    assert made.chosen == planned(None).chosen


def test_a_changed_job_starts_anew_and_a_changed_wish_does_not() -> None:
    known = measured(workload(**JOB), watts=figure(50.0))

    def watts(**spec: Any) -> float:
        made = planned(known, **spec)
        assert made.chosen is not None
        return made.chosen.segments[0].power_watts

    assert watts(command="something else") == MODELLED_W
    assert watts(replicas=2) == MODELLED_W
    assert watts(deadline="12h", duration="1h", objective="greenest", utilization=0.5) == 50.0


def test_the_figures_are_in_the_inputs_and_their_fingerprint_is_in_the_hash() -> None:
    job = workload(**JOB)
    one, two = (planned(measured(job, watts=figure(w))) for w in (50.0, 51.0))
    assert one.inputs["hash"] != two.inputs["hash"]
    document = one.to_json()["inputs"]["measured"]
    assert document["fingerprint"] != two.inputs["measured"]["fingerprint"]
    assert document["machines"] == [
        {
            "provider": "aws",
            "instanceType": "L4x1",
            "powerWatts": {"n": 1, "mean": 50.0, "deviation": None, "least": 50.0, "most": 50.0},
            "gpuPowerWatts": None,
            "runTimeS": None,
            "startUpS": None,
        }
    ]


def test_a_plan_does_not_hold_when_a_measurement_moved_its_figures() -> None:
    job = workload(**JOB)
    before = planned(None)
    assert drift(before, planned(measured(job, watts=figure(MODELLED_W + 1)))) == []
    assert drift(before, planned(measured(job, run_s=figure(10_000.0)))) == ["cost +38.9% (2 to 2.778)"]


def test_the_spread_is_the_sample_standard_deviation() -> None:
    found = Figure.of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert found is not None
    assert (found.n, found.mean, found.least, found.most) == (8, 5.0, 2.0, 9.0)
    assert found.deviation == pytest.approx((32 / 7) ** 0.5)
    assert Figure.of([]) is None
