"""AWS as a cloud, over real sockets: who we are, what is ours, that it goes, what is offered and allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harchos_infra.clouds import aws_checks
from harchos_infra.clouds.aws import AwsCloud
from harchos_infra.clouds.aws_removal import Patience
from harchos_infra.clouds.aws_session import AwsError
from harchos_infra.clouds.cloud import Finding, rented_cloud, require_same_account
from harchos_infra.errors import HarchosError
from support.aws_hub import IMAGE, client, make_hub, pairs, tags
from support.aws_server import ACCOUNT, AwsServer

HUB = "job-0a1b2c-h1"


@pytest.fixture
def cloud() -> AwsCloud:
    return AwsCloud(patience=Patience(wait_s=5.0, poll_s=0.02))


def kinds(cloud: AwsCloud, **which: str) -> list[str]:
    return [resource.kind for resource in cloud.list(**which)]


def remove_all(cloud: AwsCloud) -> None:
    for resource in cloud.list():
        cloud.delete(resource)


def test_the_account_is_named_with_who_acts_in_it(aws: AwsServer) -> None:
    assert rented_cloud("aws").identity() == f"{ACCOUNT} arn:aws:iam::{ACCOUNT}:user/test"


def test_another_role_of_the_account_is_the_same_account_and_another_account_is_refused(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    require_same_account(cloud, f"{ACCOUNT} arn:aws:sts::{ACCOUNT}:assumed-role/ci/7")
    with pytest.raises(
        HarchosError, match=r"made in aws account 999999999999 .* these credentials are of 123"
    ):
        require_same_account(cloud, "999999999999 arn:aws:iam::999999999999:user/old")


# listing


def test_everything_of_a_hub_is_listed_in_the_order_of_deletion(aws: AwsServer, cloud: AwsCloud) -> None:
    made = make_hub(HUB, "eu-west-1")
    listed = cloud.list()
    assert [r.kind for r in listed] == [
        "instance",
        "address",
        "network-interface",
        "volume",
        "volume",
        "security-group",
        "subnet",
        "route-table",
        "internet-gateway",
        "vpc",
        "launch-template",
        "placement-group",
        "key-pair",
        "instance-profile",
        "role",
        "parameter",
    ]
    assert set(made.values()) <= {r.id for r in listed}
    hub_wide = [r for r in listed if r.kind != "parameter"]
    assert {(r.run, r.hub) for r in hub_wide} == {("job-0a1b2c", HUB)}
    assert all(r.expires is not None and r.expires.hour == 6 for r in hub_wide)


def test_what_is_billed_by_itself_has_its_price_per_hour(aws: AwsServer, cloud: AwsCloud) -> None:
    make_hub(HUB, "eu-west-1")
    prices = {r.id: r.price_usd_hour for r in cloud.list(hub=HUB) if r.price_usd_hour is not None}
    assert sorted(prices.values()) == pytest.approx(
        [0.0952 * 8 / 730, 0.005, 0.0952 * 100 / 730, 1.123], abs=1e-6
    )


def test_a_spot_machine_has_the_spot_price_and_one_that_is_ending_has_none(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    made = make_hub(HUB, "eu-west-1", market="spot")
    (machine,) = [r for r in cloud.list(hub=HUB) if r.kind == "instance"]
    assert machine.price_usd_hour is not None
    assert machine.price_usd_hour < 1.123
    aws.shutdown_polls = 10
    client("ec2", "eu-west-1").terminate_instances(InstanceIds=[made["instance"]])
    (machine,) = [r for r in cloud.list(hub=HUB) if r.kind == "instance"]
    assert (machine.detail, machine.price_usd_hour) == ("g5.xlarge shutting-down", None)


def test_hubs_are_found_in_every_enabled_region_and_told_apart(aws: AwsServer, cloud: AwsCloud) -> None:
    make_hub(HUB, "eu-west-1")
    make_hub("other-ffffff-h1", "us-east-1")
    assert {r.region for r in cloud.list(hub="other-ffffff-h1")} == {"us-east-1", None}
    assert {r.hub for r in cloud.list(run="job-0a1b2c")} == {HUB, "-"}
    assert {r.region for r in cloud.list()} == {"eu-west-1", "us-east-1", None}


def test_the_secrets_of_a_run_belong_to_none_of_its_hubs(aws: AwsServer, cloud: AwsCloud) -> None:
    make_hub(HUB, "eu-west-1")
    assert "parameter" not in kinds(cloud, hub=HUB)
    (secret,) = [r for r in cloud.list(run="job-0a1b2c") if r.kind == "parameter"]
    assert (secret.id, secret.hub) == ("/harchos/job-0a1b2c/TOKEN", "-")


def test_what_others_made_is_not_ours(aws: AwsServer, cloud: AwsCloud) -> None:
    ec2, iam = client("ec2", "eu-west-1"), client("iam", "eu-west-1")
    ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    ec2.create_volume(
        Size=1,
        AvailabilityZone="eu-west-1a",
        TagSpecifications=[{"ResourceType": "volume", "Tags": pairs({"harchos": "a near miss"})}],
    )
    iam.create_role(RoleName="harchos-made-by-hand", AssumeRolePolicyDocument="{}")
    client("ssm", "eu-west-1").put_parameter(Name="/harchosx/TOKEN", Value="x", Type="String")
    assert cloud.list() == []


def test_a_region_that_is_not_opted_into_is_not_asked(aws: AwsServer, cloud: AwsCloud) -> None:
    assert "af-south-1" not in cloud.regions()
    cloud.list()
    assert "af-south-1" not in {call.region for call in aws.calls}


# half a listing proves nothing


def test_a_refusal_in_one_region_is_an_error_that_names_region_and_permission(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    make_hub(HUB, "eu-west-1")
    aws.deny("ec2:DescribeVolumes", region="us-east-1")
    with pytest.raises(AwsError, match="AWS us-east-1: no permission for ec2:DescribeVolumes") as raised:
        cloud.list()
    assert raised.value.is_denied
    assert "least policy" in str(raised.value.hint)


def test_refusals_of_several_regions_are_all_told(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.deny("ssm:DescribeParameters")
    with pytest.raises(AwsError) as raised:
        cloud.list()
    assert all(
        f"AWS {region}: no permission for ssm:DescribeParameters" in raised.value.what
        for region in aws.regions
    )


def test_a_hidden_role_is_an_error_too(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.deny("iam:ListRoles")
    with pytest.raises(AwsError, match="no permission for iam:ListRoles"):
        cloud.list()


def test_throttling_is_waited_for(aws: AwsServer, cloud: AwsCloud) -> None:
    make_hub(HUB, "eu-west-1")
    aws.fail("ec2:DescribeInstances", "RequestLimitExceeded", status=503, times=2)
    assert "instance" in kinds(cloud)


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("ExpiredToken", "the credentials have expired", "aws sso login"),
        ("InvalidClientTokenId", "the credentials are refused", "aws sts get-caller-identity"),
        ("AccessDenied", "no permission for sts:GetCallerIdentity", "least policy"),
    ],
)
def test_bad_credentials_are_told_apart(
    aws: AwsServer, cloud: AwsCloud, code: str, says: str, hint: str
) -> None:
    aws.fail("sts:GetCallerIdentity", code, status=403, times=9)
    with pytest.raises(AwsError, match=says) as raised:
        cloud.identity()
    assert hint in str(raised.value.hint)


def test_no_credentials_are_said_so(aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsError, match="AWS: no credentials") as raised:
        cloud.identity()
    assert "aws configure" in str(raised.value.hint)


def test_a_profile_that_is_not_there_is_said_so(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsError, match="nobody"):
        cloud.identity()


def test_an_unreachable_aws_is_said_so(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(AwsError, match="sts cannot be reached for get_caller_identity"):
        cloud.identity()


# deletion


def test_everything_goes_in_the_order_listed_though_machines_take_their_time(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    make_hub(HUB, "eu-west-1", nodes=2)
    aws.shutdown_polls = 3
    remove_all(cloud)
    assert cloud.list() == []
    vpcs = client("ec2", "eu-west-1").describe_vpcs()["Vpcs"]
    assert [vpc["IsDefault"] for vpc in vpcs] == [True], "the account's own network stays"


def test_deleting_what_is_gone_is_no_error(aws: AwsServer, cloud: AwsCloud) -> None:
    make_hub(HUB, "eu-west-1")
    listed = cloud.list()
    for resource in listed:
        cloud.delete(resource)
    for resource in listed:
        cloud.delete(resource)
    assert cloud.list() == []


def test_a_security_group_waits_for_the_machine_that_holds_it(aws: AwsServer, cloud: AwsCloud) -> None:
    made = make_hub(HUB, "eu-west-1")
    listed = {r.id: r for r in cloud.list(hub=HUB)}
    cloud.delete(listed[made["network-interface"]])
    aws.shutdown_polls = 3
    client("ec2", "eu-west-1").terminate_instances(InstanceIds=[made["instance"]])
    impatient = AwsCloud(patience=Patience(wait_s=0.0, poll_s=0.0))
    with pytest.raises(
        AwsError, match=f"security-group {made['security-group']} of {HUB} is still there.*Dependency"
    ):
        impatient.delete(listed[made["security-group"]])
    cloud.delete(listed[made["instance"]])
    cloud.delete(listed[made["security-group"]])
    assert "security-group" not in kinds(cloud, hub=HUB)


def test_a_machine_that_does_not_end_is_said_so(aws: AwsServer) -> None:
    make_hub(HUB, "eu-west-1")
    aws.shutdown_polls = 10_000
    impatient = AwsCloud(patience=Patience(wait_s=0.1, poll_s=0.01))
    (machine,) = [r for r in impatient.list(hub=HUB) if r.kind == "instance"]
    with pytest.raises(AwsError, match="not terminated after") as raised:
        impatient.delete(machine)
    assert "may still be billed" in str(raised.value.hint)


def test_a_deletion_that_is_not_permitted_names_the_resource_and_the_permission(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    make_hub(HUB, "eu-west-1")
    aws.deny("ec2:DeleteVolume")
    volume = next(r for r in cloud.list(hub=HUB) if r.kind == "volume" and "gp3" in r.detail)
    with pytest.raises(AwsError, match=f"volume {volume.id} of {HUB} is still there.*ec2:DeleteVolume"):
        cloud.delete(volume)
    assert volume.id in {r.id for r in cloud.list(hub=HUB)}


def test_a_spot_request_is_cancelled_before_its_machine_ends(aws: AwsServer, cloud: AwsCloud) -> None:
    marked = pairs(tags(HUB, "job-0a1b2c", "2026-11-25T06:00:00Z"))
    client("ec2", "eu-west-1").request_spot_instances(
        InstanceCount=1,
        Type="persistent",
        LaunchSpecification={"ImageId": IMAGE, "InstanceType": "g5.xlarge"},
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": marked}],
    )
    assert kinds(cloud)[0] == "spot-request"
    remove_all(cloud)
    assert "spot-request" not in kinds(cloud)


# what is offered, and how much of it


def test_offers_have_zones_and_todays_prices_on_both_markets(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.list_prices = {"g5.xlarge": 1.123}
    aws.spot_prices = {("eu-west-1a", "g5.xlarge"): 0.51, ("eu-west-1b", "g5.xlarge"): 0.48}
    offers = {(o.instance_type, o.market): o for o in cloud.offers("eu-west-1")}
    on_demand, spot = offers["g5.xlarge", "on-demand"], offers["g5.xlarge", "spot"]
    assert (on_demand.price_usd_hour, on_demand.source) == (1.123, "pricing:GetProducts")
    assert on_demand.availability_zones == ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    assert (spot.price_usd_hour, spot.availability_zones) == (0.48, ("eu-west-1a", "eu-west-1b"))
    assert offers["g4dn.xlarge", "on-demand"].price_usd_hour is None, "offered, but the list names no price"
    assert ("g4dn.xlarge", "spot") not in offers


def test_only_gpu_machines_are_offers(aws: AwsServer, cloud: AwsCloud) -> None:
    assert {offer.instance_type[0] for offer in cloud.offers("us-east-1")} == {"g", "p"}


def test_price_lists_of_several_pages_are_read_to_the_end(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.list_prices = {f"x{n}.large": 1.0 for n in range(150)} | {"g5.xlarge": 1.123}
    offers = {(o.instance_type, o.market): o for o in cloud.offers("eu-west-1")}
    assert offers["g5.xlarge", "on-demand"].price_usd_hour == 1.123
    assert aws.actions("pricing") == ["GetProducts", "GetProducts"]


def test_quotas_count_what_runs_by_family_and_market(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.quotas = {("eu-west-1", "L-DB2E81BA"): 64.0, ("eu-west-1", "L-7212CCBC"): 96.0}
    make_hub(HUB, "eu-west-1", instance_type="g5.2xlarge", nodes=2)
    quotas = {quota.code: quota for quota in cloud.quotas("eu-west-1")}
    assert (quotas["L-DB2E81BA"].limit, quotas["L-DB2E81BA"].used) == (64.0, 16.0)
    assert (quotas["L-7212CCBC"].limit, quotas["L-7212CCBC"].used) == (96.0, 0.0)
    assert (quotas["L-417A185B"].limit, quotas["L-417A185B"].unit) == (0.0, "vcpu")
    networks = quotas["L-F678F1CE"]
    assert (networks.unit, networks.limit, networks.used) == ("hub", 5.0, 2.0)


def test_prices_that_may_not_be_read_are_an_error(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.deny("pricing:GetProducts")
    with pytest.raises(AwsError, match="no permission for pricing:GetProducts"):
        cloud.offers("eu-west-1")


# the doctor's findings


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the least policy be three actions, with a condition and a pattern as the real one has them."""
    file = tmp_path / "configs" / "iam" / "aws-controller-policy.json"
    file.parent.mkdir(parents=True)
    statements = [
        {"Effect": "Allow", "Action": ["ec2:RunInstances", "ec2:CreateVpc"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "iam:CreateRole",
            "Resource": "arn:aws:iam::*:role/harchos-*",
            "Condition": {"StringLike": {"aws:RequestTag/harchos:hub": "*"}},
        },
    ]
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    monkeypatch.setattr(aws_checks, "policy_file", lambda: file)


def findings(cloud: AwsCloud) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in cloud.check():
        found.setdefault(finding.subject, []).append(finding)
    return found


def set_mailbox(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from harchos_infra.settings import set_value

    set_value("aws.mailbox", url)


@pytest.mark.usefixtures("policy")
def test_an_account_that_is_ready_has_nothing_missing(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("s3", "eu-west-1").create_bucket(
        Bucket="mailbox", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    set_mailbox(monkeypatch, "s3://mailbox/runs")
    aws.quotas = {
        ("eu-west-1", code): 768.0
        for code in ("L-DB2E81BA", "L-417A185B", "L-3819A6DF", "L-7212CCBC", "L-C4BD4855")
    }
    found = cloud.check()
    assert [f for f in found if not f.ok] == []
    assert {f.subject for f in found} == {"credentials", "mailbox", "permissions", "regions", "quota"}
    objects = client("s3", "eu-west-1").list_objects_v2(Bucket="mailbox")
    assert objects["KeyCount"] == 0, "the object written to try it is gone"


@pytest.mark.usefixtures("policy")
def test_a_new_account_lacks_mailbox_and_quota(aws: AwsServer, cloud: AwsCloud) -> None:
    found = findings(cloud)
    (mailbox,) = found["mailbox"]
    assert (mailbox.ok, mailbox.required) == (False, True)
    assert "harchos config set aws.mailbox" in str(mailbox.hint)
    required = [f for f in found["quota"] if f.required]
    assert [f.ok for f in required] == [False]
    assert "request-service-quota-increase --service-code ec2" in str(required[0].hint)


@pytest.mark.usefixtures("policy")
def test_a_bucket_that_is_not_there_is_said_so(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mailbox(monkeypatch, "s3://nowhere")
    (mailbox,) = findings(cloud)["mailbox"]
    assert mailbox.what == "there is no bucket nowhere"
    assert "aws s3 mb s3://nowhere" in str(mailbox.hint)


@pytest.mark.usefixtures("policy")
def test_a_bucket_that_may_not_be_written_names_the_permission(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("s3", "us-east-1").create_bucket(Bucket="mailbox")
    set_mailbox(monkeypatch, "s3://mailbox")
    aws.deny("s3:PutObject")
    (mailbox,) = findings(cloud)["mailbox"]
    assert not mailbox.ok
    assert "no permission for s3:PutObject" in mailbox.what


@pytest.mark.usefixtures("policy")
def test_missing_permissions_are_named_with_the_policy_that_grants_them(
    aws: AwsServer, cloud: AwsCloud
) -> None:
    aws.deny("ec2:RunInstances")
    aws.deny("iam:CreateRole")
    (permissions,) = findings(cloud)["permissions"]
    assert permissions.what == "missing 2 of 3: ec2:RunInstances, iam:CreateRole"
    assert "configs/iam/aws-controller-policy.json" in str(permissions.hint)


@pytest.mark.usefixtures("policy")
def test_a_statement_is_tried_on_what_it_names_under_its_condition(aws: AwsServer, cloud: AwsCloud) -> None:
    cloud.check()
    asked = [call.parameters for call in aws.calls if call.action == "SimulatePrincipalPolicy"]
    on_role = asked[1]
    assert on_role["ResourceArns.member.1"] == f"arn:aws:iam::{ACCOUNT}:role/harchos-doctor"
    assert on_role["ContextEntries.member.1.ContextKeyName"] == "aws:RequestTag/harchos:hub"


@pytest.mark.usefixtures("policy")
def test_an_assumed_role_is_asked_about_as_the_role_it_is(aws: AwsServer, cloud: AwsCloud) -> None:
    client("iam", "us-east-1").create_role(RoleName="ci", Path="/build/", AssumeRolePolicyDocument="{}")
    aws.arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/session"
    (permissions,) = findings(cloud)["permissions"]
    assert permissions.ok
    asked = next(c.parameters for c in aws.calls if c.action == "SimulatePrincipalPolicy")
    assert asked["PolicySourceArn"] == f"arn:aws:iam::{ACCOUNT}:role/build/ci"


@pytest.mark.usefixtures("policy")
def test_permissions_that_may_not_be_asked_about_are_not_called_good(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.deny("iam:SimulatePrincipalPolicy")
    (permissions,) = findings(cloud)["permissions"]
    assert (permissions.ok, permissions.required) == (False, False)
    assert permissions.what.startswith("not checked")


@pytest.mark.usefixtures("policy")
def test_without_credentials_there_is_one_finding(aws: AwsServer, cloud: AwsCloud) -> None:
    aws.fail("sts:GetCallerIdentity", "ExpiredToken", status=403, times=9)
    (finding,) = cloud.check()
    assert (finding.subject, finding.ok, finding.required) == ("credentials", False, True)


# the server itself


def test_a_lack_of_capacity_reaches_the_client_as_aws_says_it(aws: AwsServer) -> None:
    from botocore.exceptions import ClientError

    aws.fail("ec2:RunInstances", "InsufficientInstanceCapacity", "no p4d here", status=400)
    ec2 = client("ec2", "eu-west-1")
    with pytest.raises(ClientError, match=r"InsufficientInstanceCapacity.*no p4d here"):
        ec2.run_instances(ImageId=IMAGE, InstanceType="p4d.24xlarge", MinCount=1, MaxCount=1)
    ec2.run_instances(ImageId=IMAGE, InstanceType="p4d.24xlarge", MinCount=1, MaxCount=1)


def test_a_region_that_is_not_enabled_takes_no_credentials(aws: AwsServer) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="AuthFailure"):
        client("ec2", "af-south-1").describe_instances()


def test_the_least_policy_grants_every_call_that_the_adapter_makes(
    aws: AwsServer, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hub(HUB, "eu-west-1", market="spot")
    set_mailbox(monkeypatch, "s3://mailbox")
    client("s3", "us-east-1").create_bucket(Bucket="mailbox")
    aws.calls.clear()
    cloud.check()
    cloud.offers("eu-west-1")
    remove_all(cloud)
    statements = json.loads(aws_checks.policy_file().read_text())["Statement"]
    granted = {
        a for s in statements for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    called = {f"{call.service}:{call.action}" for call in aws.calls} - {"sts:GetCallerIdentity"}
    assert called - granted - {"s3:HeadBucket"} == set(), "HeadBucket takes s3:ListBucket"
