"""Hubs on AWS, Google Cloud and Azure through the real Terraform: made, marked, and gone whatever happens.

What exists is what the replayed clouds hold, never what the product says.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.provision.binary import find_binary
from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.provision.terraform import Changes, Terraform
from support.schema_replay import Fault, Replay
from support.schema_replay.cloud import ReplayedCloud
from support.schema_replay.fixture import replay as replay
from support.schema_replay.refused import REFUSED, Refused
from support.schema_replay.schemas import load
from support.schema_replay.world import Call, Existing

CLOUDS = ("aws", "gcp", "azure")
PROVIDER = {"aws": "aws", "gcp": "google", "azure": "azurerm"}
MACHINE = {
    "aws": "aws_instance",
    "gcp": "google_compute_instance",
    "azure": "azurerm_linux_virtual_machine",
}
KINDS = {
    "aws": """
        iam_instance_profile iam_role iam_role_policy instance internet_gateway launch_template
        placement_group route route_table route_table_association security_group subnet vpc
        vpc_security_group_egress_rule vpc_security_group_ingress_rule
    """,
    "gcp": """
        compute_firewall compute_instance compute_network compute_resource_policy compute_subnetwork
        secret_manager_secret_iam_member service_account storage_bucket_iam_member
    """,
    "azure": """
        dev_test_global_vm_shutdown_schedule linux_virtual_machine network_interface
        network_security_group network_security_rule proximity_placement_group public_ip resource_group
        role_assignment subnet subnet_network_security_group_association user_assigned_identity
        virtual_network
    """,
}
"""Types of resource that a hub of two nodes consists of, without the provider's name."""
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
PLACES: dict[str, dict[str, str]] = {
    "aws": {
        "region": "eu-north-1",
        "instance_type": "g6.xlarge",
        "mailbox_url": "s3://acme-mail/box",
        "account": "123456789012",
    },
    "gcp": {
        "region": "europe-west4",
        "instance_type": "g2-standard-4",
        "mailbox_url": "gs://acme-mail/box",
        "account": "acme-project",
    },
    "azure": {
        "region": "swedencentral",
        "instance_type": "Standard_NC24ads_A100_v4",
        "mailbox_url": "az://acmemail/box",
        "account": SUBSCRIPTION,
    },
}


def spec_of(cloud: str, directory: Path) -> HubSpec:
    """Return a hub of two spot nodes that exposes a port and reads a secret: every kind of resource."""
    return HubSpec(
        run="digits-0a1b2c",
        hub="digits-0a1b2c-h1",
        workload="digits",
        provider=cloud,
        zone="SE",
        market="spot",
        nodes=2,
        expires=datetime(2026, 11, 26, 6, tzinfo=UTC),
        directory=directory / "digits-0a1b2c-h1",
        agent=directory / "agent.pyz",
        python=Path(sys.executable),
        ingress=((8080, ("198.51.100.0/24",)),),
        max_price_usd_hour=2.5,
        secret_names=("API_TOKEN",),
        key_vault="acme-vault",
        **PLACES[cloud],  # type: ignore[arg-type]
    )


@dataclass
class Stage:
    """A hub about to be made on a replayed cloud."""

    replay: Replay
    spec: HubSpec
    listing: ReplayedCloud

    def provisioner(self, **options: object) -> Provisioner:
        return Provisioner(
            cloud=lambda name: self.listing,
            removal_pauses_s=(0, 0, 0, 0),
            state_lock_timeout_s=1,
            **options,  # type: ignore[arg-type]
        )

    def terraform(self) -> Terraform:
        return Terraform(self.spec.workspace, find_binary())

    @property
    def left(self) -> list[Existing]:
        return self.replay.world.existing


