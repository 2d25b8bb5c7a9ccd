"""A hub of several nodes on this machine for a test: an agent for each, started as the local module does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from harchos_infra.hub.nodes import node_name
from tests.support.agent import Hub


class Node(Hub):
    """One node, with its own mailbox and directory; `hub` is the name of the hub."""

    def __init__(self, root: Path, agent: Path, run: str, node: int, nodes: int) -> None:
        super().__init__(root, agent)
        self.run, self.hub = run, node_name(f"{run}-h1", node)
        self.mailbox = type(self.mailbox)(self.url, self.run, self.hub)
        self.directory = root / f"machine-n{node}"
        self.environment = {"HARCHOS_NODE": str(node), "HARCHOS_NODES": str(nodes)}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.run(
            ["env", *env, self.python, str(self.agent), *arguments],
            capture_output=True,
            text=True,
            timeout=60.0,
            check=False,
        )


class Gang:
    """All nodes of a hub."""

    def __init__(self, root: Path, agent: Path, run: str, nodes: int) -> None:
        self.nodes = [Node(root, agent, run, node, nodes) for node in range(nodes)]
        self.leader = self.nodes[0]

    def shell(self, script: str, **changes: Any) -> None:
        """Write `job.json` of every node for a shell script."""
        for node in self.nodes:
            node.shell(script, **{"hub": self.leader.hub, **changes})

    def start(self, ttl_s: float = 120.0) -> None:
        """Start every node's agent."""
        for node in self.nodes:
            started = node.start(ttl_s)
            assert started.returncode == 0, started.stderr

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.stop()
