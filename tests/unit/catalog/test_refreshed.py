"""What clouds said, laid over the built-in catalogue: prices, what is offered, quotas, and how it is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.catalog.availability import Availability
from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.catalog.refreshed import Refreshed, read_refreshed
from harchos_infra.errors import HarchosError

AT = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
BUILTIN = Catalog.builtin()


def live(
    name: str, market: Any = "on-demand", price: float | None = 1.5, region: str = "eu-west-1"
) -> LiveOffer:
    return LiveOffer(region, name, market, price, (f"{region}a",), AT, "pricing:GetProducts")


def quota(limit: float, *, unit: Any = "vcpu", used: float | None = 0.0, market: Any = "on-demand") -> Quota:
    return Quota("eu-west-1", "Running On-Demand G", "L-DB2E81BA", ("g",), market, unit, limit, used)


def said(*offers: LiveOffer, quotas: tuple[Quota, ...] = (), at: datetime = AT) -> Refreshed:
    return Refreshed("aws", "123456789012 arn:user", at, ("eu-west-1",), offers, quotas)


def laid_over(*offers: LiveOffer, quotas: tuple[Quota, ...] = ()) -> Catalog:
    refreshed = said(*offers, quotas=quotas)
    return BUILTIN.with_availability(Availability([(refreshed, refreshed.dumps())]))


def find(catalog: Catalog, name: str, market: str = "on-demand", region: str = "eu-west-1") -> Offer:
    key = ("aws", region, name, market)
    return next(offer for offer in catalog.offers if offer.key == key)


def test_a_price_that_was_said_takes_the_place_of_the_built_in_one_with_its_day_and_source() -> None:
    offer = find(laid_over(live("g5.xlarge", price=1.5)), "g5.xlarge")
    assert (offer.price_usd_hour, offer.price_as_of, offer.price_source) == (
        1.5,
        "2026-11-25",
        "pricing:GetProducts",
    )
    assert offer.gpu_model == "A10G"


def test_an_offer_without_a_price_keeps_the_built_in_one() -> None:
    assert find(laid_over(live("g5.xlarge", price=None)), "g5.xlarge") == find(BUILTIN, "g5.xlarge")


def test_a_region_that_was_not_asked_is_as_built_in_and_nothing_is_known_of_it() -> None:
    catalog = laid_over(live("g5.xlarge"))
    elsewhere = find(catalog, "g5.xlarge", region="us-east-1")
    assert elsewhere == find(BUILTIN, "g5.xlarge", region="us-east-1")
    assert catalog.availability.is_offered(elsewhere) is None


def test_what_a_region_did_not_name_is_not_offered_there() -> None:
    catalog = laid_over(live("g5.xlarge"))
    assert catalog.availability.is_offered(find(catalog, "g5.xlarge")) is True
    assert catalog.availability.is_offered(find(catalog, "g5.2xlarge")) is False
    assert catalog.availability.is_offered(find(catalog, "g5.xlarge", "spot")) is False


def test_a_known_machine_that_the_tables_lack_there_becomes_an_offer() -> None:
    catalog = laid_over(live("p5.48xlarge", price=60.0), live("x9.large", price=1.0))
    added = find(catalog, "p5.48xlarge")
    assert (added.gpu_model, added.price_usd_hour) == ("H100-SXM", 60.0)
    assert len(catalog.offers) == len(BUILTIN.offers) + 1, "of an unknown machine nothing else is known"


@pytest.mark.parametrize(
    ("unit", "nodes", "need"), [("vcpu", 2, 8.0), ("gpu", 2, 2.0), ("instance", 3, 3.0), ("hub", 3, 1.0)]
)
def test_a_quota_counts_in_its_own_unit(unit: str, nodes: int, need: float) -> None:
    assert quota(0, unit=unit).need(find(BUILTIN, "g5.xlarge"), nodes) == need


def test_a_quota_below_what_a_hub_takes_is_found_whatever_is_used_now() -> None:
    catalog = laid_over(live("g5.xlarge"), quotas=(quota(8, used=8),))
    offer = find(catalog, "g5.xlarge")
    assert catalog.availability.short_of(offer, 2) is None
    assert catalog.availability.short_of(offer, 3) == quota(8, used=8)


def test_a_quota_of_one_market_does_not_limit_the_other_and_one_of_both_does() -> None:
    spot = find(BUILTIN, "g5.xlarge", "spot")
    assert not quota(0).limits(spot)
    assert quota(0, market=None).limits(spot)
    assert not quota(0).limits(replace(spot, instance_type="p4d.24xlarge", market="on-demand"))


def test_without_a_refresh_the_catalogue_is_the_built_in_one_to_the_byte() -> None:
    again = BUILTIN.with_availability(Availability())
    assert (again.fingerprint(), again.ages()) == (BUILTIN.fingerprint(), BUILTIN.ages())


def test_the_same_words_give_the_same_fingerprint_and_others_another() -> None:
    first, same = laid_over(live("g5.xlarge")), laid_over(live("g5.xlarge"))
    dearer = laid_over(live("g5.xlarge", price=1.6))
    assert first.fingerprint() == same.fingerprint() != BUILTIN.fingerprint()
    assert dearer.fingerprint() != first.fingerprint()


def test_a_plan_is_told_what_was_refreshed_when() -> None:
    ages = laid_over(live("g5.xlarge")).ages()
    assert ages["aws prices, offerings and quotas of 1 regions"] == {
        "asOf": "2026-11-25T02:30:00Z",
        "source": "harchos catalog refresh",
    }


def test_a_file_says_again_what_was_said(tmp_path: Path) -> None:
    refreshed = said(live("g5.xlarge"), live("g5.xlarge", "spot", None), quotas=(quota(64, used=None),))
    (tmp_path / "aws.json").write_text(refreshed.dumps())
    assert read_refreshed(tmp_path) == ((refreshed, refreshed.dumps()),)


def test_a_folder_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_refreshed(tmp_path / "catalog") == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "harchos.catalog/9"}', '{"schema": "harchos.catalog/1"}', "{nonsense"],
)
def test_a_broken_file_is_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "aws.json").write_text(text)
    with pytest.raises(HarchosError, match=r"aws\.json: not a refreshed catalogue") as raised:
        read_refreshed(tmp_path)
    assert "harchos catalog refresh --provider aws" in str(raised.value.hint)


def test_a_quota_of_all_regions_is_one_when_it_is_read_back_and_a_file_of_before_has_none() -> None:
    refreshed = said(quotas=(quota(8), replace(quota(4), everywhere=True)))
    assert Refreshed.loads(refreshed.dumps()) == refreshed
    assert refreshed.dumps().count("everywhere") == 1


def test_what_is_left_out_leaves_the_quotas_as_they_are() -> None:
    catalog = laid_over(live("g5.xlarge"), live("g5.2xlarge"), quotas=(quota(0),))
    offer = find(catalog, "g5.xlarge")
    less = catalog.without([find(catalog, "g5.2xlarge").key])
    assert less.availability.short_of(offer, 1) == quota(0)
    assert less.without_quotas().availability.short_of(offer, 1) is None


def test_so_many_hubs_take_so_many_of_a_quota_that_counts_hubs() -> None:
    catalog = laid_over(live("g5.xlarge"), quotas=(quota(2, unit="hub"),))
    offer = find(catalog, "g5.xlarge")
    assert catalog.availability.short_of(offer, 3) is None
    assert catalog.availability.short_of(offer, 1, hubs=3) == quota(2, unit="hub")
