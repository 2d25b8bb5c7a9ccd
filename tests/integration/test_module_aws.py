"""aws-hub through the real Terraform and the genuine schemas: what is made, with which tags, how it goes."""

from __future__ import annotations

import json
import random
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.module_workspace import Life, Workspace, has, last
from support.schema_replay import Fault, Replay

EXPIRES = "2026-11-26T06:00:00Z"
VARIABLES = {"mailbox": "s3://acme-mailbox/harchos", "expires": EXPIRES}
TAGS = {
    "harchos:run": "llm-0a1b2c",
    "harchos:hub": "llm-0a1b2c-h1",
    "harchos:expires": EXPIRES,
    "harchos:workload": "llm",
}
UNTAGGABLE = {"aws_route", "aws_route_table_association", "aws_iam_role_policy"}


def workspace(replay: Replay, folder: Path, part: str) -> Workspace:
    replay.answers["aws_ec2_instance_type"] = {
        "supported_architectures": ["x86_64"],
        "supported_placement_strategies": ["cluster", "partition", "spread"],
        "gpus": [{"count": 1, "manufacturer": "NVIDIA", "memory_size": 24576, "name": "L4"}],
    }
    replay.answers["aws_ssm_parameter"] = {"insecure_value": "ami-0123456789abcdef0"}
    return Workspace.of(replay, folder, "aws-hub", part, dict(VARIABLES))


@pytest.fixture
def complete(tmp_path: Path) -> Iterator[Workspace]:
    with Replay(providers=["aws"]) as replay:
        yield workspace(replay, tmp_path, "examples/complete")


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    with Replay(providers=["aws"]) as replay:
        return Life.lived_in(workspace(replay, tmp_path_factory.mktemp("aws"), "examples/complete"))


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_an_example_is_valid_is_made_stays_as_it_is_and_goes(example: str, tmp_path: Path) -> None:
    with Replay(providers=["aws"]) as replay:
        hub = workspace(replay, tmp_path, f"examples/{example}")
        hub.succeeds("validate")
        hub.succeeds("plan", "-out=plan.bin")
        hub.succeeds("show", "-json", "plan.bin")
        hub.succeeds("apply", "plan.bin")
        assert len(replay.world.existing) == len(replay.world.done("create")) > 0

        hub.succeeds("plan", "-detailed-exitcode")

        hub.succeeds("destroy", "-auto-approve")
        assert replay.world.existing == []


def test_the_module_s_own_tests_pass(tmp_path: Path) -> None:
    with Replay(providers=["aws"]) as replay:
        workspace(replay, tmp_path, ".").succeeds("test")


def test_a_hub_is_made_of_these(life: Life) -> None:
    assert Counter(call.type for call in life.created) == {
        "aws_vpc": 1,
        "aws_subnet": 1,
        "aws_internet_gateway": 1,
        "aws_route_table": 1,
        "aws_route": 1,
        "aws_route_table_association": 1,
        "aws_security_group": 1,
        "aws_vpc_security_group_ingress_rule": 2,
        "aws_vpc_security_group_egress_rule": 3,
        "aws_placement_group": 1,
        "aws_launch_template": 1,
        "aws_instance": 2,
        "aws_iam_role": 1,
        "aws_iam_role_policy": 2,
        "aws_iam_instance_profile": 1,
    }


def test_everything_that_can_have_tags_is_made_with_all_of_them(life: Life) -> None:
    for call in life.created:
        if has("aws", call.type, "tags"):
            assert call.values["tags"].items() >= TAGS.items(), call.type
        else:
            assert call.type in UNTAGGABLE


def test_what_a_launch_makes_beside_the_instance_is_tagged_by_the_launch(life: Life) -> None:
    for node in life.all("aws_instance"):
        assert node.values["volume_tags"].items() >= TAGS.items()
    by_template = {
        spec["resource_type"]: spec["tags"]
        for spec in life.one("aws_launch_template").values["tag_specifications"]
    }
    assert by_template.keys() == {"network-interface", "spot-instances-request"}
    assert all(tags.items() >= TAGS.items() for tags in by_template.values())


def test_nodes_are_made_last_and_go_first(life: Life) -> None:
    made = [call.type for call in life.created]
    first_node = made.index("aws_instance")
    for needed in ("aws_route", "aws_route_table_association", "aws_iam_role_policy"):
        assert last(made, needed) < first_node, needed
    assert last(made, "aws_vpc_security_group_egress_rule") < first_node

    gone = [call.type for call in life.deleted]
    last_node = last(gone, "aws_instance")
    kept = ("aws_route", "aws_iam_role_policy", "aws_iam_instance_profile", "aws_internet_gateway")
    for needed in (*kept, "aws_vpc_security_group_egress_rule"):
        assert gone.index(needed) > last_node, needed
    assert gone[-1] == "aws_vpc"
    assert Counter(gone) == Counter(made)


