"""Where the mailboxes of hubs are: on this machine, or in the object store of their own cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.nodes import node_boxes
from harchos_infra.settings import Settings, home

JOB = "job"
"""Stands for a hub in the name of the mailbox in which a run's job waits."""


def local_root() -> str:
    """Return the root of all mailboxes on this machine as a URL."""
    return (home() / "mailbox").as_uri()


def mailbox_root(place: Mapping[str, Any], *, rehearsal: bool) -> str:
    """Return the root of the mailbox of a hub for a segment.

    Raises HarchosError for a cloud that none is set for.
    """
    provider = place["provider"]
    if provider == "local" or rehearsal:
        return local_root()
    root: str | None = getattr(Settings.load(), f"{provider}_mailbox")
    if root is None:
        raise HarchosError(
            f"hubs on {provider} need a mailbox in an object store there: {provider}.mailbox is not set",
            hint=f"docs/clouds/{provider}.md has the steps; to run the plan on this machine, add --rehearse",
        )
    return root


def with_hubs() -> frozenset[str]:
    """Return the providers that hubs can be made on with these settings."""
    settings = Settings.load()
    clouds = (name for name in ("aws", "gcp", "azure") if getattr(settings, f"{name}_mailbox"))
    return frozenset({"local", *clouds})


def hub_box(hub: Mapping[Any, Any]) -> Mailbox:
    """Return the mailbox of a hub's row, which is that of its node 0."""
    return Mailbox(hub["mailbox"], hub["run"], hub["hub"])


def node_boxes_of(hub: Mapping[Any, Any]) -> list[Mailbox]:
    """Return the mailboxes of the nodes of a hub's row; that of node 0 is the hub's."""
    return node_boxes(hub_box(hub), hub["place"]["nodes"])


def job_box(run: str) -> Mailbox:
    """Return the mailbox in which a run's job waits for its hubs."""
    return Mailbox(local_root(), run, JOB)
