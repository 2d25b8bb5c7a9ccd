"""What Terraform made of a module through the replay provider, as it then lies in the fake of its cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from support.fake_azure import SCHEDULE, FakeAzure
from support.fake_gcp import FakeGcp
from support.schema_replay.world import Existing

PARTS = frozenset(
    {
        "azurerm_network_security_rule",
        "azurerm_subnet",
        "azurerm_subnet_network_security_group_association",
        "google_compute_router_nat",
        "google_secret_manager_secret_iam_member",
        "terraform_data",
    }
)
"""What lies within another resource, and goes with it."""
_GCP = {
    "google_compute_network": "global/networks",
    "google_compute_subnetwork": "regions/{region}/subnetworks",
    "google_compute_firewall": "global/firewalls",
    "google_compute_router": "regions/{region}/routers",
    "google_compute_resource_policy": "regions/{region}/resourcePolicies",
}
_AZURE = {
    "azurerm_network_security_group": "Microsoft.Network/networkSecurityGroups",
    "azurerm_public_ip": "Microsoft.Network/publicIPAddresses",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "azurerm_proximity_placement_group": "Microsoft.Compute/proximityPlacementGroups",
    "azurerm_availability_set": "Microsoft.Compute/availabilitySets",
}


def into_gcp(existing: Iterable[Existing], fake: FakeGcp) -> None:
    """Put resources of the module gcp-hub into a project; what uses what is kept."""
    for each in existing:
        values = each.values
        if each.type in PARTS:
            continue
        if each.type == "google_service_account":
            fake.add_account(values["account_id"], values["description"])
        elif each.type == "google_storage_bucket_iam_member":
            fake.grant(values["bucket"], values["member"], values["condition"][0]["description"])
        elif each.type == "google_compute_instance":
            _add_instance(values, fake)
        else:
            path = _GCP[each.type].format_map(values)
            network = {"network": _network_link(values, fake)} if values.get("network") else {}
            fake.add(f"{path}/{values['name']}", description=values["description"], **network)


def into_azure(existing: Iterable[Existing], fake: FakeAzure) -> None:
    """Put resources of the module azure-hub into a subscription; what uses what is kept."""
    special: Mapping[str, Callable[[str, Mapping[str, Any], FakeAzure], None]] = {
        "azurerm_virtual_network": _add_network,
        "azurerm_network_interface": _add_interface,
        "azurerm_linux_virtual_machine": _add_machine,
        "azurerm_dev_test_global_vm_shutdown_schedule": _add_schedule,
    }
    (hub,) = (each.values for each in existing if each.type == "azurerm_resource_group")
    group = hub["name"]
    fake.add_group(group, hub["tags"])
    for n, each in enumerate(existing):
        values = each.values
        if each.type in PARTS or each.type == "azurerm_resource_group":
            continue
        if each.type == "azurerm_role_assignment":
            fake.add_assignment(f"assignment-{n}", values["description"])
        elif each.type in special:
            special[each.type](group, values, fake)
        else:
            fake.add(group, _AZURE[each.type], values["name"], values["tags"])


def _network_link(values: Mapping[str, Any], fake: FakeGcp) -> str:
    return fake.link(f"projects/{values['project']}/global/networks/{_last(values['network'])}")


def _add_instance(values: Mapping[str, Any], fake: FakeGcp) -> None:
    (boot,) = values["boot_disk"]
    place = f"zones/{values['zone']}"
    labels = boot["initialize_params"][0]["labels"]
    disk = fake.add(f"{place}/disks/{values['name']}", labels=labels, sizeGb="100")
    region = values["zone"].rpartition("-")[0]
    whole = f"projects/{values['project']}/regions/{region}"
    subnetwork = _last(values["network_interface"][0]["subnetwork"])
    policies = [
        f"{whole}/resourcePolicies/{_last(policy)}" for policy in values.get("resource_policies") or ()
    ]
    fake.add(
        f"{place}/instances/{values['name']}",
        labels=values["labels"],
        machineType=f"{place}/machineTypes/{values['machine_type']}",
        status="RUNNING",
        scheduling={"provisioningModel": values["scheduling"][0]["provisioning_model"]},
        disks=[{"source": fake.link(disk), "autoDelete": boot["auto_delete"], "boot": True}],
        networkInterfaces=[{"subnetwork": fake.link(f"{whole}/subnetworks/{subnetwork}")}],
        resourcePolicies=[fake.link(policy) for policy in policies],
    )


def _add_network(group: str, values: Mapping[str, Any], fake: FakeAzure) -> None:
    fake.add(group, "Microsoft.Network/virtualNetworks", values["name"], values["tags"])


def _add_interface(group: str, values: Mapping[str, Any], fake: FakeAzure) -> None:
    (configuration,) = values["ip_configuration"]
    network = configuration["subnet_id"].partition("/virtualNetworks/")[2]
    within = {
        "subnet": {"id": fake.id(group, "Microsoft.Network/virtualNetworks", network)},
        "publicIPAddress": {
            "id": fake.id(group, _AZURE["azurerm_public_ip"], _last(configuration["public_ip_address_id"]))
        },
    }
    ips = [{"name": "hub", "properties": within}]
    fake.add(
        group, "Microsoft.Network/networkInterfaces", values["name"], values["tags"], ipConfigurations=ips
    )


def _add_machine(group: str, values: Mapping[str, Any], fake: FakeAzure) -> None:
    disk = fake.add(group, "Microsoft.Compute/disks", values["os_disk"][0]["name"], diskSizeGB=100)
    nics = [
        {"id": fake.id(group, "Microsoft.Network/networkInterfaces", _last(nic))}
        for nic in values["network_interface_ids"]
    ]
    fake.add(
        group,
        "Microsoft.Compute/virtualMachines",
        values["name"],
        values["tags"],
        hardwareProfile={"vmSize": values["size"]},
        priority=values["priority"],
        networkProfile={"networkInterfaces": nics},
        storageProfile={"osDisk": {"managedDisk": {"id": disk}}},
        instanceView={"statuses": [{"code": "PowerState/running"}]},
    )


def _add_schedule(group: str, values: Mapping[str, Any], fake: FakeAzure) -> None:
    machine = _last(values["virtual_machine_id"])
    fake.add(group, SCHEDULE, f"shutdown-computevm-{machine}", values["tags"])


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
