"""What the cloud itself said against an offer is a reason of the plan: not offered, or no quota."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from small_world import MIDNIGHT, SmallCatalog, SmallSignal, offer, region, workload

from harchos_infra.catalog import Offer
from harchos_infra.catalog.availability import Availability
from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.catalog.refreshed import Refreshed
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan

AT = datetime(2026, 11, 22, tzinfo=UTC)
SIGNAL = SmallSignal({"A": [100.0] * 48, "B": [50.0] * 48})
REGIONS = [region("aws/berlin", zone="A"), region("aws/oslo", zone="B", country="NO")]
BERLIN, OSLO = offer("aws/berlin"), offer("aws/oslo")


def planned(*offered: Offer, quotas: tuple[Quota, ...] = (), **spec: Any) -> Plan:
    """Plan on two offers after aws was asked in both regions."""
    live = tuple(
        LiveOffer(o.region, o.instance_type, o.market, o.price_usd_hour, (), AT, "test") for o in offered
    )
    refreshed = Refreshed("aws", "1", AT, ("berlin", "oslo"), live, quotas)
    catalog = SmallCatalog(REGIONS, [BERLIN, OSLO])
    catalog.availability = Availability([(refreshed, refreshed.dumps())])
    return plan(workload(**spec), catalog=catalog, signal=SIGNAL, now=MIDNIGHT)


def quota(region: str, limit: float, market: Any = None) -> Quota:
    return Quota(region, "L4 machines", "Q-1", ("L4",), market, "vcpu", limit, None)


def lost(made: Plan) -> dict[str, tuple[str, str]]:
    return {rejection.region: (rejection.reason, rejection.detail) for rejection in made.rejected}


def test_an_offer_that_the_cloud_does_not_have_loses_with_the_day_it_was_asked() -> None:
    made = planned(BERLIN, objective="greenest")
    assert made.chosen is not None
    assert made.chosen.segments[0].region == "berlin"
    assert lost(made)["oslo"] == ("not-offered", "not in oslo when aws was asked (2026-11-22)")


def test_a_zero_quota_loses_before_any_minute_is_lost() -> None:
    made = planned(BERLIN, OSLO, quotas=(quota("oslo", 0.0), quota("berlin", 4.0)), objective="greenest")
    assert made.chosen is not None
    assert made.chosen.segments[0].region == "berlin"
    assert lost(made)["oslo"] == ("quota", "L4 machines: 0 vcpu, 4 needed (2026-11-22)")


def test_the_quota_that_counts_is_that_of_all_nodes() -> None:
    quotas = (quota("oslo", 8.0), quota("berlin", 4.0))
    made = planned(BERLIN, OSLO, quotas=quotas, replicas=2, objective="cheapest")
    assert made.chosen is not None
    assert made.chosen.segments[0].region == "oslo"
    assert lost(made)["berlin"] == ("quota", "L4 machines: 4 vcpu, 8 needed (2026-11-22)")


def test_a_quota_of_the_other_market_is_no_reason() -> None:
    made = planned(BERLIN, OSLO, quotas=(quota("oslo", 0.0, "spot"),), objective="greenest")
    assert made.chosen is not None
    assert made.chosen.segments[0].region == "oslo"


def test_where_only_quotas_stand_in_the_way_the_nearest_miss_asks_for_the_best_of_them() -> None:
    made = planned(BERLIN, OSLO, quotas=(quota("oslo", 0.0), quota("berlin", 0.0)), objective="greenest")
    assert made.chosen is None
    assert made.nearest_miss == (
        "have the quota L4 machines (Q-1) of aws/oslo raised to 4: aws/oslo L4x1 (on-demand)"
    )


def test_the_run_that_a_saving_is_counted_against_is_one_that_could_be_had() -> None:
    home = {"homeRegion": "aws/oslo"}
    assert planned(BERLIN, placement=home).baselines["runNowHome"] is None
    assert planned(BERLIN, OSLO, placement=home).baselines["runNowHome"] is not None


def test_the_same_words_of_a_cloud_give_the_same_plan_byte_for_byte() -> None:
    first, second = (planned(BERLIN, quotas=(quota("berlin", 8.0),)) for _ in range(2))
    assert first.dumps() == second.dumps()
