"""The schema-replay provider, through the real Terraform: what it refuses, makes, logs and breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.provision.binary import find_binary
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay
from support.schema_replay.schemas import PROVIDERS, load

NETWORK = """
provider "aws" {
  region = "eu-north-1"
  default_tags {
    tags = { owner = "tests" }
  }
}

resource "aws_vpc" "v" {
  cidr_block = "10.0.0.0/16"
  tags       = { Name = "net" }
}

resource "aws_subnet" "s" {
  vpc_id     = aws_vpc.v.id
  cidr_block = "10.0.0.0/24"
}

resource "aws_iam_role" "r" {
  name               = "role"
  assume_role_policy = "{}"
}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def binary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path_factory.mktemp("home")))
    return str(find_binary().path)


@pytest.fixture
def terraform(replay: Replay, tmp_path: Path, binary: str) -> Run:
    def run(command: str, *options: str, root: str | None = NETWORK) -> subprocess.CompletedProcess[str]:
        if root is not None:
            (tmp_path / "main.tf").write_text(root)
        needs_approval = ["-auto-approve"] if command in ("apply", "destroy") else []
        return replay.run([binary, *command.split(), "-no-color", *needs_approval, *options], cwd=tmp_path)

    return run


def plain(schema: Any) -> Any:
    """Return a schema as the reduced ones are: without descriptions."""
    if isinstance(schema, dict):
        return {
            name: plain(value)
            for name, value in schema.items()
            if not (name in ("description", "description_kind") and isinstance(value, str))
        }
    return schema


def test_terraform_reads_back_every_schema_as_it_was_dumped(terraform: Run) -> None:
    root = "".join(f'data "{next(iter(load(name).data_sources))}" "any" {{}}\n' for name in PROVIDERS)
    read = json.loads(terraform("providers schema", "-json", root=root).stdout)["provider_schemas"]
    for name in PROVIDERS:
        schema = load(name)
        assert plain(read[schema.address]["provider"]) == schema.configuration
        assert plain(read[schema.address]["resource_schemas"]) == schema.resources
        assert plain(read[schema.address]["data_source_schemas"]) == schema.data_sources


def test_a_life_from_plan_to_destroy(terraform: Run, replay: Replay) -> None:
    assert terraform("validate").returncode == 0
    assert terraform("plan", "-detailed-exitcode").returncode == 2
    assert terraform("apply").returncode == 0
    assert terraform("plan", "-detailed-exitcode").returncode == 0
    assert sorted(each.type for each in replay.world.existing) == ["aws_iam_role", "aws_subnet", "aws_vpc"]
    (vpc,) = (each for each in replay.world.existing if each.type == "aws_vpc")
    assert vpc.tags == {"owner": "tests", "Name": "net"}
    (subnet,) = (call for call in replay.world.done("create") if call.type == "aws_subnet")
    assert subnet.values["vpc_id"] == vpc.id
    assert terraform("destroy").returncode == 0
    assert replay.world.existing == []
    gone = [call.type for call in replay.world.done("delete")]
    assert gone.index("aws_subnet") < gone.index("aws_vpc")


def test_a_changed_tag_is_an_update_and_a_changed_network_another_one(terraform: Run, replay: Replay) -> None:
    terraform("apply")
    assert terraform("apply", root=NETWORK.replace('"net"', '"other"')).returncode == 0
    assert [call.type for call in replay.world.done("update")] == ["aws_vpc"]
    (vpc,) = (each for each in replay.world.existing if each.type == "aws_vpc")
    assert vpc.tags == {"owner": "tests", "Name": "other"}
    assert terraform("apply", root=NETWORK.replace("10.0.0.0/16", "10.1.0.0/16")).returncode == 0
    assert [call.type for call in replay.world.done("delete")] == ["aws_subnet", "aws_vpc"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("cidr_blok = 1", "Unsupported argument"),
        ('tags = "none"', "Inappropriate value for attribute"),
        ('arn = "arn:aws:mine"', "Value for unconfigurable attribute"),
        ("timeouts_ {}", "Unsupported block type"),
    ],
)
def test_what_the_schema_refuses_is_refused(wrong: str, said: str, terraform: Run) -> None:
    root = f'provider "aws" {{}}\nresource "aws_vpc" "v" {{\n{wrong}\n}}\n'
    done = terraform("validate", root=root)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_missing_argument_is_refused(terraform: Run) -> None:
    done = terraform("validate", root='provider "aws" {}\nresource "aws_iam_role" "r" {}\n')
    assert "Missing required argument" in done.stderr


