"""A hub of a run as it is provisioned: from its row in the ledger to what Terraform makes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harchos_infra.clouds.cloud import Cloud, cloud
from harchos_infra.hub.mailbox import MailboxError
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.runs.mailboxes import job_box
from harchos_infra.runs.rented import is_rented, spec_of
from harchos_infra.settings import home


def hub_cloud(run: Mapping[Any, Any], place: Mapping[str, Any]) -> Cloud:
    """Return the adapter of the cloud that a run's hub is on: a rehearsal's is always here."""
    return cloud("local" if run["rehearsal"] else place["provider"])


def hub_spec(run: Mapping[Any, Any], hub: Mapping[Any, Any]) -> HubSpec:
    """Return the hub of a row, at the place that was accepted for it."""
    place = hub["place"]
    directory = home() / "hubs" / hub["hub"]
    return HubSpec(
        run=run["id"],
        hub=hub["hub"],
        workload=run["workload"],
        provider=place["provider"],
        region=place["region"],
        zone=place["zone"],
        instance_type=place["instanceType"],
        market=place["market"],
        nodes=place["nodes"],
        expires=datetime.fromtimestamp(hub["expires_at"], UTC),
        mailbox_url=hub["mailbox"],
        directory=directory,
        agent=directory / "agent.pyz",
        python=Path(sys.executable),
        rehearsal=run["rehearsal"],
        **(spec_of(hub, _job(run["id"])) if is_rented(run, place) else {}),
    )


def _job(run: str) -> Mapping[str, Any]:
    """Return the run's job; where that is lost, one that asks for nothing: its hubs can be taken down yet."""
    try:
        job: Mapping[str, Any] | None = job_box(run).get_json("job.json")
    except MailboxError:
        job = None
    return job or {"service": None, "secret_names": []}
