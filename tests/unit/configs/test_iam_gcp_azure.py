"""The roles of configs/iam cover what the modules make and what their machines do, and hold nothing wide."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from harchos_infra.share import share_directory

IAM = share_directory("configs") / "iam"
MODULES = share_directory("terraform") / "modules"
GCP_COLLECTIONS = {
    "google_compute_network": "compute.networks",
    "google_compute_subnetwork": "compute.subnetworks",
    "google_compute_firewall": "compute.firewalls",
    "google_compute_router": "compute.routers",
    "google_compute_resource_policy": "compute.resourcePolicies",
    "google_compute_instance": "compute.instances",
    "google_service_account": "iam.serviceAccounts",
}
GCP_POLICIES = {
    "google_storage_bucket_iam_member": "storage.buckets",
    "google_secret_manager_secret_iam_member": "secretmanager.secrets",
}
PART_OF_ITS_ROUTER = "google_compute_router_nat"
AZURE_TYPES = {
    "azurerm_resource_group": "Microsoft.Resources/subscriptions/resourceGroups",
    "azurerm_virtual_network": "Microsoft.Network/virtualNetworks",
    "azurerm_subnet": "Microsoft.Network/virtualNetworks/subnets",
    "azurerm_network_security_group": "Microsoft.Network/networkSecurityGroups",
    "azurerm_network_security_rule": "Microsoft.Network/networkSecurityGroups/securityRules",
    "azurerm_subnet_network_security_group_association": "Microsoft.Network/virtualNetworks/subnets",
    "azurerm_public_ip": "Microsoft.Network/publicIPAddresses",
    "azurerm_network_interface": "Microsoft.Network/networkInterfaces",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "azurerm_role_assignment": "Microsoft.Authorization/roleAssignments",
    "azurerm_proximity_placement_group": "Microsoft.Compute/proximityPlacementGroups",
    "azurerm_availability_set": "Microsoft.Compute/availabilitySets",
    "azurerm_linux_virtual_machine": "Microsoft.Compute/virtualMachines",
    "azurerm_dev_test_global_vm_shutdown_schedule": "Microsoft.DevTestLab/schedules",
}


def resources(module: str) -> set[str]:
    found = re.findall(r'^resource "(\w+)"', (MODULES / module / "main.tf").read_text(), re.M)
    return {kind for kind in found if kind != "terraform_data"}


def gcp(name: str) -> set[str]:
    return set(yaml.safe_load((IAM / name).read_text())["includedPermissions"])


def azure(name: str) -> dict[str, list[str]]:
    role: dict[str, list[str]] = json.loads((IAM / name).read_text())
    return role


def test_google_s_controller_may_make_read_and_delete_whatever_the_module_has() -> None:
    granted = gcp("gcp-controller-role.yaml") | gcp("gcp-mailbox-role.yaml")
    for kind in resources("gcp-hub") - {PART_OF_ITS_ROUTER}:
        if kind in GCP_POLICIES:
            needed = {f"{GCP_POLICIES[kind]}.{verb}" for verb in ("getIamPolicy", "setIamPolicy")}
        else:
            needed = {f"{GCP_COLLECTIONS[kind]}.{verb}" for verb in ("create", "get", "list", "delete")}
        assert needed <= granted, kind


def test_azure_s_controller_may_make_read_and_delete_whatever_the_module_has() -> None:
    actions = set(azure("azure-controller-role.json")["Actions"])
    for kind in resources("azure-hub"):
        assert {f"{AZURE_TYPES[kind]}/{verb}" for verb in ("read", "write", "delete")} <= actions, kind


def test_the_roles_that_the_azure_module_assigns_are_there_under_their_names() -> None:
    assigned = re.findall(
        r'role_definition_name\s*=\s*"(HarchOS [^"]+)"', (MODULES / "azure-hub" / "main.tf").read_text()
    )
    ours = {azure(path.name)["Name"] for path in IAM.glob("azure-hub-*-role.json")}
    assert set(assigned) == ours == {"HarchOS hub mailbox", "HarchOS hub lifetime"}


def test_the_condition_covers_every_right_that_a_hub_has_on_the_mailbox() -> None:
    condition = (MODULES / "azure-hub" / "main.tf").read_text()
    for action in azure("azure-hub-mailbox-role.json")["DataActions"]:
        verb = action.partition("/containers/blobs/")[2]
        assert f"ActionMatches{{'${{local.blob}}/{verb}'" in condition, action


def test_a_machine_on_azure_can_give_itself_back_and_make_nothing() -> None:
    actions = set(azure("azure-hub-lifetime-role.json")["Actions"])
    assert "Microsoft.Resources/subscriptions/resourceGroups/delete" in actions
    assert "Microsoft.Compute/virtualMachines/deallocate/action" in actions
    assert not [action for action in actions if action.endswith("/write")]


@pytest.mark.parametrize(
    "path", sorted(IAM.glob("gcp-*")) + sorted(IAM.glob("azure-*")), ids=lambda p: p.stem
)
def test_no_role_has_a_wildcard_or_says_a_thing_twice(path: Path) -> None:
    role = yaml.safe_load(path.read_text())
    listed = role.get("includedPermissions") or role["Actions"] + role["DataActions"]
    assert listed
    assert not [one for one in listed if "*" in one]
    assert len(listed) == len(set(listed))
