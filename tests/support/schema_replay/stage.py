"""A hub about to be made on a replayed cloud, with eyes on that cloud."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.provision.binary import find_binary
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.provision.terraform import Terraform
from support.schema_replay.cloud import ReplayedCloud
from support.schema_replay.fault import Fault
from support.schema_replay.replay import Replay
from support.schema_replay.world import Existing

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

    def fail(self, operation: str, error: str) -> None:
        """Make an operation of the cloud's provider fail."""
        self.replay.faults[f"{PROVIDER[self.spec.cloud]}:{operation}"] = Fault(error=error)

    def fail_machine(self, operation: str, error: str) -> None:
        """Make an operation on the hub's machines fail."""
        self.replay.faults[f"{MACHINE[self.spec.cloud]}:{operation}"] = Fault(error=error)

    @property
    def left(self) -> list[Existing]:
        """What the cloud holds."""
        return self.replay.world.existing


def staged(cloud: str, replay: Replay, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage on `aws`, `gcp` or `azure`, with a home of its own."""
    monkeypatch.setenv("HARCHOS_HOME", str(directory / "home"))
    replay.answers["aws_ec2_instance_type"] = {
        "supported_architectures": ["x86_64"],
        "supported_placement_strategies": ["cluster", "partition", "spread"],
        "gpus": [{"count": 1, "manufacturer": "NVIDIA", "memory_size": 24576, "name": "L4"}],
    }
    return Stage(replay, spec_of(cloud, directory), ReplayedCloud(replay.world, cloud))


def kinds(cloud: str) -> list[str]:
    """Return the types of resource that a hub of two nodes consists of, in order."""
    return [f"{PROVIDER[cloud]}_{kind}" for kind in KINDS[cloud].split()]
