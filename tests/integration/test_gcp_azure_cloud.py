"""`doctor`, `catalog refresh` and `sweep` on Google Cloud and Azure, over sockets to servers like theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.clouds import azure_resources, azure_session, gcp_resources, gcp_session
from harchos_infra.clouds.azure import AzureCloud
from harchos_infra.clouds.gcp import GcpCloud
from support import fake_azure
from support.command import Harchos
from support.fake_azure import VAULT, FakeAzure, refusal
from support.fake_gcp import PROJECT, FakeGcp
from support.module_workspace import Workspace
from support.schema_replay import Fault, Replay
from support.schema_replay.answers import SUBSCRIPTION as REPLAYED
from support.schema_replay.world import Existing
from support.terraformed import PARTS, into_azure, into_gcp

SETTINGS = f"""\
gcp.mailbox: gs://mbox/prefix
azure.mailbox: az://mbox/hubs
azure.key_vault: {VAULT}
"""
ON_GCP, ON_AZURE = ("llm-abc123", "llm-abc123-h1"), ("sft-def456", "sft-def456-h1")
EXPIRES = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
T4 = "Standard_NC4as_T4_v3"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith(("AZURE_", "IDENTITY_", "GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    for module in (gcp_resources, azure_resources):
        monkeypatch.setattr(module, "SETTLE_S", 0.05)
        monkeypatch.setattr(module, "PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_session, "RETRY_FOR_S", 0.1)
    monkeypatch.setattr(gcp_session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(azure_session, "BACKOFF_S", 0.001)
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config.yaml").write_text(SETTINGS)


@pytest.fixture
def gcp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGcp]:
    with FakeGcp() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        fake.grant("mbox", "user:ada@example.com", None)
        yield fake


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAzure]:
    with FakeAzure() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        fake.add_mailbox("mbox", "hubs")
        yield fake


def test_a_sweep_removes_what_both_clouds_have_of_ours_and_nothing_else(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    before = gcp.left, azure.left
    gcp.add_hub(*ON_GCP, nodes=2)
    azure.add_hub(*ON_AZURE, nodes=2)
    code, out, _ = harchos("sweep", "--all-regions", "--yes", "--format", "json")
    assert code == 0, out
    assert (gcp.left, azure.left) == before


def test_a_sweep_shows_what_an_hour_costs_before_it_asks(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    azure.add_hub(*ON_AZURE)
    _, out, err = harchos("sweep", "--all-regions")
    assert "0.6580" in out
    assert azure.left != [], err


def test_a_sweep_that_leaves_something_names_it_and_fails(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    gcp.add_hub(*ON_GCP)
    gcp.denied.add("compute.disks.delete")
    code, out, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert f"disks/harchos-{ON_GCP[1]}-0" in out + err
    assert "compute.disks.delete" in out + err


def test_a_cloud_that_refuses_to_list_does_not_keep_the_other_from_being_swept(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    gcp.add_hub(*ON_GCP)
    azure.add_hub(*ON_AZURE)
    azure.denied.add("Microsoft.Network/publicIPAddresses/read")
    code, out, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert "Microsoft.Network/publicIPAddresses/read" in out + err
    assert gcp.left == [] and azure.left != []


def test_a_lock_of_somebody_else_is_told(azure: FakeAzure, harchos: Harchos) -> None:
    azure.add_hub(*ON_AZURE)
    azure.fail("DELETE", refusal(409, "ScopeLocked", "The scope '/x' cannot perform delete: it is locked."))
    code, out, err = harchos("sweep", "--cloud", "azure", "--yes")
    assert code == 1
    assert "lock" in out + err


MODULES = {
    "gcp-hub": ("google", {"project": PROJECT, "mailbox": "gs://mbox/harchos"}),
    "azure-hub": ("azurerm", {"subscription": REPLAYED, "mailbox": "az://acmemailbox/hubs/team"}),
}
MADE_ON_GCP = (
    "google_compute_network",
    "google_compute_subnetwork",
    "google_compute_firewall",
    "google_compute_resource_policy",
    "google_service_account",
    "google_storage_bucket_iam_member",
    "google_compute_instance",
)
MADE_ON_AZURE = (
    "azurerm_resource_group",
    "azurerm_virtual_network",
    "azurerm_network_security_group",
    "azurerm_public_ip",
    "azurerm_network_interface",
    "azurerm_user_assigned_identity",
    "azurerm_role_assignment",
    "azurerm_proximity_placement_group",
    "azurerm_linux_virtual_machine",
    "azurerm_dev_test_global_vm_shutdown_schedule",
)


def of_module(
    module: str, example: str, folder: Path, fault: tuple[str, Fault] | None = None
) -> list[Existing]:
    """Apply an example of a module and forget its state; returns what then exists, heard of or not."""
    provider, variables = MODULES[module]
    with Replay(providers=[provider]) as replay:
        made = Workspace.of(replay, folder, module, f"examples/{example}", variables | {"expires": EXPIRES})
        if fault is not None:
            replay.faults[f"{fault[0]}:create"] = fault[1]
        applied = made.terraform("apply", "-auto-approve")
        assert (applied.returncode == 0) is (fault is None), applied.stdout + applied.stderr
        return replay.world.existing


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_what_the_module_makes_on_google_cloud_goes_though_terraforms_state_is_lost(
    gcp: FakeGcp, tmp_path: Path, example: str, harchos: Harchos
) -> None:
    made = of_module("gcp-hub", example, tmp_path)
    into_gcp(made, gcp)
    listed = GcpCloud().list()
    disks = sum(each.type == "google_compute_instance" for each in made)
    assert len(listed) == sum(each.type not in PARTS for each in made) + disks
    assert {resource.hub for resource in listed} == {hub_of(made)}
    code, out, err = harchos("sweep", "--cloud", "gcp", "--foreign", "--yes")
    assert code == 0, out + err
    assert gcp.left == []
    assert [b["members"] for b in gcp.policies["mbox"]["bindings"]] == [["user:ada@example.com"]]


def test_the_module_and_the_adapter_cut_long_names_alike(
    gcp: FakeGcp, tmp_path: Path, harchos: Harchos
) -> None:
    run = f"{'a.very-long-workload-' * 4}1a2b3c"
    hub = f"{run}-h1"
    named = {"run": run, "hub": hub, "workload": run[:-7], "expires": EXPIRES, "mailbox": "gs://mbox/harchos"}
    of_machine = {"region": "us-central1", "instance_type": "g2-standard-4", "market": "spot"}
    with Replay(providers=["google"]) as replay:
        variables = named | of_machine | {"project": PROJECT}
        Workspace.of(replay, tmp_path, "gcp-hub", ".", variables).succeeds("apply", "-auto-approve")
        into_gcp(replay.world.existing, gcp)
    listed = GcpCloud().list(run=run, hub=hub)
    assert len(listed) == len(GcpCloud().list()) > 5


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_what_the_module_makes_on_azure_goes_though_terraforms_state_is_lost(
    azure: FakeAzure, tmp_path: Path, example: str, harchos: Harchos
) -> None:
    before = azure.left
    made = of_module("azure-hub", example, tmp_path)
    into_azure(made, azure)
    listed = AzureCloud().list()
    disks = sum(each.type == "azurerm_linux_virtual_machine" for each in made)
    assert len(listed) == sum(each.type not in PARTS for each in made) + disks
    assert {resource.hub for resource in listed} == {hub_of(made)}
    code, out, err = harchos("sweep", "--cloud", "azure", "--foreign", "--yes")
    assert code == 0, out + err
    assert azure.left == before


UNHEARD_OF = Fault(error="timeout while waiting for state to become 'DONE'", leaves="orphan")
KILLED = Fault(crash=True)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [*((kind, UNHEARD_OF) for kind in MADE_ON_GCP), ("google_compute_instance", KILLED)],
)
def test_what_a_failed_creation_leaves_on_google_cloud_goes_without_a_state(
    gcp: FakeGcp, tmp_path: Path, harchos: Harchos, kind: str, fault: Fault
) -> None:
    into_gcp(of_module("gcp-hub", "complete", tmp_path, (kind, fault)), gcp)
    assert gcp.left != []
    code, out, err = harchos("sweep", "--cloud", "gcp", "--foreign", "--yes")
    assert code == 0, out + err
    assert gcp.left == []
    assert [b["members"] for b in gcp.policies["mbox"]["bindings"]] == [["user:ada@example.com"]]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [*((kind, UNHEARD_OF) for kind in MADE_ON_AZURE), ("azurerm_linux_virtual_machine", KILLED)],
)
def test_what_a_failed_creation_leaves_on_azure_goes_without_a_state(
    azure: FakeAzure, tmp_path: Path, harchos: Harchos, kind: str, fault: Fault
) -> None:
    before = azure.left
    into_azure(of_module("azure-hub", "complete", tmp_path, (kind, fault)), azure)
    assert azure.left != before
    code, out, err = harchos("sweep", "--cloud", "azure", "--foreign", "--yes")
    assert code == 0, out + err
    assert azure.left == before


def hub_of(made: list[Existing]) -> str:
    tags = next(each.tags for each in made if each.tags)
    return tags.get("harchos:hub") or tags["harchos-hub"]


def test_doctor_is_content_with_clouds_that_have_all(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    azure.usages["westeurope"] = [fake_azure.usage("standardNCASv3_T4Family", 4, 0)]
    _, out, _ = harchos("doctor", "gcp", "azure", "--format", "json")
    places = {place["place"]: place for place in json.loads(out)["places"]}
    assert places["gcp"]["ready"] and places["azure"]["ready"], out


def test_doctor_says_what_to_do_about_what_is_missing(
    gcp: FakeGcp, azure: FakeAzure, harchos: Harchos
) -> None:
    gcp.disabled.add("iam")
    azure.unregistered.add("Microsoft.Compute")
    code, out, err = harchos("doctor", "gcp", "azure")
    assert code == 1
    assert "gcloud services enable iam.googleapis.com" in out + err
    assert "az provider register --namespace Microsoft.Compute" in out + err


def test_prices_and_quotas_that_azure_tells_are_those_of_the_next_plan(
    azure: FakeAzure, harchos: Harchos
) -> None:
    azure.skus = [fake_azure.sku(T4, "standardNCASv3_T4Family")]
    azure.prices = [fake_azure.price(T4, 0.77)]
    azure.usages["westeurope"] = [fake_azure.usage("standardNCASv3_T4Family", 4, 0)]
    code, out, err = harchos("catalog", "refresh", "--provider", "azure")
    assert code == 0, out + err
    _, out, _ = harchos("offers", "--region", "azure/westeurope", "--format", "json")
    told = next(o for o in json.loads(out)["offers"] if (o["instanceType"], o["market"]) == (T4, "on-demand"))
    assert (told["priceUsdHour"], told["offered"]) == (0.77, True)