def test_azurerm_without_features_is_refused(terraform: Run) -> None:
    root = 'provider "azurerm" {\n  subscription_id = "s"\n}\ndata "azurerm_client_config" "c" {}\n'
    assert "At least 1 features block is required" in terraform("validate", root=root).stderr


def test_a_name_that_is_taken_is_refused(terraform: Run, replay: Replay) -> None:
    replay.world.put("aws_iam_role", "role", {"id": "role", "name": "role"})
    done = terraform("apply")
    assert done.returncode == 1
    assert "creating aws_iam_role (role): already exists" in done.stderr


def test_an_answer_can_be_given(terraform: Run, replay: Replay) -> None:
    replay.answers["aws_ami"] = {"id": "ami-1"}
    root = 'provider "aws" {}\ndata "aws_ami" "a" {}\noutput "id" {\n  value = data.aws_ami.a.id\n}\n'
    assert 'id = "ami-1"' in terraform("apply", root=root).stdout


@pytest.mark.parametrize(
    ("fault", "in_the_cloud", "in_the_state"),
    [
        (Fault(error="no capacity"), False, False),
        (Fault(error="too late", leaves="tainted"), True, True),
        (Fault(error="no answer", leaves="orphan"), True, False),
        (Fault(crash=True), False, False),
        (Fault(crash=True, leaves="orphan"), True, False),
    ],
    ids=["refused", "tainted", "orphan", "crash before", "crash after"],
)
def test_a_fault_leaves_what_it_says(
    fault: Fault, in_the_cloud: bool, in_the_state: bool, terraform: Run, replay: Replay
) -> None:
    replay.faults["aws_subnet:create"] = fault
    done = terraform("apply")
    assert done.returncode == (-9 if fault.crash else 1)
    assert fault.error is None or fault.error in done.stderr
    assert ("aws_subnet" in {each.type for each in replay.world.existing}) is in_the_cloud
    assert ("aws_subnet.s" in terraform("state list").stdout.split()) is in_the_state


def test_a_fault_can_pass(terraform: Run, replay: Replay) -> None:
    replay.faults["aws_vpc:create"] = Fault(error="throttled", times=1)
    assert terraform("apply").returncode == 1
    assert terraform("apply").returncode == 0


def test_what_is_deleted_behind_its_back_is_planned_again(terraform: Run, replay: Replay) -> None:
    terraform("apply")
    replay.world.remove("aws_iam_role", "role")
    assert terraform("plan", "-detailed-exitcode").returncode == 2


def test_terraforms_own_tests_run_against_it(terraform: Run, tmp_path: Path, replay: Replay) -> None:
    expected = 'condition = startswith(aws_vpc.v.id, "vpc-")\n    error_message = "no"'
    (tmp_path / "net.tftest.hcl").write_text(f'run "it" {{\n  assert {{\n    {expected}\n  }}\n}}\n')
    done = terraform("test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert replay.world.existing == []


def test_a_command_line_runs_anything_against_it(tmp_path: Path, binary: str) -> None:
    (tmp_path / "main.tf").write_text(NETWORK)
    command = [sys.executable, "-m", "support.schema_replay", "--log", "--fault", "aws_vpc:create=no room"]
    done = subprocess.run(
        [*command, "--", binary, f"-chdir={tmp_path}", "apply", "-auto-approve", "-no-color"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: no room" in done.stderr
    calls = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {"create", "configure"} <= {call["operation"] for call in calls}
