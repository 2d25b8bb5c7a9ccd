"""What carries our marks in an Azure subscription, in the order in which it can be deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harchos_infra.catalog.offer import Market
from harchos_infra.clouds import azure_session
from harchos_infra.clouds.azure_error import AzureError
from harchos_infra.clouds.azure_session import AzureSession
from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.list_price import list_price_usd_hour
from harchos_infra.clouds.marks import Marks, of_description, of_labels
from harchos_infra.settings import Settings

SETTLE_S = 60.0
PAUSE_S = 2.0
_GOING = "ResourceGroupBeingDeleted"
_SETTLING = (
    _GOING,
    "AnotherOperationInProgress",
    "InUseNetworkSecurityGroupCannotBeDeleted",
    "InUseSubnetCannotBeDeleted",
    "NicInUse",
    "NicReservedForAnotherVm",
    "PublicIPAddressCannotBeDeleted",
    "ReferencedResourceNotProvisioned",
    "RetryableError",
)
PUBLIC_ADDRESS_USD_HOUR = 0.005
"""A standard static IPv4 address, in every region (Azure's price list), in use or not."""
_GROUPS = "2021-04-01"
_ASSIGNMENTS = "2022-04-01"
_IDENTITIES = "2023-01-31"
_MACHINES = "2024-07-01"
_NOT_BILLED = ("deallocated", "deallocating")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of resource with a listing of its own in the SDKs; `type` and `api_version` delete it by id."""

    name: str
    type: str
    api_version: str
    list: Callable[[AzureSession], Iterable[Any]]


_KINDS = (
    _Kind(
        "instance",
        "Microsoft.Compute/virtualMachines",
        _MACHINES,
        lambda s: s.compute.virtual_machines.list_all(),
    ),
    _Kind(
        "network-interface",
        "Microsoft.Network/networkInterfaces",
        "2024-05-01",
        lambda s: s.network.network_interfaces.list_all(),
    ),
    _Kind(
        "address",
        "Microsoft.Network/publicIPAddresses",
        "2024-05-01",
        lambda s: s.network.public_ip_addresses.list_all(),
    ),
    _Kind(
        "network",
        "Microsoft.Network/virtualNetworks",
        "2024-05-01",
        lambda s: s.network.virtual_networks.list_all(),
    ),
    _Kind(
        "security-group",
        "Microsoft.Network/networkSecurityGroups",
        "2024-05-01",
        lambda s: s.network.network_security_groups.list_all(),
    ),
    _Kind("disk", "Microsoft.Compute/disks", "2024-03-02", lambda s: s.compute.disks.list()),
    _Kind(
        "availability-set",
        "Microsoft.Compute/availabilitySets",
        "2024-07-01",
        lambda s: s.compute.availability_sets.list_by_subscription(),
    ),
    _Kind(
        "placement-group",
        "Microsoft.Compute/proximityPlacementGroups",
        "2024-07-01",
        lambda s: s.compute.proximity_placement_groups.list_by_subscription(),
    ),
)
"""In deletion order: each is used by those before it, never by those after it."""
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"


def list_resources(session: AzureSession, *, run: str | None, hub: str | None) -> list[Resource]:
    """Return what is ours in the subscription; raises AzureError unless every listing is complete.

    Ours is what is tagged, and whatever lies in a resource group that is.
    """
    groups = {g.name.lower(): g for g in session.all(session.resources.resource_groups.list)}
    owners = {name: marks for name, g in groups.items() if (marks := of_labels(g.tags)) is not None}
    found = [
        *(resource for kind in _KINDS for resource in _of_kind(session, kind, owners)),
        *_role_assignments(session),
        *_identities(session, owners),
        *_others(session, owners),
        *_secrets(session),
        *(_group(groups[name], marks) for name, marks in owners.items()),
    ]
    return [r for r in found if Marks(r.run, r.hub, r.expires).match(run, hub)]


def delete_resource(session: AzureSession, resource: Resource) -> None:
    """Delete one resource and wait until it is gone; one that is gone already is no error.

    What was just in use is not free at once: such a refusal is waited out for `SETTLE_S`. A group that is
    being deleted (a hub has its own deleted when its job has ended) is waited for as long as any deletion.
    """
    if resource.kind == "secret":
        _, vault, _, name = resource.id.split("/")
        return session.delete_secret(vault, name)
    if not resource.id.lower().startswith(f"/subscriptions/{session.subscription.lower()}/"):
        raise AzureError(f"{resource.kind} {resource.id} is not in subscription {session.subscription}")
    version = _api_version(session, resource)
    began = time.monotonic()
    while True:
        try:
            return session.delete(resource.id, version)
        except AzureError as error:
            patience_s = azure_session.OPERATION_S if error.code == _GOING else SETTLE_S
            if error.code not in _SETTLING or time.monotonic() > began + patience_s:
                raise
        time.sleep(PAUSE_S)


def _api_version(session: AzureSession, resource: Resource) -> str:
    versions = {kind.name: kind.api_version for kind in _KINDS} | {
        "role-assignment": _ASSIGNMENTS,
        "identity": _IDENTITIES,
        "resource-group": _GROUPS,
    }
    return versions.get(resource.kind) or _newest_api_version(session, _type(resource.id))


def _of_kind(session: AzureSession, kind: _Kind, owners: dict[str, Marks]) -> Iterator[Resource]:
    for item in session.all(lambda: kind.list(session)):
        marks = of_labels(item.tags) or owners.get(_group_of(item.id))
        if marks is None:
            continue
        if kind.name == "instance":
            yield _machine(session, item, marks)
        else:
            price = PUBLIC_ADDRESS_USD_HOUR if kind.name == "address" else None
            detail = f"{item.name} ({item.disk_size_gb} GiB)" if kind.name == "disk" else item.name
            yield _resource(kind.name, item.id, marks, detail, item.location, price)


def _machine(session: AzureSession, machine: Any, marks: Marks) -> Resource:
    """Describe a machine; one that gave its hardware back costs nothing by itself."""
    power = _power(session, machine.id)
    size = machine.hardware_profile.vm_size
    market: Market = "spot" if machine.priority == "Spot" else "on-demand"
    price = list_price_usd_hour("azure", machine.location, size, market)
    detail = f"{machine.name} ({size}{', ' if power else ''}{power})"
    billed = None if power in _NOT_BILLED else price
    return _resource("instance", machine.id, marks, detail, machine.location, billed)


def _power(session: AzureSession, machine_id: str) -> str:
    """Return `running`, `stopped`, `deallocated`…; empty: Azure does not say. Listings do not have it."""
    try:
        view = session.get(f"{machine_id}/instanceView", _MACHINES)
    except AzureError as error:
        if error.status == 404:
            return ""
        raise
    codes = [status.get("code", "") for status in view.get("statuses", ())]
    return next((code.partition("/")[2] for code in codes if code.startswith("PowerState/")), "")


def _role_assignments(session: AzureSession) -> Iterator[Resource]:
    """Yield what hubs were allowed outside their own resource group, whether or not they still exist."""
    path = f"/subscriptions/{session.subscription}/providers/Microsoft.Authorization/roleAssignments"
    for item in session.pages(path, _ASSIGNMENTS):
        marks = of_description(item["properties"].get("description"))
        if marks is not None:
            yield _resource("role-assignment", item["id"], marks, item["properties"]["scope"])


def _identities(session: AzureSession, owners: dict[str, Marks]) -> Iterator[Resource]:
    path = f"/subscriptions/{session.subscription}/providers/{_IDENTITY}"
    for item in session.pages(path, _IDENTITIES):
        marks = of_labels(item.get("tags")) or owners.get(_group_of(item["id"]))
        if marks is not None:
            yield _resource("identity", item["id"], marks, item["name"], item["location"])


def _others(session: AzureSession, owners: dict[str, Marks]) -> Iterator[Resource]:
    """Yield resources of other types, from the list that Azure keeps of everything.

    That list lags behind by minutes: each one on it is asked for before it counts.
    """
    versions: dict[str, str] = {}
    known = [*(kind.type.lower() for kind in _KINDS), _IDENTITY.lower()]
    for item in session.all(session.resources.resources.list):
        if any(item.type.lower() == k or item.type.lower().startswith(f"{k}/") for k in known):
            continue
        marks = of_labels(item.tags) or owners.get(_group_of(item.id))
        if marks is None:
            continue
        if item.type not in versions:
            versions[item.type] = _newest_api_version(session, item.type)
        if session.exists(item.id, versions[item.type]):
            yield _resource("resource", item.id, marks, f"{item.name} ({item.type})", item.location)


def _newest_api_version(session: AzureSession, type_: str) -> str:
    namespace, _, rest = type_.partition("/")
    provider = session.get(f"/subscriptions/{session.subscription}/providers/{namespace}", _GROUPS)
    for known in provider.get("resourceTypes", ()):
        if known["resourceType"].lower() == rest.lower():
            stable = [version for version in known["apiVersions"] if "preview" not in version]
            return str(max(stable or known["apiVersions"]))
    raise AzureError(f"Azure does not know resources of type {type_}")


def _secrets(session: AzureSession) -> Iterator[Resource]:
    vault = Settings.load().azure_key_vault
    if not vault:
        return
    for item in session.vault_pages(vault):
        marks = of_labels(item.get("tags"))
        if marks is not None:
            name = item["id"].rsplit("/", 1)[-1]
            yield _resource("secret", f"vaults/{vault}/secrets/{name}", marks, name)


def _group(group: Any, marks: Marks) -> Resource:
    return _resource(
        "resource-group", group.id, marks, f"{group.name} with all that is in it", group.location
    )


def _resource(
    kind: str, id: str, marks: Marks, detail: str, region: str | None = None, price: float | None = None
) -> Resource:
    return Resource("azure", kind, id, marks.run, marks.hub, marks.expires, detail, price, region)


def _group_of(resource_id: str) -> str:
    """Return the resource group in an id, in lower case: Azure is not consistent about it."""
    parts = resource_id.lower().split("/")
    return parts[4] if len(parts) > 4 and parts[3] == "resourcegroups" else ""


def _type(resource_id: str) -> str:
    """Return the type in an id: `Microsoft.DevTestLab/schedules`."""
    namespace, *rest = resource_id.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *rest[::2]])
