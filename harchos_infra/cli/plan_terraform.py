"""`harchos plan --terraform`: what Terraform would create for the chosen schedule, beside its price."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harchos_infra.cli.plan_view import Section
    from harchos_infra.planner.plan import Plan, Segment
    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.workload.loader import LoadedWorkload


@dataclass(frozen=True, slots=True)
class Creation:
    """What is created for one hub; several hubs of a schedule may be alike."""

    segment: Segment
    hubs: tuple[int, ...]
    """Numbers of the hubs, from 1."""
    resources: dict[str, int]
    """How many of each type."""

    @property
    def price_usd_hour(self) -> float:
        """Price of the hub's machines while it is up."""
        return self.segment.nodes * self.segment.price_usd_hour


def creations(plan: Plan, loaded: LoadedWorkload) -> list[Creation]:
    """Ask Terraform what it would create for each hub of the chosen schedule; nothing is recorded.

    Raises HarchosError where a setting is missing, and ProvisionError where Terraform or the cloud refuses.
    """
    from harchos_infra.planner.queue import parts_of
    from harchos_infra.provision.preview import preview

    segments = sorted(
        (s for part in parts_of(plan) for s in part.chosen.segments * part.hubs), key=lambda s: s.start
    )
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, segment in enumerate(segments, start=1):
        alike.setdefault((*segment.offer, segment.nodes), []).append(number)
    return [
        Creation(segment, tuple(hubs), preview(_spec(loaded, segment, hubs[0])))
        for hubs in alike.values()
        for segment in [segments[hubs[0] - 1]]
    ]


def section(made: list[Creation]) -> Section:
    """Return the creations as a part of the plan's page."""
    from harchos_infra.cli.plan_view import Section

    rows = tuple(
        (_numbers(creation), kind, str(count))
        for creation in made
        for kind, count in creation.resources.items()
    )
    lines = tuple(
        f"hub {_numbers(c)}: {_place(c.segment)}, {c.price_usd_hour:.4g} USD/h while it is up" for c in made
    )
    return Section("Terraform would create", ("hub", "resource", "count"), rows, right=(2,), lines=lines)


def with_creations(plan_json: str, made: list[Creation]) -> str:
    """Return the JSON of a plan with the member `terraform`."""
    document = [
        {
            "hubs": list(creation.hubs),
            "provider": creation.segment.provider,
            "region": creation.segment.region,
            "instanceType": creation.segment.instance_type,
            "market": creation.segment.market,
            "nodes": creation.segment.nodes,
            "priceUsdHour": creation.price_usd_hour,
            "create": creation.resources,
        }
        for creation in made
    ]
    member = indent(json.dumps(document, indent=2), "  ").lstrip()
    return plan_json.removesuffix("\n}\n") + f',\n  "terraform": {member}\n}}\n'


def _spec(loaded: LoadedWorkload, segment: Segment, number: int) -> HubSpec:
    """Return a hub as `apply` would make it, under a name that no run has."""
    from harchos_infra.planner.encoding import encode
    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.runs.job import job_document
    from harchos_infra.runs.mailboxes import mailbox_root
    from harchos_infra.runs.rented import spec_of
    from harchos_infra.runs.submit import ttl_s
    from harchos_infra.settings import home
    from harchos_infra.workload.secret import hidden_values

    place, workload = encode(segment), loaded.workload
    run = f"{workload.metadata.name}-000000"
    hub = f"{run}-h{number}"
    rented = {}
    if segment.provider != "local":
        job = job_document(workload, run=run, secret_names=frozenset(hidden_values(loaded)))
        rented = spec_of({"place": place, "identity": _account(segment.provider) or ""}, job)
    return HubSpec(
        run=run,
        hub=hub,
        workload=workload.metadata.name,
        provider=segment.provider,
        region=segment.region,
        zone=segment.zone,
        instance_type=segment.instance_type,
        market=segment.market,
        nodes=segment.nodes,
        expires=segment.start + timedelta(seconds=ttl_s(workload, segment)),
        mailbox_url=mailbox_root(place, rehearsal=False),
        directory=home() / "hubs" / hub,
        agent=home() / "hubs" / hub / "agent.pyz",
        python=Path(sys.executable),
        **rented,
    )


def _account(provider: str) -> str | None:
    """Return the project or subscription that hubs are made in, as far as settings and environment say."""
    from harchos_infra.settings import Settings

    if provider == "gcp":
        return Settings.load().gcp_project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if provider == "azure":
        return Settings.load().azure_subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    return None


def _place(segment: Segment) -> str:
    nodes = f"{segment.nodes} x " if segment.nodes > 1 else ""
    spot = " (spot)" if segment.market == "spot" else ""
    return f"{segment.provider}/{segment.region} {nodes}{segment.instance_type}{spot}"


def _numbers(creation: Creation) -> str:
    return ", ".join(map(str, creation.hubs))
