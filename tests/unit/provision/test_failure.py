"""Why a hub could not be made, recognised in the words of the three clouds and of Terraform."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.failure import provision_error
from harchos_infra.provision.hub_spec import HubSpec
from support.schema_replay.refused import REFUSED, Refused

SPEC = HubSpec(
    run="digits-0a1b2c",
    hub="digits-0a1b2c-h1",
    workload="digits",
    provider="aws",
    region="eu-north-1",
    zone="SE-SE3",
    instance_type="g6.xlarge",
    market="spot",
    nodes=2,
    expires=datetime(2026, 11, 24, 6, tzinfo=UTC),
    mailbox_url="s3://mail/box",
    directory=Path("/srv/hubs/digits-0a1b2c-h1"),
    agent=Path("/srv/agent.pyz"),
    python=Path(sys.executable),
)
OF_THE_USER = {"credentials", "user-data", "state-locked", "bucket"}
"""What another place would refuse as well."""


@pytest.mark.parametrize("refused", REFUSED, ids=lambda r: f"{r.cloud} {r.code}: {r.text[-50:]}")
def test_a_refusal_is_recognised_and_keeps_its_words(refused: Refused) -> None:
    failed = HarchosError(f"terraform apply failed in /srv:\n  module.hub.x: {refused.text}")
    error = provision_error(failed, replace(SPEC, provider=refused.cloud))
    assert error.code == refused.code
    assert error.what.startswith(f"{refused.cloud}/eu-north-1: ")
    assert failed.what in error.what
    assert error.hint
    assert not error.elsewhere or error.code not in OF_THE_USER


@pytest.mark.parametrize("code", ["capacity", "quota", "price", "timeout", "region"])
def test_what_one_place_refuses_another_may_give(code: str) -> None:
    places = [r for r in REFUSED if r.code == code]
    assert places
    for refused in places:
        spec = replace(SPEC, provider=refused.cloud)
        assert provision_error(HarchosError(refused.text), spec).elsewhere


def test_a_message_names_the_machine_the_market_and_the_number() -> None:
    error = provision_error(HarchosError("api error InsufficientInstanceCapacity: none"), SPEC)
    first, _ = error.what.split("\n", 1)
    assert first == "aws/eu-north-1: AWS has no 2 x g6.xlarge (spot) free now"


@pytest.mark.parametrize(
    ("cloud", "named"),
    [
        ("aws", "ec2:RunInstances"),
        ("gcp", "compute.instances.create"),
        ("azure", "Microsoft.Compute/virtualMachines/write"),
    ],
)
def test_a_missing_permission_is_named(cloud: str, named: str) -> None:
    denied = next(r for r in REFUSED if r.cloud == cloud and named in r.text and r.code == "permission")
    error = provision_error(HarchosError(denied.text), replace(SPEC, provider=cloud))
    assert f"may not do that ({named})" in error.what
    assert error.hint and "harchos doctor" in error.hint and f"docs/clouds/{cloud}.md" in error.hint


def test_a_quota_of_google_is_named() -> None:
    (used_up,) = (r for r in REFUSED if "NVIDIA_L4_GPUS" in r.text)
    error = provision_error(HarchosError(used_up.text), replace(SPEC, provider="gcp"))
    assert "(NVIDIA_L4_GPUS)" in error.what


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Retrieving AWS account details: AWS account ID not allowed: 999999999999", "credentials"),
        ("Error refreshing state: S3 bucket does not exist. NoSuchBucket", "bucket"),
        ("requested bucket from us-east-1, actual location eu-west-1", "bucket"),
        ("terraform apply was killed by signal 9", "crash"),
        ("Error running command '60': exit status 1. Output: error: the agent died: no heartbeat", "agent"),
        ("exit status 1. Output: error: the agent did not start:", "agent"),
        ("agent: local-exec provisioner error: Error running command '2026': signal: killed.", "agent"),
        ("terraform apply did not end within 900 s", "timeout"),
        ("/srv is in use by another Terraform or harchos (pid 7)", "state-locked"),
        ("creating EC2 VPC: VpcLimitExceeded: The maximum number of VPCs has been reached.", "quota"),
        (
            "Resource postcondition failed: g6.xlarge is not offered in eu-north-1c: choose another",
            "capacity",
        ),
        ("Module output value precondition failed: The user-data is 16 KiB or more, which", "user-data"),
        ("Invalid value for variable: The mailbox must be an s3:// URL.", "other"),
        ("Failed to query available provider packages: could not connect to registry.terraform.io", "other"),
    ],
)
def test_other_faults_are_recognised(text: str, code: str) -> None:
    error = provision_error(HarchosError(text), SPEC)
    assert error.code == code
    assert error.hint


def test_words_of_one_cloud_mean_nothing_on_another() -> None:
    error = provision_error(HarchosError("SkuNotAvailable"), SPEC)
    assert error.code == "other"


def test_what_is_not_recognised_is_handed_on_as_it_is() -> None:
    failed = HarchosError("something new", hint="look")
    error = provision_error(failed, SPEC)
    assert (error.what, error.hint, error.code) == ("something new", "look", "other")
