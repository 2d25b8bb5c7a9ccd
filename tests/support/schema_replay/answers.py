"""What a cloud would answer where a schema only says "computed"."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.schema_replay.schemas import AttributePath, Json

ACCOUNT = "123456789012"
PROJECT = "replay-project"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
_PRINCIPAL = "00000000-0000-0000-0000-000000000003"

Answers = dict[str, dict[str, Any]]
"""Values by type and dotted path: `{"aws_ami": {"image_id": "ami-1"}}`."""


@dataclass(frozen=True)
class Place:
    """What the configuration of the provider says of where things are."""

    region: str
    """AWS and Google region; Azure has none."""
    project: str


def answer(kind: str, path: AttributePath, attribute: Json, values: Json, place: Place, own: Answers) -> Any:
    """Return the value of a computed attribute that nobody set."""
    dotted = ".".join(path)
    for known in (own.get(kind, {}), _KNOWN.get(kind, {}), _everywhere(kind, place)):
        if dotted in known:
            found = known[dotted]
            return found(values, place) if callable(found) else found
    return _plausible(attribute["type"], f"{kind}-{'-'.join(path)}")


def identifier(kind: str, values: Json, serial: int, place: Place) -> str:
    """Return the id that a new resource gets, in the shape that its cloud gives ids."""
    if kind.startswith("azurerm_"):
        return _azure_id(kind, values, serial)
    name = values.get("name")
    if kind.startswith("google_"):
        where = values.get("zone") or values.get("region") or "global"
        if values.get("member"):
            target = values.get("bucket") or values.get("secret_id") or values.get("project") or place.project
            return f"{target}/{values['role']}/{values['member']}"
        owner = values.get("account_id") or values.get("secret_id") or name or serial
        return f"projects/{values.get('project') or place.project}/{where}/{kind[7:]}/{owner}"
    if kind in _NAMED_BY_NAME and isinstance(name, str):
        return name
    return f"{_AWS_PREFIX.get(kind, kind[4:].replace('_', '-'))}-{serial:017x}"


def _azure_id(kind: str, values: Json, serial: int) -> str:
    root = f"/subscriptions/{SUBSCRIPTION}"
    name = values.get("name") or f"{serial:08x}"
    if kind == "azurerm_resource_group":
        return f"{root}/resourceGroups/{name}"
    if kind == "azurerm_subnet":
        network = f"virtualNetworks/{values['virtual_network_name']}"
        return f"{root}/resourceGroups/{values['resource_group_name']}/{network}/subnets/{name}"
    scope = values.get("scope") or f"{root}/resourceGroups/{values.get('resource_group_name') or 'none'}"
    return f"{scope}/providers/Microsoft.Replay/{kind[8:]}/{name}"


def _plausible(kind: Any, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "number":
        return 1
    if kind == "bool":
        return False
    if kind == "dynamic":
        return None
    if kind[0] in ("list", "set"):
        return [text] if kind[1] == "string" else []
    if kind[0] == "object":
        return {name: _plausible(each, f"{text}-{name}") for name, each in kind[1].items()}
    return {} if kind[0] == "map" else []


def _everywhere(kind: str, place: Place) -> dict[str, Any]:
    if kind.startswith("aws_"):
        return {
            "region": place.region,
            "arn": lambda v, p: f"arn:aws:replay:{p.region}:{ACCOUNT}:{v.get('id') or v.get('name') or kind}",
            "owner_id": ACCOUNT,
            "tags_all": lambda v, p: v.get("tags") or {},
            "private_ip": "10.0.0.10",
            "public_ip": "203.0.113.10",
            "availability_zone": lambda v, p: f"{p.region}a",
        }
    if kind.startswith("google_"):
        return {
            "project": place.project,
            "region": place.region,
            "zone": f"{place.region}-a",
            "self_link": lambda v, p: f"https://www.googleapis.com/compute/v1/{v.get('id')}",
            "effective_labels": lambda v, p: v.get("labels") or {},
            "terraform_labels": lambda v, p: v.get("labels") or {},
        }
    return {"tenant_id": TENANT, "subscription_id": SUBSCRIPTION, "principal_id": _PRINCIPAL}


def _policy_document(values: Json, place: Place) -> str:
    """Return the JSON of an aws_iam_policy_document, with what is needed to read it in a test."""
    statements = []
    for block in values.get("statement") or []:
        statement = {
            "Effect": block.get("effect") or "Allow",
            "Action": block.get("actions") or [],
            "NotAction": block.get("not_actions") or [],
            "Resource": block.get("resources") or [],
            "Principal": {p["type"]: p["identifiers"] for p in block.get("principals") or []},
            "Condition": {c["test"]: {c["variable"]: c["values"]} for c in block.get("condition") or []},
            "Sid": block.get("sid") or "",
        }
        statements.append({key: value for key, value in statement.items() if value})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _zones(values: Json, place: Place) -> list[str]:
    return [f"{place.region}{letter}" for letter in "abc"]


def _offered_in(values: Json, place: Place) -> list[str]:
    return _zones(values, place) if values.get("location_type") == "availability-zone" else [place.region]


_Derived = Callable[[Json, Place], Any]

_KNOWN: dict[str, dict[str, Any | _Derived]] = {
    "aws_ami": {
        "id": "ami-0123456789abcdef0",
        "image_id": "ami-0123456789abcdef0",
        "architecture": "x86_64",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "virtualization_type": "hvm",
        "state": "available",
        "block_device_mappings": [],
    },
    "aws_availability_zones": {
        "id": lambda v, p: p.region,
        "names": _zones,
        "zone_ids": lambda v, p: [f"{p.region}-az{n}" for n in (1, 2, 3)],
    },
    "aws_caller_identity": {
        "id": ACCOUNT,
        "account_id": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/replay",
    },
    "aws_partition": {
        "id": "aws",
        "partition": "aws",
        "dns_suffix": "amazonaws.com",
        "reverse_dns_prefix": "com.amazonaws",
    },
    "aws_region": {
        "id": lambda v, p: v.get("region") or p.region,
        "name": lambda v, p: v.get("region") or p.region,
        "region": lambda v, p: v.get("name") or p.region,
    },
    "aws_iam_policy_document": {"json": _policy_document, "minified_json": _policy_document},
    "aws_ec2_instance_type_offerings": {
        "locations": _offered_in,
        "location_types": lambda v, p: [v.get("location_type") or "region"] * len(_offered_in(v, p)),
        "instance_types": lambda v, p: [
            one for f in v.get("filter") or [] if f["name"] == "instance-type" for one in f["values"]
        ],
    },
    "aws_subnets": {"ids": ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]},
    "aws_vpc": {"cidr_block": "10.0.0.0/16"},
    "google_compute_zones": {"names": lambda v, p: [f"{v.get('region') or p.region}-{z}" for z in "abc"]},
    "google_client_config": {"access_token": "replayed-token"},
    "google_service_account": {
        "email": lambda v, p: f"{v['account_id']}@{v.get('project') or p.project}.iam.gserviceaccount.com",
        "member": lambda v, p: (
            f"serviceAccount:{v['account_id']}@{v.get('project') or p.project}.iam.gserviceaccount.com"
        ),
    },
    "google_project": {"number": "123456789012", "project_id": lambda v, p: v.get("project_id") or p.project},
    "azurerm_client_config": {"object_id": _PRINCIPAL, "client_id": _PRINCIPAL},
    "azurerm_user_assigned_identity": {"client_id": _PRINCIPAL},
    "azurerm_public_ip": {"ip_address": "203.0.113.20"},
    "azurerm_network_interface": {"private_ip_address": "10.0.0.20", "private_ip_addresses": ["10.0.0.20"]},
    "azurerm_linux_virtual_machine": {"private_ip_address": "10.0.0.20", "public_ip_address": ""},
}

_AWS_PREFIX = {
    "aws_instance": "i",
    "aws_vpc": "vpc",
    "aws_subnet": "subnet",
    "aws_security_group": "sg",
    "aws_vpc_security_group_ingress_rule": "sgr",
    "aws_vpc_security_group_egress_rule": "sgr",
    "aws_internet_gateway": "igw",
    "aws_route_table": "rtb",
    "aws_route_table_association": "rtbassoc",
    "aws_route": "r",
    "aws_launch_template": "lt",
    "aws_network_interface": "eni",
    "aws_eip": "eipalloc",
    "aws_ebs_volume": "vol",
    "aws_spot_instance_request": "sir",
    "aws_vpc_endpoint": "vpce",
    "aws_nat_gateway": "nat",
}
_NAMED_BY_NAME = {
    "aws_iam_role",
    "aws_iam_instance_profile",
    "aws_placement_group",
    "aws_key_pair",
    "aws_s3_bucket",
}
