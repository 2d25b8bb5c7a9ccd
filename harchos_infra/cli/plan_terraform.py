"""`harchos plan --terraform`: what Terraform would create for the chosen schedule, beside its price."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harchos_infra.cli.plan_view import Section
    from harchos_infra.planner.plan import Plan, Segment
    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.settings import Settings


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


def creations(plan: Plan) -> list[Creation]:
    """Ask Terraform what it would create for each hub of the chosen schedule; nothing is recorded.

    Raises HarchosError where a setting is missing, and ProvisionError where Terraform or the cloud refuses.
    """
    from harchos_infra.provision.preview import preview

    assert plan.chosen is not None
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, segment in enumerate(plan.chosen.segments, start=1):
        alike.setdefault((*segment.offer, segment.nodes), []).append(number)
    return [
        Creation(segment, tuple(hubs), preview(_spec(plan, segment, hubs[0])))
        for hubs in alike.values()
        for segment in [plan.chosen.segments[hubs[0] - 1]]
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


def _spec(plan: Plan, segment: Segment, number: int) -> HubSpec:
    """Return a hub as `apply` would make it, under a name that no run has."""
    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.runs.mailboxes import mailbox_root
    from harchos_infra.settings import Settings, home

    settings, workload = Settings.load(), plan.workload["metadata"]["name"]
    run = f"{workload}-000000"
    hub = f"{run}-h{number}"
    secrets: list[dict[str, Any]] = plan.workload["spec"].get("secrets") or []
    return HubSpec(
        run=run,
        hub=hub,
        workload=workload,
        provider=segment.provider,
        region=segment.region,
        zone=segment.zone,
        instance_type=segment.instance_type,
        market=segment.market,
        nodes=segment.nodes,
        expires=segment.end + timedelta(minutes=30),
        mailbox_url=mailbox_root({"provider": segment.provider}, rehearsal=False),
        directory=home() / "hubs" / hub,
        agent=home() / "hubs" / hub / "agent.pyz",
        python=Path(sys.executable),
        account=_account(segment.provider, settings),
        max_price_usd_hour=segment.price_usd_hour if segment.market == "spot" else None,
        secret_names=tuple(secret["name"] for secret in secrets),
        key_vault=settings.azure_key_vault,
    )


def _account(provider: str, settings: Settings) -> str | None:
    """Return the project or subscription that hubs are made in, as far as settings and environment say."""
    if provider == "gcp":
        return settings.gcp_project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if provider == "azure":
        return settings.azure_subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    return None


def _place(segment: Segment) -> str:
    nodes = f"{segment.nodes} x " if segment.nodes > 1 else ""
    spot = " (spot)" if segment.market == "spot" else ""
    return f"{segment.provider}/{segment.region} {nodes}{segment.instance_type}{spot}"


def _numbers(creation: Creation) -> str:
    return ", ".join(map(str, creation.hubs))
