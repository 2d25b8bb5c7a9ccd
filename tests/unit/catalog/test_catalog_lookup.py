"""Finding regions, prices of transfer, latency; adding this machine."""

import pytest

from harchos_infra.catalog import Catalog, Offer, Region
from harchos_infra.errors import HarchosError

CATALOG = Catalog.builtin()
HERE = Region("local", "local", "this machine", "DE", 52.5, 13.4, "DE", 1.0, "setting")
MACHINE = Offer("local", "local", "host", "on-demand", None, 0, None, 4, 16, 0.0, "2026-11-23", "settings")


def region(name: str) -> Region:
    return CATALOG.region(name)


def test_a_region_is_found_with_and_without_its_provider():
    assert region("aws/eu-west-1") is region("eu-west-1")
    assert region("eu-west-1").display_name == "Europe (Ireland)"


def test_an_unknown_region_is_answered_with_the_nearest():
    with pytest.raises(HarchosError, match="unknown region 'eu-wst-1'") as caught:
        region("eu-wst-1")
    assert caught.value.hint == "did you mean 'eu-west-1'?"


def test_a_name_that_two_clouds_share_is_refused_and_both_are_named():
    twin = Region("gcp", "eu-west-1", "twin", "IE", 0, 0, "IE", 1.1, "test")
    catalog = Catalog({("gcp", "eu-west-1"): twin, **CATALOG.regions}, CATALOG.offers, CATALOG.power)
    with pytest.raises(HarchosError, match="gcp/eu-west-1 and aws/eu-west-1"):
        catalog.region("eu-west-1")
    assert catalog.region("gcp/eu-west-1") is twin


def test_moving_data_within_a_region_costs_nothing():
    assert CATALOG.egress_usd_per_gb(region("eu-west-1"), region("eu-west-1")) == 0


def test_a_pair_with_a_list_price_takes_it():
    assert CATALOG.egress_usd_per_gb(region("aws/af-south-1"), region("aws/ap-east-1")) == 0.147
    assert CATALOG.egress_usd_per_gb(region("gcp/us-east1"), region("aws/us-east-1")) == 0.12


def test_a_pair_without_one_pays_the_way_to_the_internet():
    assert CATALOG.egress_usd_per_gb(region("aws/af-south-1"), region("azure/polandcentral")) == 0.154


def test_no_price_is_made_up_where_nobody_lists_one():
    assert CATALOG.egress_usd_per_gb(region("azure/polandcentral"), region("eu-west-1")) is None


def test_latency_is_measured_the_same_both_ways_or_not_known():
    there = CATALOG.latency_ms(region("eu-west-1"), region("us-east-1"))
    assert there == CATALOG.latency_ms(region("us-east-1"), region("eu-west-1"))
    assert 60 < there < 90
    assert CATALOG.latency_ms(region("gcp/europe-west2"), region("azure/uksouth")) < 20
    assert CATALOG.latency_ms(region("eu-west-1"), region("aws/ca-west-1")) is None


def test_transfer_energy_is_a_range():
    assert CATALOG.transfer_energy_kwh_per_gb == (0.001, 0.06)


def test_this_machine_joins_the_clouds_without_changing_them():
    with_machine = CATALOG.with_machine(HERE, MACHINE)
    assert with_machine.region("local") is HERE
    assert MACHINE in with_machine.offers
    assert ("local", "local") not in CATALOG.regions
    assert with_machine.fingerprint() != CATALOG.fingerprint()


def test_the_fingerprint_is_the_same_every_time():
    assert CATALOG.fingerprint() == Catalog.builtin().fingerprint()
    assert len(CATALOG.fingerprint()) == 64


def test_ages_tell_the_day_of_every_price_list():
    ages = CATALOG.ages()
    assert ages["aws on-demand price"] == {"asOf": "2026-01-21", "source": "tsaol/aws-gpu@77fcd9f"}
    assert ages["azure spot price"]["asOf"] == "2023-12-08"
