"""What Terraform would create for a hub, found out without recording anything."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from harchos_infra.errors import HarchosError
from harchos_infra.provision.binary import find_binary
from harchos_infra.provision.child import CancelledError
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.failure import provision_error
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.root_module import write_root
from harchos_infra.provision.terraform import Terraform


def preview(spec: HubSpec) -> dict[str, int]:
    """Return how many resources of each type `terraform plan` would create for a hub, in order of type.

    The root lies in a private directory that is gone afterwards; no state, plan file or lock is made.
    Raises ProvisionError where Terraform, or the cloud that it asks, refuses.
    """
    counts: Counter[str] = Counter()

    def count(event: TerraformEvent) -> None:
        if event.type == "planned_change" and event.action == "create":
            counts[event.raw["change"]["resource"]["resource_type"]] += 1

    with tempfile.TemporaryDirectory(prefix="harchos-plan-") as directory:
        write_root(spec, Path(directory))
        terraform = Terraform(Path(directory), find_binary())
        try:
            terraform.init()
            terraform.plan(count)
        except CancelledError:
            raise
        except HarchosError as error:
            raise provision_error(error, spec) from error
    return dict(sorted(counts.items()))
