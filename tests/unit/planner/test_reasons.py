"""Every offer that lost has a reason code with its numbers; a request nobody meets has a nearest miss."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.planner.encoding import encode
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan

SIGNAL = SmallSignal({"A": [100.0] * 48, "B": [50.0] * 48})
REGIONS = [
    region("aws/berlin", zone="A"),
    region("aws/oslo", zone="B", country="NO"),
    region("gcp/moon", zone=None, country="XX"),
    region("gcp/void", zone="Z"),
]
LATENCY = {("aws/berlin", "aws/berlin"): 0.0, ("aws/berlin", "aws/oslo"): 25.4}


def planned(spec: dict[str, Any], *offers: Any, egress: dict[tuple[str, str], float] | None = None) -> Plan:
    catalog = SmallCatalog(REGIONS, offers or (offer("aws/berlin"),), latency=LATENCY, egress=egress)
    return plan(workload(**spec), catalog=catalog, signal=SIGNAL, now=MIDNIGHT)


@pytest.mark.parametrize(
    ("spec", "loser", "reason", "detail"),
    [
        ({"gpu": {"type": "L4"}}, offer("aws/berlin", gpu="T4"), "gpu-model", "T4; L4 asked for"),
        ({"gpu": {}}, offer("aws/berlin", gpu=None), "gpu-model", "no GPU"),
        ({"gpu": {"count": 4}}, offer("aws/berlin", count=2), "gpu-count", "2 L4, 4 asked for"),
        ({"gpu": {"memory": "80Gi"}}, offer("aws/berlin"), "gpu-memory", "24 GiB a GPU, 80 asked for"),
        ({"resources": {"cpu": 8}}, offer("aws/berlin"), "cpu", "4 vCPUs, 8 asked for"),
        ({"resources": {"memory": "64Gi"}}, offer("aws/berlin"), "memory", "16 GiB, 64 asked for"),
        ({}, offer("aws/berlin", market="spot"), "market", "spot; placement.market is on-demand"),
        ({"placement": {"providers": ["gcp"]}}, offer("aws/berlin"), "provider", "aws; allowed: gcp"),
        ({"placement": {"regions": ["oslo"]}}, offer("aws/berlin"), "region", "aws/berlin; allowed: oslo"),
        ({"placement": {"countries": ["NO"]}}, offer("aws/berlin"), "country", "in DE; allowed: NO"),
        (
            {"placement": {"maxLatencyMs": 20, "latencyFrom": "aws/berlin"}},
            offer("aws/oslo"),
            "latency",
            "25 ms, placement.maxLatencyMs is 20",
        ),
        (
            {"placement": {"maxLatencyMs": 20, "latencyFrom": "aws/oslo"}},
            offer("aws/berlin"),
            "latency-unknown",
            "nobody measured aws/oslo to aws/berlin",
        ),
        ({}, offer("gcp/moon"), "no-zone", "nobody has named the grid zone of gcp/moon"),
        ({}, offer("gcp/void"), "no-intensity", "no carbon intensity for zone Z"),
        ({}, offer("aws/berlin", gpu="X1"), "no-power", "X1: ?"),
        ({"duration": {"byGpu": {"T4": "1h"}}, "gpu": {}}, offer("aws/berlin"), "no-duration", "none for L4"),
        ({"deadline": "30m"}, offer("aws/berlin"), "deadline", "finishes 30 min after the deadline"),
        ({"budget": {"maxCost": 0.5}}, offer("aws/berlin"), "budget-cost", "1 USD; budget.maxCost is 0.5"),
        (
            {"budget": {"maxCarbon": 0.001}},
            offer("aws/berlin"),
            "budget-carbon",
            "0.0026 kgCO2e at the least; budget.maxCarbon is 0.001",
        ),
        (
            {"data": [{"uri": "s3://x", "region": "aws/oslo", "sizeGiB": 1}]},
            offer("aws/berlin"),
            "no-egress-price",
            "no price is known from aws/oslo to aws/berlin",
        ),
        (
            {"data": [{"uri": "s3://x", "region": "aws/olso", "sizeGiB": 1}]},
            offer("aws/berlin"),
            "data-region",
            "did you mean 'aws/oslo'?",
        ),
    ],
)
def test_a_constraint_that_is_not_met_has_its_code_and_numbers(
    spec: dict[str, Any], loser: Any, reason: str, detail: str
) -> None:
    made = planned(spec, loser)
    assert made.decision == "reject"
    assert made.chosen is None
    [lost] = made.rejected
    assert lost.reason == reason
    assert detail in lost.detail
    assert made.summary == {"considered": 1, "feasible": 0, reason: 1}


def test_a_feasible_loser_shows_what_it_would_cost_more_and_when_it_would_be_done() -> None:
    made = planned(
        {"data": [{"uri": "s3://x", "region": "aws/berlin", "sizeGiB": 1}], "duration": "2h"},
        offer("aws/berlin"),
        offer("aws/oslo", price=1.5),
        egress={("aws/berlin", "aws/oslo"): 1.0},
    )
    [lost] = made.rejected
    assert lost.reason == "ranked-lower", "it is cleaner"
    assert lost.detail == "+2.07 USD (price +1, egress +1.07), -2.52 gCO2e, done +0 h"
    assert len(made.frontier) == 2


def test_a_loser_has_the_figures_it_was_compared_by_and_one_that_fails_a_constraint_has_none() -> None:
    made = planned(
        {}, offer("aws/berlin", price=2), offer("aws/oslo", price=1), offer("aws/oslo", market="spot")
    )
    assert made.chosen is not None
    compared, failed = made.rejected
    assert (compared.cost_usd, compared.start) == (2.0, MIDNIGHT)
    assert compared.gco2e == pytest.approx(2 * made.chosen.gco2e), "at 100 g/kWh, not at 50"
    assert (failed.reason, failed.cost_usd, failed.gco2e, failed.start) == ("market", None, None, None)
    assert encode(failed).keys() == {"provider", "region", "instanceType", "market", "reason", "detail"}


def test_a_candidate_that_is_dearer_and_dirtier_is_dominated() -> None:
    made = planned({}, offer("aws/berlin", price=2), offer("aws/oslo", price=1))
    assert [(lost.region, lost.reason) for lost in made.rejected] == [("berlin", "dominated")]
    assert made.rejected[0].detail == "+1 USD (price +1, egress +0), +1.3 gCO2e, done +0 h"


def test_whole_instances_are_paid_and_idle_gpus_draw_power() -> None:
    two, one = offer("aws/berlin", count=2, price=3), offer("aws/berlin", count=1, price=2)
    wide, narrow = (planned({"gpu": {"count": 1}, "replicas": 2}, o).chosen for o in (two, one))
    assert wide is not None
    assert narrow is not None
    assert (wide.cost_usd, narrow.cost_usd) == (6.0, 4.0)
    assert (wide.energy_kwh - narrow.energy_kwh) * 1000 == pytest.approx(2 * 10)
    assert "1 idle" in wide.segments[0].power_basis


def test_an_assumed_utilization_is_said() -> None:
    made = planned({"gpu": {}})
    assert made.chosen is not None
    assert "assumed: spec.utilization is not given" in made.chosen.segments[0].power_basis
    given = planned({"gpu": {}, "utilization": 0.5})
    assert given.chosen is not None
    assert "1 GPU at 50% (spec.utilization)" in given.chosen.segments[0].power_basis
    assert made.chosen.energy_kwh > given.chosen.energy_kwh


def test_unknown_embodied_carbon_is_not_counted_as_none() -> None:
    catalog = SmallCatalog(
        REGIONS,
        [offer("aws/berlin", instance="known"), offer("aws/berlin", instance="unknown", gpu="T4")],
        embodied={("aws", "known"): 1000.0},
    )
    made = plan(workload(objective="greenest"), catalog=catalog, signal=SIGNAL, now=MIDNIGHT)
    assert made.chosen is not None
    assert made.inputs["objective"]["carbon"] == "operational and transfer"
    assert any("embodied carbon is published for 1 of 2" in a for a in made.inputs["assumptions"])


def test_without_a_deadline_nothing_is_deferred_even_to_a_cleaner_hour() -> None:
    signal = SmallSignal({"A": [500.0, 1.0, 1.0]})
    catalog = SmallCatalog(REGIONS, [offer("aws/berlin")])
    at_once = plan(workload(), catalog=catalog, signal=signal, now=MIDNIGHT)
    in_time = plan(workload(deadline="3h"), catalog=catalog, signal=signal, now=MIDNIGHT)
    assert (at_once.decision, in_time.decision) == ("schedule_now", "defer")
    assert at_once.chosen is not None
    assert in_time.chosen is not None
    assert in_time.chosen.start == MIDNIGHT + timedelta(hours=1)


def test_an_earliest_start_is_kept() -> None:
    start = MIDNIGHT + timedelta(hours=3, minutes=20)
    made = planned({"earliestStart": start.isoformat()})
    assert made.chosen is not None
    assert made.chosen.start == start
    assert made.decision == "defer"


def test_a_service_runs_for_its_ttl() -> None:
    made = planned({"type": "inference", "ttl": "5h", "duration": None})
    assert made.chosen is not None
    assert made.chosen.finish == MIDNIGHT + timedelta(hours=5)


def test_the_baselines_start_at_once_and_home_is_held_to_no_place() -> None:
    signal = SmallSignal({"A": [500.0, 1.0], "B": [300.0, 2.0]})
    catalog = SmallCatalog(REGIONS, [offer("aws/berlin", price=1), offer("aws/oslo", price=2)])
    wish = workload(deadline="2h", placement={"homeRegion": "aws/oslo", "regions": ["aws/berlin"]})
    made = plan(wish, catalog=catalog, signal=signal, now=MIDNIGHT)
    cheapest, home = made.baselines["runNowCheapest"], made.baselines["runNowHome"]
    assert cheapest is not None
    assert home is not None
    assert (cheapest.segments[0].region, cheapest.start) == ("berlin", MIDNIGHT)
    assert (home.segments[0].region, home.start) == ("oslo", MIDNIGHT)


def test_no_home_region_is_named_and_there_is_no_home_baseline() -> None:
    assert planned({}).baselines["runNowHome"] is None


def test_the_region_of_the_data_is_home_where_none_is_named() -> None:
    made = planned(
        {"data": [{"uri": "s3://x", "region": "aws/oslo", "sizeGiB": 1}]},
        offer("aws/berlin"),
        offer("aws/oslo"),
    )
    home = made.baselines["runNowHome"]
    assert home is not None
    assert home.segments[0].region == "oslo"


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ({"deadline": "30m"}, "finish 30 min later and it fits: aws/berlin L4x1 (on-demand)"),
        ({"budget": {"maxCost": 0.5}}, "raise budget.maxCost from 0.5 to 1 USD: aws/berlin L4x1"),
        ({"budget": {"maxCarbon": 0.001}}, "raise budget.maxCarbon from 0.001 to 0.0013 kg: aws/oslo L4x1"),
        ({"gpu": {"type": "T4G"}}, "no offer has a GPU 'T4G'"),
        ({"gpu": {"count": 8}}, "lower resources.gpu.count to 1"),
        ({"gpu": {"memory": "80Gi"}}, "lower resources.gpu.memory to 24Gi"),
        ({"resources": {"cpu": 64}}, "lower resources.cpu to 4"),
        ({"placement": {"regions": ["aws/olso"]}}, "unknown region 'aws/olso': did you mean 'aws/oslo'?"),
        ({"placement": {"providers": ["azure"]}}, "allow provider aws"),
        ({"placement": {"countries": ["FR"]}}, "no region lies in 'FR'"),
        ({"duration": None}, "say in spec.duration how long it runs on L4"),
    ],
)
def test_a_request_nobody_meets_names_the_nearest_miss(spec: dict[str, Any], nearest: str) -> None:
    made = planned(spec, offer("aws/berlin"), offer("aws/oslo", price=1.2))
    assert made.decision == "reject"
    assert made.nearest_miss is not None
    assert nearest in made.nearest_miss


def test_following_the_nearest_miss_makes_a_plan() -> None:
    offers = offer("aws/berlin", price=1.23456), offer("aws/oslo", price=3)
    broken = planned({"budget": {"maxCost": 1}}, *offers)
    assert broken.nearest_miss is not None
    raised = float(broken.nearest_miss.split(" to ")[1].split(" ")[0])
    assert planned({"budget": {"maxCost": raised}}, *offers).chosen is not None


def test_two_changes_are_needed_and_the_closest_candidate_says_which() -> None:
    made = planned({"deadline": "30m", "budget": {"maxCost": 0.1}})
    assert made.nearest_miss is not None
    assert made.nearest_miss.startswith("no single change is enough; aws/berlin L4x1")
    assert "deadline" in made.nearest_miss
    assert "budget-cost" in made.nearest_miss


def test_a_name_that_means_nothing_beside_one_that_does_is_a_warning() -> None:
    made = planned({"gpu": {"type": ["L4", "T44"]}})
    assert made.chosen is not None
    assert any("'T44'" in warning for warning in made.inputs["warnings"])


def test_data_without_a_size_is_a_warning_not_a_zero_in_silence() -> None:
    made = planned({"data": [{"uri": "s3://x", "region": "aws/oslo"}]})
    assert any("s3://x: its transfer is not counted" in warning for warning in made.inputs["warnings"])
