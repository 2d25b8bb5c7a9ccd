"""Azure: what is offered at which price, under which quotas, and what `doctor` finds missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.clouds import azure_session
from harchos_infra.clouds.azure import AzureCloud
from harchos_infra.clouds.cloud import Finding
from harchos_infra.errors import HarchosError
from support.fake_azure import REGION, SUBSCRIPTION, TENANT, VAULT, FakeAzure, price, sku, usage
from support.rest_server import Answer

T4, T4_FAMILY = "Standard_NC4as_T4_v3", "standardNCASv3_T4Family"
A100, A100_FAMILY = "Standard_NC24ads_A100_v4", "StandardNCADSA100v4Family"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAzure]:
    for name in [n for n in os.environ if n.startswith(("AZURE_", "ARM_", "IDENTITY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(azure_session, "BACKOFF_S", 0.001)
    with FakeAzure() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


class TestOffers:
    def test_each_market_has_its_price(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY)]
        fake.prices = [price(T4, 0.658), price(T4, 0.21, meter="NC4as T4 v3 Spot")]
        on_demand, spot = AzureCloud().offers(REGION)
        assert (on_demand.market, on_demand.price_usd_hour) == ("on-demand", 0.658)
        assert (spot.market, spot.price_usd_hour) == ("spot", 0.21)
        assert datetime.now(UTC) - on_demand.as_of < timedelta(minutes=5)
        assert on_demand.availability_zones == ("1", "2")

    @pytest.mark.parametrize(
        "other",
        [
            price(T4, 9.0, meter="NC4as T4 v3 Low Priority"),
            price(T4, 9.0, product="Virtual Machines NCasT4_v3 Series Windows"),
            price(T4, 9.0, type="Reservation", unitOfMeasure="1 Hour", reservationTerm="1 Year"),
            price(T4, 9.0, type="DevTestConsumption"),
            price(T4, 9.0, armRegionName="northeurope"),
            price(T4, 9.0, unitOfMeasure="1/Month"),
            price(T4, 9.0, effectiveStartDate="2099-01-01T00:00:00Z"),
            price(T4, 9.0, effectiveStartDate="2020-01-01T00:00:00Z"),
        ],
    )
    def test_only_todays_price_of_a_linux_machine_counts(
        self, fake: FakeAzure, other: dict[str, Any]
    ) -> None:
        fake.skus = [sku(T4, T4_FAMILY)]
        fake.prices = [price(T4, 0.658), other]
        assert AzureCloud().offers(REGION)[0].price_usd_hour == 0.658

    def test_every_page_of_the_price_list_is_read(self, fake: FakeAzure) -> None:
        fake.page_size = 2
        fake.skus = [sku(T4, T4_FAMILY)]
        fake.prices = [*(price(f"Standard_D{n}", 0.1) for n in range(5)), price(T4, 0.658)]
        assert AzureCloud().offers(REGION)[0].price_usd_hour == 0.658
        assert fake.calls("/api/retail/prices") == 3

    def test_a_size_without_a_price_is_offered_without_one(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY, spot=False)]
        (offer,) = AzureCloud().offers(REGION)
        assert (offer.market, offer.price_usd_hour) == ("on-demand", None)

    def test_a_size_that_is_withheld_from_the_subscription_is_not_offered(self, fake: FakeAzure) -> None:
        withheld = {"type": "Location", "reasonCode": "NotAvailableForSubscription", "restrictionInfo": {}}
        in_a_zone = {
            "type": "Zone",
            "reasonCode": "NotAvailableForSubscription",
            "restrictionInfo": {"zones": ["1"]},
        }
        fake.skus = [
            sku(A100, A100_FAMILY, restrictions=[withheld]),
            sku(T4, T4_FAMILY, restrictions=[in_a_zone]),
            sku("Standard_D4s_v5", "standardDSv5Family", gpus=0),
        ]
        offers = AzureCloud().offers(REGION)
        assert {(offer.instance_type, offer.availability_zones) for offer in offers} == {(T4, ("2",))}

    def test_a_price_list_that_is_throttled_is_asked_again(self, fake: FakeAzure) -> None:
        fake.skus, fake.prices = [sku(T4, T4_FAMILY)], [price(T4, 0.658)]
        fake.fail("/api/retail/prices", Answer(429, {"error": "Too many requests"}), times=2)
        assert AzureCloud().offers(REGION)[0].price_usd_hour == 0.658

    def test_a_price_list_that_does_not_answer_is_an_error(self, fake: FakeAzure) -> None:
        fake.fail("/api/retail/prices", Answer(503, b"<html>"))
        with pytest.raises(HarchosError, match="price list does not answer"):
            AzureCloud().offers(REGION)

    def test_regions_are_the_physical_ones(self, fake: FakeAzure) -> None:
        assert AzureCloud().regions() == ["northeurope", "westeurope"]


class TestQuotas:
    def test_a_familys_quota_covers_its_sizes(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY), sku("Standard_NC8as_T4_v3", T4_FAMILY), sku(A100, A100_FAMILY)]
        fake.usages[REGION] = [
            usage("StandardNCASv3_T4Family", 8, 4),
            usage("StandardNCADSA100v4Family", 0, 0),
            usage("standardDSv5Family", 100, 10),
        ]
        t4, a100 = AzureCloud().quotas(REGION)
        assert t4.covers == (T4, "Standard_NC8as_T4_v3")
        assert (t4.market, t4.unit, t4.limit, t4.used) == ("on-demand", "vcpu", 8, 4)
        assert (a100.covers, a100.limit) == ((A100,), 0)

    def test_spot_machines_share_one_quota_and_all_share_the_regions(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY), sku(A100, A100_FAMILY)]
        fake.usages[REGION] = [usage("cores", 10, 0), usage("lowPriorityCores", 3, 0)]
        cores, spot = AzureCloud().quotas(REGION)
        assert (cores.covers, cores.market) == ((A100, T4), "on-demand")
        assert (spot.covers, spot.market, spot.limit) == ((A100, T4), "spot", 3)

    def test_networks_and_addresses_are_limited_too(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY)]
        fake.network_usages[REGION] = [usage("VirtualNetworks", 1000, 3), usage("PublicIPAddresses", 20, 5)]
        networks, addresses = AzureCloud().quotas(REGION)
        assert (networks.unit, networks.market, networks.covers) == ("hub", None, (T4,))
        assert (addresses.unit, addresses.limit, addresses.used) == ("instance", 20, 5)

    def test_the_long_list_of_sizes_is_read_once_a_region(self, fake: FakeAzure) -> None:
        fake.skus = [sku(T4, T4_FAMILY)]
        adapter = AzureCloud()
        adapter.offers(REGION)
        adapter.quotas(REGION)
        assert fake.calls("Microsoft.Compute/skus") == 1


class TestCheck:
    def settings(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/config.yaml").write_text(text)

    def found(self, subject: str) -> list[Finding]:
        return [f for f in AzureCloud().check() if f.subject == subject]

    def test_all_is_well(self, fake: FakeAzure, tmp_path: Path) -> None:
        self.settings(tmp_path, f"azure.mailbox: az://mbox/c\nazure.key_vault: {VAULT}\n")
        fake.add_mailbox("mbox", "c")
        fake.usages[REGION] = [usage(T4_FAMILY, 8, 4), usage("standardDSv5Family", 10, 0)]
        findings = AzureCloud().check()
        assert all(f.ok for f in findings), findings
        assert self.found("mailbox")[0].what == "az://mbox/c in westeurope, public access refused"
        assert self.found("quota")[0].what == f"vCPUs of GPU machines: westeurope: {T4_FAMILY} 4 of 8"
        assert self.found("credentials")[0].what == (
            f"subscription {SUBSCRIPTION} (Research), tenant {TENANT}"
        )

    def test_without_a_subscription_there_is_one_finding(self, fake: FakeAzure) -> None:
        (finding,) = AzureCloud("no-such").check()
        assert (finding.subject, finding.ok) == ("credentials", False)

    def test_a_disabled_subscription(self, fake: FakeAzure) -> None:
        fake.state = "Disabled"
        (finding,) = self.found("credentials")
        assert not finding.ok and "is Disabled" in finding.what

    def test_a_provider_that_is_not_registered(self, fake: FakeAzure) -> None:
        fake.unregistered.add("Microsoft.Network")
        (missing,) = (f for f in self.found("providers") if not f.ok)
        assert missing.hint == (
            f"az provider register --namespace Microsoft.Network --subscription {SUBSCRIPTION}"
        )

    def test_actions_that_are_not_granted_are_named(self, fake: FakeAzure) -> None:
        fake.permissions = [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Delete"]}]
        (finding,) = self.found("permissions")
        assert not finding.ok
        assert finding.what.endswith(": Microsoft.Authorization/roleAssignments/delete")

    def test_what_one_role_withholds_another_may_grant(self, fake: FakeAzure) -> None:
        fake.permissions = [
            {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Delete"]},
            {"actions": ["Microsoft.Authorization/roleAssignments/*"], "notActions": []},
        ]
        assert self.found("permissions")[0].ok

    def test_a_role_of_the_module_that_was_never_made(self, fake: FakeAzure) -> None:
        fake.roles.remove("HarchOS hub lifetime")
        (missing,) = (f for f in self.found("roles") if not f.ok)
        assert "no role 'HarchOS hub lifetime'" in missing.what

    def test_a_storage_account_that_does_not_exist(self, fake: FakeAzure, tmp_path: Path) -> None:
        self.settings(tmp_path, "azure.mailbox: az://gone/c\n")
        (finding,) = self.found("mailbox")
        assert not finding.ok and "no storage account 'gone'" in finding.what

    def test_a_container_that_does_not_exist(self, fake: FakeAzure, tmp_path: Path) -> None:
        self.settings(tmp_path, "azure.mailbox: az://mbox/gone/prefix\n")
        fake.add_mailbox("mbox", "c")
        (finding,) = self.found("mailbox")
        assert not finding.ok and "has no container 'gone'" in finding.what

    def test_a_subscription_without_gpus_says_where_to_ask(self, fake: FakeAzure) -> None:
        fake.usages[REGION] = [usage(T4_FAMILY, 0, 0), usage("standardDSv5Family", 10, 0)]
        (finding,) = self.found("quota")
        assert not finding.ok and "in any of 2 regions" in finding.what
        assert finding.hint and "https://portal.azure.com" in finding.hint

    def test_a_price_list_that_is_away_is_not_required(self, fake: FakeAzure) -> None:
        fake.fail("/api/retail/prices", Answer(503))
        (finding,) = self.found("prices")
        assert (finding.ok, finding.required) == (False, False)
