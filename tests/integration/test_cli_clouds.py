"""`harchos doctor`, `catalog refresh` and `sweep` as a user of AWS meets them, over real sockets."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harchos_infra.clouds.aws import AwsCloud
from harchos_infra.clouds.aws_removal import Patience
from support.command import Document, Harchos

if TYPE_CHECKING:
    from support.aws_server import AwsServer

HUB = "job-0a1b2c-h1"
PAST = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
SOON = f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def mailbox(aws: AwsServer) -> Iterator[str]:
    """A bucket, set as the mailbox."""
    from harchos_infra.settings import set_value
    from support.aws_hub import client

    client("s3", "us-east-1").create_bucket(Bucket="mailbox")
    set_value("aws.mailbox", "s3://mailbox/runs")
    yield "s3://mailbox/runs"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at machines that end more often than AWS would like."""
    monkeypatch.setattr(AwsCloud.__init__, "__kwdefaults__", {"patience": Patience(wait_s=5.0, poll_s=0.02)})


def make_hub(**how: Any) -> dict[str, str]:
    from support.aws_hub import make_hub

    return make_hub(HUB, "eu-west-1", **how)


def home() -> Path:
    from harchos_infra.settings import home

    return home()


# doctor


def test_a_doctor_without_a_cloud_looks_at_this_machine(harchos: Harchos) -> None:
    code, out, err = harchos("doctor", "--format", "json")
    document = json.loads(out)
    assert (code, document["schema"], document["ready"]) == (0, "harchos.doctor/1", True)
    (local,) = document["places"]
    assert [f["subject"] for f in local["findings"]] == ["terraform", "engine", "zone"]
    assert "aws" not in out + err


def test_a_machine_without_terraform_is_not_ready(harchos: Harchos, tmp_path: Path) -> None:
    harchos("config", "set", "terraform.binary", str(tmp_path / "nowhere"))
    code, out, _ = harchos("doctor")
    assert code == 1
    assert "MISSING" in out
    assert "nowhere" in out


def test_an_account_without_mailbox_and_quota_is_not_ready_and_says_what_to_do(
    aws: AwsServer, harchos: Harchos
) -> None:
    code, out, err = harchos("doctor", "aws")
    assert code == 1
    assert "no bucket is set for hubs to write to" in out
    assert "aws mailbox: harchos config set aws.mailbox" in err
    assert "request-service-quota-increase --service-code ec2 --quota-code L-" in err


@pytest.mark.usefixtures("mailbox")
def test_an_account_that_has_all_is_ready(aws: AwsServer, harchos: Harchos) -> None:
    aws.quotas = {("eu-west-1", "L-DB2E81BA"): 64.0}
    code, out, _ = harchos("doctor", "--format", "json")
    document = json.loads(out)
    assert code == 0, out
    assert [place["place"] for place in document["places"]] == ["local", "aws"]
    missing = [f for place in document["places"] for f in place["findings"] if f["required"] and not f["ok"]]
    assert missing == []


def test_missing_permissions_are_listed_with_the_file_that_grants_them(
    aws: AwsServer, harchos: Harchos
) -> None:
    aws.deny("ec2:TerminateInstances")
    code, out, err = harchos("doctor", "aws")
    assert code == 1
    assert "missing 1 of" in out
    assert "ec2:TerminateInstances" in out
    assert "configs/iam/aws-controller-policy.json" in err


