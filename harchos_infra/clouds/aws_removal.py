"""Deletes what the listing shows on AWS, one resource at a time, whatever state it is found in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harchos_infra.clouds.aws_session import AwsError, AwsSession
from harchos_infra.clouds.cloud import Resource
from harchos_infra.errors import HarchosError

_GONE = frozenset({"NoSuchEntity", "ParameterNotFound", "InvalidPlacementGroup.Unknown"})
_IN_USE = frozenset(
    {
        "DependencyViolation",
        "DeleteConflict",
        "VolumeInUse",
        "InvalidNetworkInterface.InUse",
        "InvalidPlacementGroup.InUse",
        "InvalidIPAddress.InUse",
        "IncorrectState",
    }
)
"""What AWS says while something that is being deleted still holds on to the resource."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a deletion may take: machines with many GPUs need minutes to end."""

    wait_s: float = 900.0
    poll_s: float = 5.0


class Removal:
    """Deletes resources of any kind that the listing knows."""

    def __init__(self, session: AwsSession, patience: Patience) -> None:
        self._session = session
        self._patience = patience
        self._ways: dict[str, Callable[[Resource], None]] = {
            "spot-request": self._spot_request,
            "instance": self._instance,
            "address": self._address,
            "network-interface": self._network_interface,
            "volume": self._volume,
            "route-table": self._route_table,
            "internet-gateway": self._internet_gateway,
            "instance-profile": self._instance_profile,
            "role": self._role,
            "security-group": self._ec2("delete_security_group", "GroupId"),
            "subnet": self._ec2("delete_subnet", "SubnetId"),
            "vpc": self._ec2("delete_vpc", "VpcId"),
            "launch-template": self._ec2("delete_launch_template", "LaunchTemplateId"),
            "placement-group": self._ec2("delete_placement_group", "GroupName"),
            "key-pair": self._ec2("delete_key_pair", "KeyPairId"),
            "parameter": self._parameter,
        }

    def delete(self, resource: Resource) -> None:
        """Delete one resource and what only it holds on to; one that is gone already is no error.

        Waits while others that are being deleted still hold on to it. Raises HarchosError when it is still
        there when patience ends, or AWS refuses.
        """
        way = self._ways.get(resource.kind)
        if way is None:
            raise HarchosError(f"AWS: no way is known to delete a {resource.kind} ({resource.id})")
        until = time.monotonic() + self._patience.wait_s
        while True:
            try:
                way(resource)
                return
            except AwsError as error:
                if error.code in _GONE or "NotFound" in error.code:
                    return
                if not _is_in_use(error) or time.monotonic() >= until:
                    raise AwsError(
                        f"{resource.kind} {resource.id} of {resource.hub} is still there: {error.what}",
                        hint=error.hint,
                        code=error.code,
                    ) from error
            time.sleep(self._patience.poll_s)

    def _call(self, resource: Resource, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._session.call("ec2", _region(resource), operation, **arguments)

    def _iam(self, operation: str, **arguments: Any) -> None:
        self._session.call("iam", self._session.home_region, operation, **arguments)

    def _iam_items(self, operation: str, key: str, **arguments: Any) -> list[Any]:
        return self._session.items("iam", self._session.home_region, operation, key, **arguments)

    def _ec2(self, operation: str, key: str) -> Callable[[Resource], None]:
        def way(resource: Resource) -> None:
            self._call(resource, operation, **{key: resource.id})

        return way

    def _spot_request(self, resource: Resource) -> None:
        self._call(resource, "cancel_spot_instance_requests", SpotInstanceRequestIds=[resource.id])

    def _instance(self, resource: Resource) -> None:
        """Terminate and wait for it: until then it may be billed, and holds on to everything else."""
        self._call(resource, "terminate_instances", InstanceIds=[resource.id])
        until = time.monotonic() + self._patience.wait_s
        while True:
            answer = self._call(resource, "describe_instances", InstanceIds=[resource.id])
            states = {i["State"]["Name"] for r in answer["Reservations"] for i in r["Instances"]}
            if states <= {"terminated"}:
                return
            if time.monotonic() >= until:
                raise AwsError(
                    f"AWS {resource.region}: not terminated after {self._patience.wait_s:.0f} s "
                    f"({', '.join(sorted(states))})",
                    hint="it may still be billed: run the command again, or look at it in the EC2 console",
                )
            time.sleep(self._patience.poll_s)

    def _address(self, resource: Resource) -> None:
        answer = self._call(resource, "describe_addresses", AllocationIds=[resource.id])
        for address in answer["Addresses"]:
            if address.get("AssociationId"):
                self._call(resource, "disassociate_address", AssociationId=address["AssociationId"])
        self._call(resource, "release_address", AllocationId=resource.id)

    def _network_interface(self, resource: Resource) -> None:
        answer = self._call(resource, "describe_network_interfaces", NetworkInterfaceIds=[resource.id])
        for interface in answer["NetworkInterfaces"]:
            attachment = interface.get("Attachment") or {}
            # The first interface of an instance cannot be detached: it goes with its instance.
            if attachment.get("AttachmentId") and attachment.get("DeviceIndex", 0) > 0:
                self._call(
                    resource,
                    "detach_network_interface",
                    AttachmentId=attachment["AttachmentId"],
                    Force=True,
                )
        self._call(resource, "delete_network_interface", NetworkInterfaceId=resource.id)

    def _volume(self, resource: Resource) -> None:
        answer = self._call(resource, "describe_volumes", VolumeIds=[resource.id])
        for volume in answer["Volumes"]:
            if any(a.get("State") in ("attached", "busy") for a in volume.get("Attachments", [])):
                self._call(resource, "detach_volume", VolumeId=resource.id, Force=True)
        self._call(resource, "delete_volume", VolumeId=resource.id)

    def _route_table(self, resource: Resource) -> None:
        answer = self._call(resource, "describe_route_tables", RouteTableIds=[resource.id])
        for table in answer["RouteTables"]:
            for association in table.get("Associations", []):
                self._call(
                    resource,
                    "disassociate_route_table",
                    AssociationId=association["RouteTableAssociationId"],
                )
        self._call(resource, "delete_route_table", RouteTableId=resource.id)

    def _internet_gateway(self, resource: Resource) -> None:
        answer = self._call(resource, "describe_internet_gateways", InternetGatewayIds=[resource.id])
        for gateway in answer["InternetGateways"]:
            for attachment in gateway.get("Attachments", []):
                self._call(
                    resource,
                    "detach_internet_gateway",
                    InternetGatewayId=resource.id,
                    VpcId=attachment["VpcId"],
                )
        self._call(resource, "delete_internet_gateway", InternetGatewayId=resource.id)

    def _instance_profile(self, resource: Resource) -> None:
        name = resource.id
        answer = self._session.call(
            "iam", self._session.home_region, "get_instance_profile", InstanceProfileName=name
        )
        for role in answer["InstanceProfile"]["Roles"]:
            self._iam(
                "remove_role_from_instance_profile", InstanceProfileName=name, RoleName=role["RoleName"]
            )
        self._iam("delete_instance_profile", InstanceProfileName=name)

    def _role(self, resource: Resource) -> None:
        name = resource.id
        for profile in self._iam_items("list_instance_profiles_for_role", "InstanceProfiles", RoleName=name):
            self._iam(
                "remove_role_from_instance_profile",
                InstanceProfileName=profile["InstanceProfileName"],
                RoleName=name,
            )
        for policy in self._iam_items("list_role_policies", "PolicyNames", RoleName=name):
            self._iam("delete_role_policy", RoleName=name, PolicyName=policy)
        for policy in self._iam_items("list_attached_role_policies", "AttachedPolicies", RoleName=name):
            self._iam("detach_role_policy", RoleName=name, PolicyArn=policy["PolicyArn"])
        self._iam("delete_role", RoleName=name)

    def _parameter(self, resource: Resource) -> None:
        self._session.call("ssm", _region(resource), "delete_parameter", Name=resource.id)


def _is_in_use(error: AwsError) -> bool:
    said_in_words = error.code == "InvalidParameterValue" and "in use" in error.what
    return error.code in _IN_USE or said_in_words


def _region(resource: Resource) -> str:
    if resource.region is None:
        raise HarchosError(f"AWS: the region of {resource.kind} {resource.id} is not known")
    return resource.region
