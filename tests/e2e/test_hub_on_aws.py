"""A plan for AWS carried out: Terraform on replayed providers, AWS's APIs on moto, a machine that boots."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import vm
from support.aws_server import AwsServer
from support.fake_metadata import FakeMetadata
from support.schema_replay import Fault, Replay
from tests.e2e.conftest import Road

REGION = "us-east-1"
OTHER = "eu-west-1"


class Account:
    """An AWS account as far as harchos sees it: APIs, bucket, providers; and the machines that boot there."""

    def __init__(self, road: Road, aws: AwsServer, replay: Replay) -> None:
        self.road, self.aws, self.replay = road, aws, replay
        self.started: list[subprocess.Popen[str]] = []
        self.s3("create_bucket", Bucket="mailbox")
        assert road.harchos("config", "set", "aws.mailbox", "s3://mailbox/team").returncode == 0

    def client(self, service: str) -> Any:
        import boto3

        environment = self.aws.environment()
        return boto3.client(
            service,
            endpoint_url=self.aws.url,
            region_name=REGION,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def s3(self, action: str, **options: Any) -> Any:
        return getattr(self.client("s3"), action)(**options)

    def environment(self) -> dict[str, str]:
        return {
            **self.aws.environment(),
            **self.replay.environment,
            "HARCHOS_HUB_ENV_AWS_ENDPOINT_URL": f"http://{vm.STORE}",
            "HARCHOS_HUB_ENV_AWS_ALLOW_HTTP": "true",
        }

    def plan(self, command: str, **spec: Any) -> Path:
        placement = {"providers": ["aws"], "regions": [f"aws/{REGION}", f"aws/{OTHER}"]}
        file = self.road.workload(command, **{"placement": placement, **spec})
        plan = self.road.work / "plan.json"
        done = self.road.harchos("plan", file, "--out", plan)
        assert done.returncode == 0, done.stderr
        return plan

    def apply(self, plan: Path, **environ: str) -> subprocess.Popen[str]:
        started = self.road.start("apply", plan, "--yes", **self.environment(), **environ)
        self.started.append(started)
        return started

    def machines(self) -> list[dict[str, Any]]:
        """Return what Terraform asked for: the arguments of each instance that was created."""
        return [
            call.values
            for call in self.replay.world.calls
            if (call.type, call.operation, call.error) == ("aws_instance", "create", None)
        ]

    def put(self, hub: str, name: str, value: Any) -> None:
        """Write an object of a hub's mailbox, as its agent would."""
        run = hub.rpartition("-h")[0]
        key = f"team/{run}/{hub}/{name}"
        self.s3("put_object", Bucket="mailbox", Key=key, Body=json.dumps(value).encode())

    def objects(self) -> list[str]:
        listed = self.s3("list_objects_v2", Bucket="mailbox").get("Contents", [])
        return [entry["Key"].removeprefix("team/") for entry in listed]


@pytest.fixture
def account(road: Road) -> Iterator[Account]:
    with AwsServer(regions=(REGION, OTHER)) as aws, Replay(providers=("aws",)) as replay:
        account = Account(road, aws, replay)
        yield account
        for process in account.started:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(vm.missing() is not None, reason=str(vm.missing()))
def test_a_plan_becomes_a_machine_that_boots_does_the_job_and_is_gone(
    account: Account, tmp_path: Path
) -> None:
    road = account.road
    plan = account.plan(
        'echo "token has ${#TOKEN} letters"; echo result > $HARCHOS_OUTPUT_DIR/answer.txt; sleep 3',
        secrets=[{"name": "TOKEN", "env": "MY_TOKEN"}],
    )
    apply = account.apply(plan, MY_TOKEN="tell-nobody")
    end = time.monotonic() + 120
    while not account.machines():
        assert apply.poll() is None, apply.communicate()[0]
        assert time.monotonic() < end, "no machine was asked for"
        time.sleep(0.2)
    (asked,) = account.machines()
    with FakeMetadata("aws", region=REGION) as metadata:
        folder = tmp_path / "machine"
        folder.mkdir()
        port = int(account.aws.url.rpartition(":")[2])
        machine = vm.Machine(folder, {vm.METADATA: metadata.port, vm.STORE: port})
        try:
            machine.boot(asked["user_data"])
            machine.wait_for_power_off()
            text = apply.communicate(timeout=240)[0]
        finally:
            machine.end()
    assert apply.returncode == 0, text
    assert "token has 11 letters" in text
    row = road.run_row()
    assert (road.home / "runs" / row["run"] / "outputs" / "answer.txt").read_text() == "result\n"
    assert account.replay.world.existing == []
    assert account.client("ssm").describe_parameters()["Parameters"] == []
    everything = "\n".join(p.read_text(errors="replace") for p in road.home.rglob("*") if p.is_file())
    assert "tell-nobody" not in everything + asked["user_data"] + text
    swept = road.harchos("sweep", "--all-regions", **account.environment())
    assert (swept.returncode, swept.stderr.strip()) == (0, "nothing to sweep")


def finish(account: Account, hub: str) -> None:
    """Let a hub's agent say that it lives and has done the job."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    account.put(hub, "heartbeat.json", {"at": now, "seq": 1, "phase": "succeeded"})
    status = {"phase": "succeeded", "attempt": 1, "job_started_at": now, "finished_at": now, "exit_code": 0}
    account.put(hub, "status.json", {"schema": "harchos.status/1", **status})


def test_without_capacity_the_run_goes_to_the_next_best_candidate_and_not_back(account: Account) -> None:
    plan = account.plan("true")
    first = json.loads(plan.read_text())["chosen"]["segments"][0]
    account.replay.faults["aws_instance:create"] = Fault(
        error="InsufficientInstanceCapacity: We currently do not have sufficient capacity", times=2
    )
    apply = account.apply(plan)
    end = time.monotonic() + 200
    while not account.machines():
        assert apply.poll() is None, apply.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.2)
    (asked,) = account.machines()
    finish(account, asked["tags"]["harchos:hub"])
    text = apply.communicate(timeout=120)[0]
    assert apply.returncode == 0, text
    assert text.count("the hub could not be made; goes on at") == 2
    report = json.loads(account.road.harchos("report", "--format", "json").stdout)
    places = [(hub["region"], hub["instanceType"]) for hub in report["hubs"]]
    assert places[0] == (first["region"], first["instanceType"])
    assert len(set(places)) == 3
    assert account.replay.world.existing == []


def test_where_nothing_can_be_had_the_run_fails_and_nothing_stays(account: Account) -> None:
    plan = account.plan("true", placement={"providers": ["aws"], "regions": [f"aws/{REGION}"]})
    account.replay.faults["aws_instance:create"] = Fault(
        error="UnauthorizedOperation: You are not authorized to perform this operation."
    )
    done = account.apply(plan)
    text = done.communicate(timeout=90)[0]
    assert done.returncode == 4, text
    assert "these credentials may not do that" in text
    assert "no other candidate is left" in text
    assert len(account.road.run_row()["hubStates"]) == 1, "what holds for the account is not tried again"
    assert account.replay.world.existing == []


def test_a_cloud_without_a_mailbox_is_refused_before_anything_is_made(road: Road) -> None:
    placement = {"providers": ["aws"], "regions": [f"aws/{REGION}"]}
    done = road.harchos("apply", road.workload("true", placement=placement), "--yes")
    assert done.returncode == 1
    assert "aws.mailbox is not set" in done.stderr
    assert "docs/clouds/aws.md" in done.stderr
