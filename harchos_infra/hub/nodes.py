"""The nodes of a hub: node 0 goes by the hub's name, node i by `<hub>-n<i>`; each has its own mailbox."""

from __future__ import annotations

import os
import re

from harchos_infra.hub.mailbox import Mailbox

NODE, NODES = "HARCHOS_NODE", "HARCHOS_NODES"
"""Environment of an agent, and of its job: which node this is, and how many there are."""
_FOLLOWER = re.compile(r"-n(\d+)$")


def node_name(hub: str, node: int) -> str:
    """Return the name under which a node of a hub works."""
    return f"{hub}-n{node}" if node else hub


def here() -> tuple[int, int]:
    """Return which node of how many this is, by the agent's environment; alone where that says nothing."""
    return int(os.environ.get(NODE) or 0), int(os.environ.get(NODES) or 1)


def hub_of(name: str, node: int) -> str:
    """Return the hub that a node of this name and number belongs to."""
    return _FOLLOWER.sub("", name) if node else name


def node_box(hub: Mailbox, node: int) -> Mailbox:
    """Return the mailbox of a node of the hub with this mailbox, which is node 0's."""
    return Mailbox(hub.url, hub.run, node_name(hub.hub, node)) if node else hub


def node_boxes(hub: Mailbox, nodes: int) -> list[Mailbox]:
    """Return the mailboxes of all nodes of the hub with this mailbox."""
    return [node_box(hub, node) for node in range(nodes)]
