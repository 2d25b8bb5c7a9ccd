"""Everything on AWS that carries our tags, in the order in which it can be deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.aws_prices import volume_usd_hour
from harchos_infra.clouds.aws_session import AwsError, AwsSession
from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.list_price import list_price_usd_hour

NO_HUB = "-"
"""Hub of what belongs to a run as a whole: its secrets."""
SECRETS = "/harchos/"
"""Path of our parameters in SSM, `/harchos/<run>/<NAME>`."""
PUBLIC_ADDRESS_USD_HOUR = 0.005
"""Of any public IPv4 address, in use or idle, in every commercial region since February 2024."""

Described = Mapping[str, Any]
_OUR_NAMES = "harchos-"
_RENTED_STATES = ("pending", "running", "stopping")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of EC2 resource: how it is asked for, and which of what comes back counts."""

    name: str
    operation: str
    key: str
    id: str
    counts: Callable[[Described], bool] = lambda _: True
    detail: Callable[[Described], str] = lambda _: ""


def _is_main(table: Described) -> bool:
    return any(association.get("Main") for association in table.get("Associations", []))


_KINDS = (
    _Kind(
        "spot-request",
        "describe_spot_instance_requests",
        "SpotInstanceRequests",
        "SpotInstanceRequestId",
        lambda request: request["State"] in ("open", "active", "disabled"),
        lambda request: str(request["State"]),
    ),
    _Kind(
        "instance",
        "describe_instances",
        "Reservations",
        "InstanceId",
        lambda instance: instance["State"]["Name"] != "terminated",
        lambda instance: f"{instance['InstanceType']} {instance['State']['Name']}",
    ),
    _Kind(
        "address",
        "describe_addresses",
        "Addresses",
        "AllocationId",
        detail=lambda address: str(address.get("PublicIp", "")),
    ),
    _Kind(
        "network-interface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        detail=lambda interface: str(interface.get("Status", "")),
    ),
    _Kind(
        "volume",
        "describe_volumes",
        "Volumes",
        "VolumeId",
        lambda volume: volume["State"] not in ("deleting", "deleted"),
        lambda volume: f"{volume['Size']} GiB {volume['VolumeType']}",
    ),
    _Kind(
        "security-group",
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        lambda group: group["GroupName"] != "default",
        lambda group: str(group["GroupName"]),
    ),
    _Kind("subnet", "describe_subnets", "Subnets", "SubnetId", detail=lambda s: str(s["CidrBlock"])),
    _Kind(
        "route-table",
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        lambda table: not _is_main(table),
    ),
    _Kind("internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    _Kind("vpc", "describe_vpcs", "Vpcs", "VpcId", detail=lambda vpc: str(vpc["CidrBlock"])),
    _Kind(
        "launch-template",
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
        detail=lambda template: str(template["LaunchTemplateName"]),
    ),
    _Kind(
        "placement-group",
        "describe_placement_groups",
        "PlacementGroups",
        "GroupName",
        lambda group: group.get("State") not in ("deleting", "deleted"),
    ),
    _Kind(
        "key-pair",
        "describe_key_pairs",
        "KeyPairs",
        "KeyPairId",
        detail=lambda pair: str(pair["KeyName"]),
    ),
)
_GLOBAL = ("instance-profile", "role")
ORDER = {name: place for place, name in enumerate((*(k.name for k in _KINDS), *_GLOBAL, "parameter"))}
"""What must go first comes first."""


def list_resources(
    session: AwsSession, regions: Sequence[str], *, run: str | None = None, hub: str | None = None
) -> list[Resource]:
    """Return what is ours in `regions` and in IAM, of one run or hub if named.

    A run's secrets belong to none of its hubs: they are left out where a hub is named.
    """

    def ask(region: str) -> list[Resource]:
        found = [
            resource for kind in _KINDS for resource in _of_kind(session, region, kind, run=run, hub=hub)
        ]
        return found if hub is not None else [*found, *_parameters(session, region, run)]

    found = [resource for part in session.each_region(regions, ask) for resource in part]
    found += [
        resource
        for resource in _identities(session)
        if run in (None, resource.run) and hub in (None, resource.hub)
    ]
    return sorted(found, key=lambda r: (ORDER[r.kind], r.region or "", r.hub, r.id))


def _of_kind(
    session: AwsSession, region: str, kind: _Kind, *, run: str | None, hub: str | None
) -> Iterator[Resource]:
    wanted = [{"Name": f"tag:harchos:{key}", "Values": [v]} for key, v in (("run", run), ("hub", hub)) if v]
    filters = wanted or [{"Name": "tag-key", "Values": ["harchos:hub", "harchos:run"]}]
    listed = session.items("ec2", region, kind.operation, kind.key, Filters=filters)
    if kind.name == "instance":
        listed = [instance for reservation in listed for instance in reservation["Instances"]]
    for item in listed:
        tags = _tags(item.get("Tags") or item.get("TagSet") or [])
        if kind.counts(item) and ("harchos:hub" in tags or "harchos:run" in tags):
            price = _price(session, region, kind.name, item)
            yield _resource(kind.name, str(item[kind.id]), tags, region, kind.detail(item), price)


def _parameters(session: AwsSession, region: str, run: str | None) -> Iterator[Resource]:
    path = f"{SECRETS}{run}" if run else SECRETS.rstrip("/")
    filters = [{"Key": "Path", "Option": "Recursive", "Values": [path]}]
    for item in session.items("ssm", region, "describe_parameters", "Parameters", ParameterFilters=filters):
        name = str(item["Name"])
        answer = session.call(
            "ssm", region, "list_tags_for_resource", ResourceType="Parameter", ResourceId=name
        )
        tags = {"harchos:run": name.split("/")[2], **_tags(answer.get("TagList", []))}
        yield _resource("parameter", name, tags, region, str(item.get("Type", "")), None)


def _identities(session: AwsSession) -> Iterator[Resource]:
    """Yield our instance profiles and roles; IAM cannot filter by tag, so our names are looked through."""
    for item in session.items("iam", session.home_region, "list_instance_profiles", "InstanceProfiles"):
        name = str(item["InstanceProfileName"])
        if name.startswith(_OUR_NAMES):
            tags = _tags_of(session, "get_instance_profile", "InstanceProfile", InstanceProfileName=name)
            yield from _identity("instance-profile", name, tags)
    for item in session.items("iam", session.home_region, "list_roles", "Roles"):
        name = str(item["RoleName"])
        if name.startswith(_OUR_NAMES):
            yield from _identity("role", name, _tags_of(session, "get_role", "Role", RoleName=name))


def _tags_of(session: AwsSession, operation: str, key: str, **name: str) -> dict[str, str]:
    """Return the tags of something in IAM; none where it vanished since it was listed."""
    try:
        answer = session.call("iam", session.home_region, operation, **name)
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return {}
        raise
    return _tags(answer[key].get("Tags", []))


def _identity(kind: str, name: str, tags: Mapping[str, str]) -> Iterator[Resource]:
    if "harchos:hub" in tags:
        yield _resource(kind, name, tags, None, "", None)


def _resource(
    kind: str, id: str, tags: Mapping[str, str], region: str | None, detail: str, price: float | None
) -> Resource:
    hub = tags.get("harchos:hub", NO_HUB)
    run = tags.get("harchos:run") or hub.rpartition("-h")[0] or hub
    expires = _time(tags.get("harchos:expires"))
    return Resource("aws", kind, id, run, hub, expires, detail, price, region)


def _tags(pairs: Iterable[Described]) -> dict[str, str]:
    return {str(pair["Key"]): str(pair["Value"]) for pair in pairs}


def _time(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _price(session: AwsSession, region: str, kind: str, item: Described) -> float | None:
    """Return USD per hour of what is billed by itself; None for the rest, and where no price is told."""
    if kind == "instance" and item["State"]["Name"] in _RENTED_STATES:
        market: Market = "spot" if item.get("InstanceLifecycle") == "spot" else "on-demand"
        return list_price_usd_hour("aws", region, str(item["InstanceType"]), market)
    if kind == "address":
        return PUBLIC_ADDRESS_USD_HOUR
    if kind == "volume":
        try:
            return volume_usd_hour(session, region, str(item["VolumeType"]), float(item["Size"]))
        except AwsError:
            return None
    return None