def test_nothing_comes_in_but_what_is_exposed_and_the_hub_s_own_nodes(life: Life) -> None:
    group = life.one("aws_security_group").id
    exposed, between = sorted(
        (call.values for call in life.all("aws_vpc_security_group_ingress_rule")),
        key=lambda rule: "referenced_security_group_id" in rule,
    )
    assert (exposed["from_port"], exposed["to_port"], exposed["cidr_ipv4"]) == (8000, 8000, "203.0.113.0/24")
    assert between["referenced_security_group_id"] == between["security_group_id"] == group
    assert "cidr_ipv4" not in between

    assert not {"ingress", "egress"} & life.one("aws_security_group").values.keys()


def test_only_the_web_is_reached_outside_of_the_hub(life: Life) -> None:
    outside = [
        (rule.values["ip_protocol"], rule.values["from_port"], rule.values["to_port"])
        for rule in life.all("aws_vpc_security_group_egress_rule")
        if "cidr_ipv4" in rule.values
    ]
    assert sorted(outside) == [("tcp", 80, 80), ("tcp", 443, 443)]


def test_a_node_that_powers_itself_off_leaves_neither_machine_nor_disk(life: Life) -> None:
    for node in life.all("aws_instance"):
        (disk,) = node.values["root_block_device"]
        assert node.values["instance_initiated_shutdown_behavior"] == "terminate"
        assert (disk["delete_on_termination"], disk["encrypted"], disk["volume_size"]) == (True, True, 200)
        assert EXPIRES in node.values["user_data"]


def test_the_role_holds_nothing_outside_of_the_run(life: Life) -> None:
    allowed = {
        resource
        for policy in life.all("aws_iam_role_policy")
        for statement in json.loads(policy.values["policy"])["Statement"]
        for resource in listed(statement["Resource"])
    }
    assert allowed == {
        "arn:aws:s3:::acme-mailbox/harchos/llm-0a1b2c/*",
        "arn:aws:s3:::acme-mailbox",
        "arn:aws:ssm:eu-north-1:123456789012:parameter/harchos/llm-0a1b2c/HF_TOKEN",
        "arn:aws:kms:eu-north-1:123456789012:key/*",
    }
    (mailbox,) = [p for p in life.all("aws_iam_role_policy") if p.values["name"] == "mailbox"]
    listing = json.loads(mailbox.values["policy"])["Statement"][1]
    assert listing["Action"] == "s3:ListBucket"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "harchos/llm-0a1b2c/*"}}


def test_a_newer_image_and_another_first_zone_leave_a_running_hub_alone(complete: Workspace) -> None:
    complete.succeeds("apply", "-auto-approve")
    complete.replay.answers["aws_ssm_parameter"] = {"insecure_value": "ami-0fedcba9876543210"}
    complete.replay.answers["aws_ec2_instance_type_offerings"] = {"locations": ["eu-north-1a", "eu-north-1b"]}
    complete.succeeds("plan", "-detailed-exitcode")


def test_user_data_above_what_ec2_takes_is_refused_before_anything_is_made(complete: Workspace) -> None:
    main = complete.folder / "main.tf"
    noise = "".join(random.Random(0).choices(string.ascii_letters, k=16_000))
    main.write_text(main.read_text().replace('AWS_REGION = "eu-west-1"', f'NOISE = "{noise}"'))

    refused = complete.terraform("plan")

    assert refused.returncode == 1
    assert "16 KiB" in refused.stderr
    assert complete.replay.world.done("create") == []


def test_a_launch_that_fails_leaves_nothing_once_it_is_destroyed(complete: Workspace) -> None:
    complete.replay.faults["aws_instance:create"] = Fault(
        error="creating EC2 Instance: InsufficientInstanceCapacity: no capacity in eu-north-1b"
    )

    failed = complete.terraform("apply", "-auto-approve")

    assert failed.returncode == 1
    assert "InsufficientInstanceCapacity" in failed.stderr
    left = complete.replay.world.existing
    assert all(r.tags.items() >= TAGS.items() for r in left if r.type not in UNTAGGABLE)
    assert len(left) > 0
    complete.succeeds("destroy", "-auto-approve")
    assert complete.replay.world.existing == []


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
