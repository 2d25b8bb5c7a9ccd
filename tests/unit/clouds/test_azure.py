"""Azure: what is ours is found whole and deleted in an order that Azure accepts, whatever fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.clouds import azure_resources, azure_session
from harchos_infra.clouds.azure import AzureCloud
from harchos_infra.clouds.azure_error import AzureError
from harchos_infra.clouds.cloud import Resource, cloud
from harchos_infra.errors import HarchosError
from harchos_infra.share import share_directory
from support import fake_azure
from support.fake_azure import OBJECT, SUBSCRIPTION, TENANT, VAULT, FakeAzure, refusal
from support.rest_server import Answer, reset

RUN, HUB = "llm-abc123", "llm-abc123-h1"
KINDS = [
    "instance",
    "network-interface",
    "address",
    "network",
    "security-group",
    "disk",
    "availability-set",
    "placement-group",
    "role-assignment",
    "identity",
    "resource",
    "secret",
    "resource-group",
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAzure]:
    for name in [n for n in os.environ if n.startswith(("AZURE_", "ARM_", "IDENTITY_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config.yaml").write_text(f"azure.key_vault: {VAULT}\n")
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(azure_session, "BACKOFF_S", 0.001)
    monkeypatch.setattr(azure_session, "POLL_S", 0.01)
    monkeypatch.setattr(azure_resources, "SETTLE_S", 0.05)
    monkeypatch.setattr(azure_resources, "PAUSE_S", 0.01)
    with FakeAzure() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def hub(fake: FakeAzure) -> FakeAzure:
    fake.add_hub(RUN, HUB)
    return fake


def kinds(found: Sequence[Resource]) -> list[str]:
    return [resource.kind for resource in found]


def tear_down(adapter: AzureCloud, **which: str) -> None:
    for resource in adapter.list(**which):
        adapter.delete(resource)


def refused(call: object, *arguments: object) -> HarchosError:
    with pytest.raises(HarchosError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value


def of_kind(found: Sequence[Resource], kind: str) -> Resource:
    return next(resource for resource in found if resource.kind == kind)


class TestIdentity:
    def test_it_is_the_subscription_and_its_tenant(self, fake: FakeAzure) -> None:
        assert AzureCloud().identity() == f"{SUBSCRIPTION} tenant {TENANT}"

    def test_the_only_subscription_that_is_seen_needs_no_setting(
        self, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
        assert AzureCloud().identity().split()[0] == SUBSCRIPTION

    def test_of_several_subscriptions_none_is_guessed(
        self, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
        fake.subscriptions.append("another")
        error = refused(AzureCloud().identity)
        assert error.what == (f"no Azure subscription is set; the credentials see 2: {SUBSCRIPTION}, another")

    def test_it_is_reached_by_the_name_of_the_cloud(self, fake: FakeAzure) -> None:
        assert isinstance(cloud("azure"), AzureCloud)


class TestListing:
    def test_every_kind_of_a_hub_is_found_in_the_order_in_which_it_can_be_deleted(
        self, hub: FakeAzure
    ) -> None:
        assert kinds(AzureCloud().list()) == KINDS

    def test_a_resource_says_whose_it_is_where_it_is_and_when_it_ends(self, hub: FakeAzure) -> None:
        (instance, *_) = AzureCloud().list()
        assert (instance.provider, instance.run, instance.hub) == ("azure", RUN, HUB)
        assert instance.id.endswith(f"/providers/Microsoft.Compute/virtualMachines/harchos-{HUB}-n0")
        assert instance.region == "westeurope"
        assert instance.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)
        assert instance.detail == f"harchos-{HUB}-n0 (Standard_NC4as_T4_v3, running)"

    def test_what_lies_in_a_group_of_ours_is_ours_without_tags(self, hub: FakeAzure) -> None:
        disk = of_kind(AzureCloud().list(), "disk")
        assert "tags" not in hub.resources[disk.id]
        assert (disk.run, disk.hub) == (RUN, HUB)

    def test_an_unknown_type_is_found_by_the_list_of_everything(self, hub: FakeAzure) -> None:
        assert "Microsoft.DevTestLab/schedules" in of_kind(AzureCloud().list(), "resource").detail

    def test_what_the_list_of_everything_still_shows_though_it_is_gone_does_not_count(
        self, hub: FakeAzure
    ) -> None:
        schedule = hub.resources[of_kind(AzureCloud().list(), "resource").id]
        hub.ghosts.append(schedule)
        hub.drop(schedule["id"])
        assert "resource" not in kinds(AzureCloud().list())

    def test_a_role_assignment_is_known_by_its_description(self, hub: FakeAzure) -> None:
        hub.add_assignment("of-somebody", "may read the mailbox")
        hub.add_assignment("of-nobody", None)
        (found,) = (r for r in AzureCloud().list() if r.kind == "role-assignment")
        assert (found.run, found.hub) == (RUN, HUB)
        assert found.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)

    def test_a_name_like_ours_without_our_tags_is_not_ours(self, fake: FakeAzure) -> None:
        fake.add_group(f"harchos-{HUB}", {"team": "x"})
        fake.add(f"harchos-{HUB}", "Microsoft.Compute/disks", f"harchos-{HUB}", {"team": "x"}, diskSizeGB=1)
        assert AzureCloud().list() == []

    def test_only_the_hub_or_run_that_is_named_is_listed(self, hub: FakeAzure) -> None:
        hub.add_hub(RUN, f"{RUN}-h2")
        hub.add_hub("other-ffffff", "other-ffffff-h1")
        adapter = AzureCloud()
        assert {r.hub for r in adapter.list(hub=HUB)} == {HUB}
        assert {r.hub for r in adapter.list(run=RUN)} == {HUB, f"{RUN}-h2", ""}

    def test_all_pages_are_read(self, fake: FakeAzure) -> None:
        fake.add_hub(RUN, HUB, nodes=5)
        fake.page_size = 2
        found = kinds(AzureCloud().list())
        assert [found.count(kind) for kind in ("instance", "disk", "network-interface")] == [5, 5, 5]

    def test_a_machine_costs_what_the_price_list_says_on_its_market(self, fake: FakeAzure) -> None:
        fake.add_hub(RUN, HUB, nodes=2)
        machines = [r for r in fake.resources if "/virtualMachines/" in r]
        fake.resources[machines[1]]["properties"]["instanceView"] = {
            "statuses": [{"code": "PowerState/deallocated"}]
        }
        running, given_back = (r.price_usd_hour for r in AzureCloud().list()[:2])
        assert running == 0.658
        assert given_back is None

    def test_a_machine_that_vanishes_while_it_is_listed_is_no_error(self, hub: FakeAzure) -> None:
        hub.fail("/instanceView", refusal(404, "ResourceNotFound", "The Resource was not found."))
        assert AzureCloud().list()[0].detail == f"harchos-{HUB}-n0 (Standard_NC4as_T4_v3)"

    def test_an_address_costs_something_by_itself(self, hub: FakeAzure) -> None:
        assert of_kind(AzureCloud().list(), "address").price_usd_hour == 0.005

    def test_a_machine_that_is_only_stopped_goes_on_being_paid_for(self, hub: FakeAzure) -> None:
        (machine,) = (r for r in hub.resources if "/virtualMachines/" in r)
        hub.resources[machine]["properties"]["instanceView"] = {"statuses": [{"code": "PowerState/stopped"}]}
        assert AzureCloud().list()[0].price_usd_hour == 0.658


class TestDeletion:
    def test_a_whole_hub_is_gone_afterwards(self, fake: FakeAzure) -> None:
        fake.add_hub(RUN, HUB, nodes=2)
        fake.polls = 3
        tear_down(AzureCloud())
        assert fake.left == []
        assert fake.deleted[0] == f"Microsoft.Compute/virtualMachines/harchos-{HUB}-n0"
        assert fake.deleted[-1] == f"Microsoft.Resources/resourceGroups/harchos-{HUB}"

    @pytest.mark.parametrize(
        "kind",
        [
            "network-interface",
            "address",
            "network",
            "security-group",
            "disk",
            "availability-set",
            "placement-group",
        ],
    )
    def test_azure_refuses_another_order(self, hub: FakeAzure, kind: str) -> None:
        adapter = AzureCloud()
        used = of_kind(adapter.list(), kind)
        assert "is in use by" in refused(adapter.delete, used).what
        assert used.id in hub.left

    def test_the_group_takes_all_that_is_in_it(self, hub: FakeAzure) -> None:
        adapter = AzureCloud()
        adapter.delete(of_kind(adapter.list(), "resource-group"))
        assert kinds(adapter.list()) == ["role-assignment", "secret"]

    @pytest.mark.parametrize("made", range(14))
    def test_a_hub_that_was_half_made_is_gone_afterwards(self, fake: FakeAzure, made: int) -> None:
        fake.add_hub(RUN, HUB)
        in_order = [
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/harchos-{HUB}",
            *fake.resources,
            *fake.secrets,
        ]
        assert len(in_order) == 13
        for path in in_order[made:]:
            fake.drop(path)
        tear_down(AzureCloud())
        assert fake.left == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_a_failed_deletion_left_is_deleted_by_the_next(self, hub: FakeAzure, kind: str) -> None:
        adapter = AzureCloud()
        failing = of_kind(adapter.list(), kind)
        hub.fail("DELETE", refusal(409, "AnotherOperationInProgress", "Another operation is in progress."))
        assert "Another operation is in progress." in refused(adapter.delete, failing).what
        hub.heal()
        tear_down(adapter)
        assert hub.left == []

    def test_others_are_left_alone(self, hub: FakeAzure) -> None:
        hub.add_hub("other-ffffff", "other-ffffff-h1")
        hub.add("harchos", "Microsoft.Storage/storageAccounts", "mbox")
        before = [path for path in hub.left if HUB not in path and RUN not in path]
        tear_down(AzureCloud(), run=RUN)
        assert hub.left == before

    def test_what_is_gone_already_is_no_error(self, hub: FakeAzure) -> None:
        adapter = AzureCloud()
        found = adapter.list()
        tear_down(adapter)
        for resource in found:
            adapter.delete(resource)

    def test_what_is_not_free_at_once_is_waited_for(self, hub: FakeAzure) -> None:
        adapter = AzureCloud()
        machine, nic, *_ = adapter.list()
        hub.drop(machine.id)
        reserved = "Nic is reserved for another VM and cannot be deleted. Reserved for 180 s."
        hub.fail("DELETE", refusal(400, "NicReservedForAnotherVm", reserved), times=2)
        adapter.delete(nic)
        assert nic.id not in hub.left

    def test_a_group_that_is_being_deleted_is_waited_for(self, hub: FakeAzure) -> None:
        going = "The resource group is in deprovisioning state and cannot perform this operation."
        adapter = AzureCloud()
        machine = adapter.list()[0]
        hub.fail("DELETE", refusal(409, "ResourceGroupBeingDeleted", going), times=12)
        adapter.delete(machine)
        assert machine.id not in hub.left

    def test_a_long_operation_that_fails_says_why(self, hub: FakeAzure) -> None:
        hub.operation_errors["virtualMachines"] = {
            "code": "InternalExecutionError",
            "message": "An internal execution error occurred.",
        }
        adapter = AzureCloud()
        error = refused(adapter.delete, adapter.list()[0])
        assert isinstance(error, AzureError)
        assert "An internal execution error occurred." in error.what
        assert error.code == "InternalExecutionError"

    def test_a_long_operation_that_never_ends_is_an_error_in_the_end(
        self, hub: FakeAzure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(azure_session, "OPERATION_S", 0.05)
        hub.polls = 10**6
        adapter = AzureCloud()
        assert "is not done after" in refused(adapter.delete, adapter.list()[0]).what

    def test_a_lock_is_named_with_the_way_round_it(self, hub: FakeAzure) -> None:
        message = "The scope cannot perform delete operation because following scope(s) are locked: '/x'."
        hub.fail("DELETE", refusal(409, "ScopeLocked", message))
        adapter = AzureCloud()
        error = refused(adapter.delete, adapter.list()[0])
        assert error.what == f"a lock keeps it from being deleted: {message}"
        assert error.hint and "az lock delete" in error.hint

    def test_nothing_is_deleted_in_another_subscription(self, hub: FakeAzure) -> None:
        there = AzureCloud().list()[0]
        assert "not in subscription another" in refused(AzureCloud("another").delete, there).what
        assert there.id in hub.left


def test_the_least_role_is_enough_for_all_that_the_adapter_does(hub: FakeAzure, tmp_path: Path) -> None:
    (tmp_path / "home/config.yaml").write_text(f"azure.key_vault: {VAULT}\nazure.mailbox: az://mbox/c\n")
    hub.add_mailbox("mbox", "c")
    hub.usages["westeurope"] = [fake_azure.usage("standardNCASv3_T4Family", 4, 0)]
    role = json.loads((share_directory("configs") / "iam" / "azure-controller-role.json").read_text())
    hub.granted = set(role["Actions"])
    hub.permissions = [{"actions": role["Actions"], "notActions": []}]
    adapter = AzureCloud()
    adapter.identity()
    tear_down(adapter)
    assert adapter.list() == []
    for region in adapter.regions():
        adapter.offers(region)
        adapter.quotas(region)
    assert [f for f in adapter.check() if not f.ok] == []


class TestRefusals:
    """Each has a message of its own: what, where, what next."""

    def test_nobody_is_signed_in(self, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        error = refused(AzureCloud().list)
        assert error.what == "no credentials for Azure"
        assert error.hint and error.hint.startswith("az login")

    def test_the_credentials_are_expired(self, hub: FakeAzure) -> None:
        hub.fail("GET /subscriptions", fake_azure.EXPIRED)
        error = refused(AzureCloud().list)
        assert error.what.startswith("Azure refused the credentials: The access token expiry UTC time")
        assert error.hint and "az login" in error.hint

    def test_the_credentials_are_of_another_tenant(self, hub: FakeAzure) -> None:
        hub.fail("GET /subscriptions", fake_azure.OTHER_TENANT)
        assert "from the wrong issuer" in refused(AzureCloud().list).what

    @pytest.mark.parametrize("act", ["identity", "list"])
    def test_the_subscription_does_not_exist(self, fake: FakeAzure, act: str) -> None:
        error = refused(getattr(AzureCloud("no-such"), act))
        assert error.what == "subscription no-such does not exist, or these credentials may not see it"
        assert error.hint and "harchos config set azure.subscription" in error.hint

    @pytest.mark.parametrize(
        "action",
        [
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Compute/virtualMachines/instanceView/read",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/availabilitySets/read",
            "Microsoft.Compute/proximityPlacementGroups/read",
            "Microsoft.Network/networkInterfaces/read",
            "Microsoft.Network/publicIPAddresses/read",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/networkSecurityGroups/read",
            "Microsoft.Authorization/roleAssignments/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.Resources/subscriptions/resources/read",
        ],
    )
    def test_a_permission_that_is_missing_is_named_and_the_listing_is_not_empty(
        self, hub: FakeAzure, action: str
    ) -> None:
        hub.denied.add(action)
        error = refused(AzureCloud().list)
        assert isinstance(error, AzureError) and error.action == action
        assert error.what.startswith(f"{OBJECT} lacks {action} on /subscriptions/{SUBSCRIPTION}")
        assert error.hint and action in error.hint and OBJECT in error.hint

    def test_a_permission_that_is_missing_at_the_vault_is_named(self, hub: FakeAzure) -> None:
        hub.denied.add("Microsoft.KeyVault/vaults/secrets/readMetadata/action")
        assert (
            "lacks Microsoft.KeyVault/vaults/secrets/readMetadata/action" in refused(AzureCloud().list).what
        )

    def test_a_provider_that_is_not_registered_is_named_with_the_command(self, hub: FakeAzure) -> None:
        message = "The subscription is not registered to use namespace 'Microsoft.Network'."
        hub.fail("Microsoft.Network/", refusal(409, "MissingSubscriptionRegistration", message))
        error = refused(AzureCloud().list)
        assert error.what == f"Microsoft.Network is not registered in subscription {SUBSCRIPTION}"
        assert (
            error.hint == f"az provider register --namespace Microsoft.Network --subscription {SUBSCRIPTION}"
        )

    def test_a_disabled_subscription_says_that_it_goes_on_costing(self, hub: FakeAzure) -> None:
        message = "The subscription is disabled and therefore marked as read only."
        hub.fail("DELETE", refusal(409, "ReadOnlyDisabledSubscription", message))
        adapter = AzureCloud()
        error = refused(adapter.delete, adapter.list()[0])
        assert "is disabled" in error.what and error.hint and "billed" in error.hint

    @pytest.mark.parametrize("fault", [fake_azure.TOO_MANY, fake_azure.UNAVAILABLE, reset])
    def test_what_passes_is_tried_again(self, hub: FakeAzure, fault: Answer) -> None:
        hub.fail("GET /subscriptions", fault, times=2)
        assert kinds(AzureCloud().list()) == KINDS

    def test_being_asked_too_often_for_long_is_an_error(self, hub: FakeAzure) -> None:
        hub.fail("GET /subscriptions", fake_azure.TOO_MANY)
        assert "asked too often" in refused(AzureCloud().list).what

    def test_a_network_that_is_away_is_an_error(
        self, hub: FakeAzure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://127.0.0.1:9")
        assert "cannot be reached" in refused(AzureCloud().list).what

    def test_plain_http_is_for_loopback_only(self, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://example.com")
        assert "is not an https address" in refused(AzureCloud().list).what


def test_the_command_line_starts_without_azures_libraries() -> None:
    code = (
        "import sys, harchos_infra.clouds.azure as a; a.AzureCloud();"
        "print([m for m in sys.modules if m.startswith(('azure', 'msal', 'requests', 'httpx'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