def test_a_doctor_without_credentials_has_one_answer(
    aws: AwsServer, harchos: Harchos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, out, err = harchos("doctor", "aws")
    assert code == 1
    assert "AWS: no credentials" in out
    assert "Traceback" not in err


def test_a_cloud_that_nobody_knows_is_refused(harchos: Harchos) -> None:
    code, _, err = harchos("doctor", "asw")
    assert code == 1
    assert "did you mean 'aws'?" in err


# catalog refresh


@pytest.mark.usefixtures("mailbox")
def test_refreshed_prices_and_quotas_are_columns_of_offers(aws: AwsServer, harchos: Harchos) -> None:
    aws.list_prices = {"g5.xlarge": 1.5}
    aws.quotas = {("eu-west-1", "L-DB2E81BA"): 4.0}
    assert harchos("catalog", "refresh")[0] == 0
    code, out, err = harchos("offers", "--gpu", "A10G", "--region", "aws/eu-west-1", "--market", "on-demand")
    assert code == 0
    lines = {line.split()[1]: line for line in out.splitlines() if "aws/eu-west-1" in line}
    assert "1.500" in lines["g5.xlarge"]
    assert "yes: takes 4, 4 of 4 vcpu free" in lines["g5.xlarge"]
    assert "no quota: takes 8, 4 of 4 vcpu free" in lines["g5.2xlarge"]
    assert "asked" in err
    assert "ago)" in err


@pytest.mark.usefixtures("mailbox")
def test_offers_as_json_say_what_is_offered_and_within_which_quota(aws: AwsServer, harchos: Harchos) -> None:
    aws.quotas = {("eu-west-1", "L-DB2E81BA"): 4.0}
    harchos("catalog", "refresh")
    _, out, _ = harchos("offers", "--gpu", "A10G", "--provider", "aws", "--format", "json")
    offers = {(o["region"], o["instanceType"], o["market"]): o for o in json.loads(out)["offers"]}
    asked = offers["eu-west-1", "g5.xlarge", "on-demand"]
    assert (asked["offered"], asked["quota"]["code"], asked["quota"]["needed"]) == (True, "L-DB2E81BA", 4.0)
    assert offers["eu-west-1", "g5.xlarge", "spot"]["offered"] is False
    unasked = offers["eu-central-1", "g5.xlarge", "on-demand"]
    assert (unasked["offered"], unasked["quota"]) == (None, None)


@pytest.mark.usefixtures("mailbox")
def test_a_plan_leaves_out_what_the_account_cannot_have_and_says_why(
    aws: AwsServer, harchos: Harchos, document: Document
) -> None:
    path = document(
        "  resources: {gpu: {type: A10G}}\n  placement: {regions: [aws/eu-west-1, aws/us-east-1]}\n"
    )
    aws.quotas = {("us-east-1", "L-DB2E81BA"): 64.0}
    harchos("catalog", "refresh")
    code, out, _ = harchos("plan", path, "--format", "json")
    made = json.loads(out)
    assert code == 0
    assert made["chosen"]["segments"][0]["region"] == "us-east-1"
    lost = {
        (r["region"], r["instanceType"]): r["reason"] for r in made["rejected"] if r["market"] == "on-demand"
    }
    assert lost["eu-west-1", "g5.xlarge"] == "quota"
    assert any("regions" in key and "asOf" in age for key, age in made["inputs"]["catalog"]["ages"].items())


@pytest.mark.usefixtures("mailbox")
def test_a_region_that_refuses_is_told_and_the_others_are_kept(aws: AwsServer, harchos: Harchos) -> None:
    aws.deny("ec2:DescribeSpotPriceHistory", region="us-east-1")
    code, out, _ = harchos("catalog", "refresh", "--format", "json")
    document = json.loads(out)
    assert (code, document["schema"]) == (1, "harchos.catalog-refresh/1")
    (said,) = document["providers"]
    assert [row["region"] for row in said["regions"]] == ["eu-west-1"]
    assert "no permission for ec2:DescribeSpotPriceHistory" in said["refused"][0]["error"]
    kept = json.loads((home() / "catalog" / "aws.json").read_text())
    assert list(kept["regions"]) == ["eu-west-1"]
    assert (home() / "catalog" / "aws.json").stat().st_mode & 0o777 == 0o600


def test_without_a_cloud_there_is_nothing_to_refresh(harchos: Harchos) -> None:
    code, _, err = harchos("catalog", "refresh")
    assert code == 1
    assert "no cloud is set up here" in err
    assert "harchos config set aws.mailbox" in err


@pytest.mark.usefixtures("mailbox")
def test_a_broken_file_stops_a_plan_with_the_way_out(
    aws: AwsServer, harchos: Harchos, document: Document
) -> None:
    (home() / "catalog").mkdir()
    (home() / "catalog" / "aws.json").write_text("{")
    code, _, err = harchos("plan", document())
    assert code == 1
    assert "aws.json: not a refreshed catalogue" in err


# sweep


@pytest.mark.usefixtures("mailbox")
def test_a_sweep_lists_what_is_left_with_its_price_and_takes_it_down(
    aws: AwsServer, harchos: Harchos
) -> None:
    make_hub(expires=PAST)
    aws.shutdown_polls = 2
    code, out, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 0
    assert "no run of that name in the ledger" in out
    assert "g5.xlarge running" in out
    assert "1.1230" in out
    assert "together 1.142 USD per hour" in err
    assert harchos("sweep", "--all-regions", "--yes")[2].strip() == "nothing to sweep"


@pytest.mark.usefixtures("mailbox")
def test_nothing_is_taken_down_without_consent(
    aws: AwsServer, harchos: Harchos, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_hub(expires=PAST)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, _, _ = harchos("sweep", "--all-regions")
    assert code == 130
    assert made["instance"] in {r.id for r in AwsCloud().list(hub=HUB)}


@pytest.mark.usefixtures("mailbox")
def test_what_survives_is_named_with_its_price_and_the_reason_and_the_exit_code_says_so(
    aws: AwsServer, harchos: Harchos
) -> None:
    make_hub(expires=PAST)
    aws.deny("ec2:ReleaseAddress")
    code, _, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert "still there: address eipalloc-" in err
    assert "0.0050 USD per hour" in err
    assert "no permission for ec2:ReleaseAddress" in err
    assert [r.kind for r in AwsCloud().list(hub=HUB)] == ["address"]


@pytest.mark.usefixtures("mailbox")
def test_a_region_that_may_not_be_looked_at_is_shown_and_is_no_success(
    aws: AwsServer, harchos: Harchos
) -> None:
    aws.deny("ec2:DescribeInstances", region="us-east-1")
    code, _, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert "AWS us-east-1: no permission for ec2:DescribeInstances" in err
    assert "what is there is not known in full" in err
    assert "nothing to sweep" not in err


@pytest.mark.usefixtures("mailbox")
def test_a_hub_of_someone_else_that_has_not_expired_is_left_alone_unless_asked_for(
    aws: AwsServer, harchos: Harchos
) -> None:
    make_hub(expires=SOON)
    assert harchos("sweep", "--all-regions", "--yes")[2].strip() == "nothing to sweep"
    assert "instance" in {r.kind for r in AwsCloud().list(hub=HUB)}
    code, out, _ = harchos("sweep", "--cloud", "aws", "--foreign", "--yes", "--format", "json")
    assert code == 0
    found = json.loads(out)
    assert {item["hub"] for item in found["leftovers"]} == {HUB, "-"}
    (hub,) = [item for item in found["leftovers"] if item["hub"] == HUB]
    assert hub["cloud"] == "aws"
    assert hub["usdHour"] == pytest.approx(1.142, abs=1e-3)
    assert {"kind": "role", "id": f"harchos-{HUB}", "region": None, "detail": "", "usdHour": None} in hub[
        "items"
    ]
    assert AwsCloud().list() == []


@pytest.mark.usefixtures("mailbox")
def test_a_hub_that_this_home_made_is_swept_before_it_expires(aws: AwsServer, harchos: Harchos) -> None:
    make_hub(expires=SOON)
    (home() / "hubs" / HUB).mkdir(parents=True)
    assert harchos("sweep", "--all-regions", "--yes")[0] == 0
    assert [r.kind for r in AwsCloud().list()] == ["parameter"], "the run's secret has no tag of a hub"


@pytest.mark.usefixtures("mailbox")
def test_a_sweep_without_asking_for_clouds_looks_at_none(aws: AwsServer, harchos: Harchos) -> None:
    make_hub(expires=PAST)
    aws.calls.clear()
    code, _, err = harchos("sweep", "--yes")
    assert (code, err.strip()) == (0, "nothing to sweep")
    assert aws.calls == []


def test_all_regions_of_no_cloud_is_an_error_not_a_clean_bill(harchos: Harchos) -> None:
    code, _, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert "no cloud is set up here" in err


@pytest.mark.usefixtures("mailbox")
def test_a_hub_recorded_in_another_account_is_told_and_is_no_success(
    aws: AwsServer, harchos: Harchos
) -> None:
    record_run(identity="999999999999 arn:aws:iam::999999999999:user/old")
    code, _, err = harchos("sweep", "--all-regions", "--yes")
    assert code == 1
    assert "made in aws account 999999999999" in err
    assert "credentials are of 123456789012" in err


def record_run(*, identity: str) -> None:
    """Write a finished run to the ledger whose hub, on AWS, is not known to be gone."""
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.owner import new_owner

    now = time.time()
    run = {
        "id": "job-0a1b2c", "workload": "job", "type": "batch", "plan_hash": "", "workload_hash": "",
        "rehearsal": False, "schedule_offset_s": 0.0, "ttl_s": 1.0, "phase": FINAL, "desired": "run",
        "next_at": now, "created_at": now, "intensities": {}, "units": {}, "outputs": [],
    }  # fmt: skip
    hub = {
        "hub": HUB, "segment": 0, "state": "unknown", "identity": identity, "created_at": now,
        "expires_at": now,
    }  # fmt: skip
    ledger = Ledger.open()
    lease = ledger.add_run(run, {"chosen": {"segments": [{"provider": "aws"}]}}, owner=new_owner())
    ledger.intend_hub(lease, hub, ("provision", HUB))
    ledger.release(lease)