@pytest.fixture(params=CLOUDS)
def stage(
    request: pytest.FixtureRequest, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    return staged(request.param, replay, tmp_path, monkeypatch)


def staged(cloud: str, replay: Replay, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("HARCHOS_HOME", str(directory / "home"))
    replay.answers["aws_ec2_instance_type"] = {
        "supported_architectures": ["x86_64"],
        "supported_placement_strategies": ["cluster", "partition", "spread"],
        "gpus": [{"count": 1, "manufacturer": "NVIDIA", "memory_size": 24576, "name": "L4"}],
    }
    return Stage(replay, spec_of(cloud, directory), ReplayedCloud(replay.world, cloud))


def test_a_hub_is_made_once_and_leaves_nothing_when_destroyed(stage: Stage) -> None:
    outputs = stage.provisioner().create(stage.spec)
    assert outputs["hub"] == stage.spec.hub
    machines = [one for one in stage.left if one.type == MACHINE[stage.spec.cloud]]
    assert len(machines) == 2
    assert sorted(map(str.lower, outputs["instances"])) == sorted(one.id.lower() for one in machines)

    assert stage.terraform().plan() == Changes()
    made = len(stage.replay.world.done("create"))
    stage.provisioner().create(stage.spec)
    assert len(stage.replay.world.done("create")) == made

    stage.provisioner().destroy(stage.spec)
    assert stage.left == []
    assert stage.provisioner().state(stage.spec.directory) == []
    stage.provisioner().destroy(stage.spec)


def kinds(cloud: str) -> list[str]:
    return [f"{PROVIDER[cloud]}_{kind}" for kind in KINDS[cloud].split()]


def test_the_kinds_at_which_faults_are_injected_are_all_there_are(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    assert sorted({each.type for each in stage.left}) == kinds(stage.spec.cloud)


def test_everything_that_can_carry_the_marks_carries_them(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    tags = stage.spec.tags
    labels = {name.replace(":", "-"): value for name, value in tags.items()}
    labels["harchos-expires"] = "2026-11-26t06-00-00z"
    schemas = load(PROVIDER[stage.spec.cloud]).resources
    for each in stage.left:
        attributes = schemas[each.type]["block"]["attributes"]
        if "tags" in attributes and stage.spec.cloud != "gcp":
            assert tags.items() <= each.tags.items(), each
        elif "labels" in attributes:
            assert labels.items() <= each.tags.items(), each


def test_what_is_needed_goes_after_what_needs_it(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    made = [call.id for call in stage.replay.world.done("create")]
    stage.provisioner().destroy(stage.spec)
    gone = [call.id for call in stage.replay.world.done("delete")]
    assert sorted(map(str, gone)) == sorted(map(str, made))
    for call in stage.replay.world.done("create"):
        for other in named_in(call, made):
            assert gone.index(call.id) < gone.index(other), f"{other} went before {call.id}"


def named_in(call: Call, ids: list[str | None]) -> list[str]:
    """Return the resources that another one was created with; only by ids that are nobody's name, too."""
    text = json.dumps(call.values)
    return [i for i in ids if i and i != call.id and ("/" in i or i[-17:].isalnum()) and f'"{i}"' in text]


FAULTS = {
    "refused": Fault(error="AccessDenied: injected"),
    "made, but its answer came too late": Fault(error="timeout while waiting for state", leaves="tainted"),
    "Terraform was killed when it was made": Fault(crash=True, leaves="orphan"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("cloud", "kind"), [(cloud, kind) for cloud in CLOUDS for kind in kinds(cloud)])
def test_after_any_fault_a_destroy_leaves_nothing(
    cloud: str, kind: str, fault: Fault, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(cloud, replay, tmp_path, monkeypatch)
    replay.faults[f"{kind}:create"] = fault
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(stage.spec)
    assert raised.value.code in ("permission", "timeout", "crash")
    assert raised.value.elsewhere
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []


@pytest.mark.parametrize("refused", {r.cloud: r for r in REFUSED}.values(), ids=lambda r: r.cloud)
def test_a_refusal_says_what_where_and_what_next(
    refused: Refused, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(refused.cloud, replay, tmp_path, monkeypatch)
    replay.faults[refused.at] = Fault(error=refused.text)
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(stage.spec)
    error = raised.value
    assert error.code == refused.code
    assert error.what.startswith(f"{refused.cloud}/{stage.spec.region}: ")
    assert refused.text in error.what
    assert error.hint
