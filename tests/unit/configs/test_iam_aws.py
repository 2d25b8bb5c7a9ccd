"""configs/iam/aws-*.json: what the policies allow, asked as AWS would be asked."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import harchos_infra
from harchos_infra.share import share_directory

ACCOUNT = "123456789012"
OURS = {"aws:ResourceTag/harchos:run": "digits-0a1b2c"}
TAGGED = {"aws:RequestTag/harchos:run": "digits-0a1b2c"}
MANAGED_POLICY_LIMIT = 6144

CALLS = {
    "aws_vpc": {"ec2:CreateVpc", "ec2:DescribeVpcs", "ec2:DescribeVpcAttribute", "ec2:DeleteVpc"},
    "aws_subnet": {"ec2:CreateSubnet", "ec2:DescribeSubnets", "ec2:DeleteSubnet"},
    "aws_internet_gateway": {
        "ec2:CreateInternetGateway",
        "ec2:AttachInternetGateway",
        "ec2:DescribeInternetGateways",
        "ec2:DetachInternetGateway",
        "ec2:DeleteInternetGateway",
    },
    "aws_route_table": {"ec2:CreateRouteTable", "ec2:DescribeRouteTables", "ec2:DeleteRouteTable"},
    "aws_route": {"ec2:CreateRoute", "ec2:DeleteRoute"},
    "aws_route_table_association": {"ec2:AssociateRouteTable", "ec2:DisassociateRouteTable"},
    "aws_security_group": {
        "ec2:CreateSecurityGroup",
        "ec2:DescribeSecurityGroups",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:DeleteSecurityGroup",
    },
    "aws_vpc_security_group_ingress_rule": {
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DescribeSecurityGroupRules",
        "ec2:RevokeSecurityGroupIngress",
    },
    "aws_vpc_security_group_egress_rule": {
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:DescribeSecurityGroupRules",
        "ec2:RevokeSecurityGroupEgress",
    },
    "aws_placement_group": {
        "ec2:CreatePlacementGroup",
        "ec2:DescribePlacementGroups",
        "ec2:DeletePlacementGroup",
    },
    "aws_launch_template": {
        "ec2:CreateLaunchTemplate",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DeleteLaunchTemplate",
    },
    "aws_instance": {
        "ec2:RunInstances",
        "ec2:CreateTags",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeVolumes",
        "ec2:DescribeImages",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:ModifyInstanceAttribute",
        "ec2:TerminateInstances",
        "iam:PassRole",
    },
    "aws_iam_role": {"iam:CreateRole", "iam:GetRole", "iam:TagRole", "iam:DeleteRole"},
    "aws_iam_role_policy": {"iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"},
    "aws_iam_instance_profile": {
        "iam:CreateInstanceProfile",
        "iam:AddRoleToInstanceProfile",
        "iam:GetInstanceProfile",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:DeleteInstanceProfile",
    },
}
"""What the provider calls for each type of resource of the module."""


SERVICES = {
    "ec2": "ec2",
    "iam": "iam",
    "pricing": "pricing",
    "s3": "s3",
    "service-quotas": "servicequotas",
    "ssm": "ssm",
    "sts": "sts",
}
"""Services that harchos calls, with the prefix of their actions."""
SAME_RIGHT = {"s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket"}
NEEDS_NO_PERMISSION = {"sts:GetCallerIdentity"}


class Policy:
    def __init__(self, name: str) -> None:
        text = (share_directory("configs") / "iam" / name).read_text(encoding="utf-8")
        self.document: dict[str, Any] = json.loads(text)
        self.statements: list[dict[str, Any]] = self.document["Statement"]

    def actions(self) -> set[str]:
        return {action for statement in self.statements for action in listed(statement["Action"])}

    def allows(self, action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
        return any(
            any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
            and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
            and met(statement.get("Condition", {}), context or {})
            for statement in self.statements
        )


def met(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    assert condition.keys() <= {"StringEquals", "StringLike"}
    return all(
        any(fnmatchcase(context[key], pattern) for pattern in listed(patterns))
        for operator in condition.values()
        for key, patterns in operator.items()
        if key in context
    ) and all(key in context for operator in condition.values() for key in operator)


def called_by_harchos() -> dict[str, set[str]]:
    """The operations of AWS that the code names, each with the actions that it may be, one a service."""
    folder = Path(harchos_infra.__file__).parent / "clouds"
    code = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*aws*.py"))
    session = botocore.session.get_session()
    called: dict[str, set[str]] = defaultdict(set)
    for service, prefix in SERVICES.items():
        for operation in session.get_service_model(service).operation_names:
            if re.search(rf"\b{xform_name(operation)}\b", code):
                action = f"{prefix}:{operation}"
                called[xform_name(operation)].add(SAME_RIGHT.get(action, action))
    return called


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def ec2(kind: str) -> str:
    return f"arn:aws:ec2:eu-north-1:{ACCOUNT}:{kind}/{kind}-0123456789abcdef0"


@pytest.fixture
def controller() -> Policy:
    return Policy("aws-controller-policy.json")


@pytest.fixture
def boundary() -> Policy:
    return Policy("aws-hub-boundary.json")


def test_the_policies_fit_into_a_managed_policy(controller: Policy, boundary: Policy) -> None:
    for policy in (controller, boundary):
        assert len(json.dumps(policy.document, separators=(",", ":"))) <= MANAGED_POLICY_LIMIT


def test_each_resource_of_the_module_can_be_made_and_deleted(controller: Policy) -> None:
    main = (share_directory("terraform") / "modules" / "aws-hub" / "main.tf").read_text(encoding="utf-8")
    kinds = set(re.findall(r'^resource "(\w+)"', main, re.M))
    assert kinds == CALLS.keys()
    assert set().union(*CALLS.values()) - controller.actions() == set()


def test_each_call_of_harchos_itself_is_allowed(controller: Policy) -> None:
    called = called_by_harchos()
    assert {"terminate_instances", "delete_role", "get_products"} <= called.keys()
    allowed = controller.actions() | NEEDS_NO_PERMISSION
    assert [operation for operation, actions in called.items() if not actions & allowed] == []


def test_on_everything_there_is_only_looking(controller: Policy) -> None:
    everywhere = [s for s in controller.statements if "*" in listed(s["Resource"])]
    looking = re.compile(r"^\w+:(Describe|List|Get|Simulate)[A-Za-z]+$")
    assert everywhere
    assert [a for s in everywhere for a in listed(s["Action"]) if not looking.match(a)] == []


def test_no_action_is_a_pattern(controller: Policy, boundary: Policy) -> None:
    assert [a for policy in (controller, boundary) for a in policy.actions() if "*" in a] == []


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("ec2:TerminateInstances", "instance"),
        ("ec2:DeleteVolume", "volume"),
        ("ec2:DeleteVpc", "vpc"),
        ("ec2:DeleteSecurityGroup", "security-group"),
        ("ec2:AuthorizeSecurityGroupIngress", "security-group"),
        ("ec2:CreateTags", "instance"),
        ("ec2:CreateTags", "security-group"),
        ("ec2:RunInstances", "subnet"),
        ("ec2:CreateSubnet", "vpc"),
        ("ec2:CancelSpotInstanceRequests", "spot-instances-request"),
    ],
)
def test_what_carries_our_tag_is_ours_and_nothing_else(controller: Policy, action: str, kind: str) -> None:
    assert controller.allows(action, ec2(kind), OURS)
    assert not controller.allows(action, ec2(kind))
    assert not controller.allows(action, ec2(kind), {"aws:ResourceTag/team": "research"})


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("ec2:RunInstances", "instance"),
        ("ec2:RunInstances", "volume"),
        ("ec2:CreateVpc", "vpc"),
        ("ec2:CreateSubnet", "subnet"),
        ("ec2:CreateSecurityGroup", "security-group"),
        ("ec2:CreateLaunchTemplate", "launch-template"),
        ("ec2:CreatePlacementGroup", "placement-group"),
    ],
)
def test_nothing_is_made_without_our_tag(controller: Policy, action: str, kind: str) -> None:
    assert controller.allows(action, ec2(kind), TAGGED)
    assert not controller.allows(action, ec2(kind))


def test_a_tag_is_given_to_what_is_being_made_not_to_what_is_there(controller: Policy) -> None:
    assert controller.allows("ec2:CreateTags", ec2("vpc"), {**TAGGED, "ec2:CreateAction": "CreateVpc"})
    assert not controller.allows("ec2:CreateTags", ec2("vpc"), TAGGED)


def test_hubs_get_roles_of_ours_and_no_other_service_does(controller: Policy) -> None:
    ours, other = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("harchos-digits-0a1b2c-h1", "admin"))
    to_ec2 = {"iam:PassedToService": "ec2.amazonaws.com"}
    assert controller.allows("iam:PassRole", ours, to_ec2)
    assert not controller.allows("iam:PassRole", ours, {"iam:PassedToService": "lambda.amazonaws.com"})
    assert not controller.allows("iam:PassRole", other, to_ec2)
    assert controller.allows("iam:PutRolePolicy", ours)
    assert not controller.allows("iam:PutRolePolicy", other)
    assert not controller.allows("iam:PutUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/harchos-me")


def test_only_our_secrets_are_written_and_none_are_read(controller: Policy) -> None:
    ours, other = (f"arn:aws:ssm:eu-north-1:{ACCOUNT}:parameter/{name}" for name in ("harchos/r/T", "prod/T"))
    image = "arn:aws:ssm:eu-north-1::parameter/aws/service/canonical/ubuntu/server/24.04/stable/x/ami-id"
    assert controller.allows("ssm:PutParameter", ours)
    assert not controller.allows("ssm:PutParameter", other)
    assert controller.allows("ssm:GetParameter", image)
    assert not controller.allows("ssm:GetParameter", ours)


def test_only_the_mailbox_is_written(controller: Policy) -> None:
    assert controller.allows("s3:PutObject", "arn:aws:s3:::BUCKET/digits-0a1b2c/job.json")
    assert not controller.allows("s3:PutObject", "arn:aws:s3:::backups/digits-0a1b2c/job.json")
    assert not controller.allows("s3:DeleteBucket", "arn:aws:s3:::BUCKET")


def test_the_boundary_leaves_a_hub_what_the_module_gives_it(boundary: Policy) -> None:
    parameter = f"arn:aws:ssm:eu-north-1:{ACCOUNT}:parameter/harchos/digits-0a1b2c/HF_TOKEN"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
        assert boundary.allows(action, "arn:aws:s3:::BUCKET/harchos/digits-0a1b2c/h1/job.json")
    assert boundary.allows("s3:ListBucket", "arn:aws:s3:::BUCKET")
    assert boundary.allows("ssm:GetParameter", parameter)
    through_ssm = {
        "kms:ViaService": "ssm.eu-north-1.amazonaws.com",
        "kms:EncryptionContext:PARAMETER_ARN": parameter,
    }
    key = f"arn:aws:kms:eu-north-1:{ACCOUNT}:key/0a1b2c3d"
    assert boundary.allows("kms:Decrypt", key, through_ssm)
    assert not boundary.allows("kms:Decrypt", key)
    assert not boundary.allows("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/me")


def test_no_account_and_no_bucket_of_anyone_is_in_the_files() -> None:
    for file in sorted(Path(share_directory("configs") / "iam").glob("aws-*.json")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\d{12}", text)
        assert set(re.findall(r"arn:aws:s3:::([^/\"]+)", text)) == {"BUCKET"}
