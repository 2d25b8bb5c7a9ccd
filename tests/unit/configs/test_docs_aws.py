"""docs/clouds/aws.md says what the policy, the module and the catalogue say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harchos_infra.catalog.catalog import Catalog
from harchos_infra.share import share_directory

PAGE = (Path(__file__).parents[3] / "docs" / "clouds" / "aws.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    table = re.search(r"^\|.*?\n\n", PAGE[PAGE.index(f"\n## {heading}") :], re.M | re.S)
    assert table is not None
    lines = table[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_statement_of_the_policy_is_explained() -> None:
    policy = share_directory("configs") / "iam" / "aws-controller-policy.json"
    statements = {one["Sid"] for one in json.loads(policy.read_text(encoding="utf-8"))["Statement"]}
    explained = {name for row in rows("Permissions") for name in re.findall(r"`(\w+)`", row[0])}
    assert explained == statements


@pytest.mark.parametrize(
    ("instance_type", "hour", "day"),
    [
        (found[1], row[1], row[2])
        for row in rows("What an idle mistake costs")
        if (found := re.match(r"`(\w+\.\w+)`", row[0]))
    ],
)
def test_what_a_forgotten_node_costs_is_the_catalogue_s_price(
    instance_type: str, hour: str, day: str
) -> None:
    (price,) = {
        offer.price_usd_hour
        for offer in Catalog.builtin().offers
        if (offer.region, offer.instance_type, offer.market) == ("us-east-1", instance_type, "on-demand")
    }
    assert hour == f"{price:.2f}"
    assert day == f"{24 * price:,.2f}"


def test_everything_that_the_module_makes_is_removed_by_hand_too() -> None:
    module = (share_directory("terraform") / "modules" / "aws-hub" / "main.tf").read_text(encoding="utf-8")
    removed_with = {
        "aws_route": "delete-route-table",
        "aws_route_table_association": "disassociate-route-table",
        "aws_vpc_security_group_ingress_rule": "delete-security-group",
        "aws_vpc_security_group_egress_rule": "delete-security-group",
        "aws_instance": "terminate-instances",
        "aws_iam_role_policy": "delete-role-policy",
    }
    for kind in set(re.findall(r'^resource "(\w+)"', module, re.M)):
        usual = "delete-" + kind.removeprefix("aws_").removeprefix("iam_").replace("_", "-")
        assert f"aws ec2 {removed_with.get(kind, usual)} " in PAGE.replace("aws iam", "aws ec2"), kind
