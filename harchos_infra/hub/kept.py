"""What a node keeps of its job in the mailbox: checkpoint and outputs, alone or with other nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harchos_infra.hub.checkpoints import Checkpoints
from harchos_infra.hub.files import DamagedError
from harchos_infra.hub.gang import Follower, Gang, Leader
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.nodes import node_boxes
from harchos_infra.hub.outputs import Outputs, carried, put_out
from harchos_infra.hub.parts import Generations, Parts
from harchos_infra.hub.runner import RunnerError

Say = Callable[[str], None]


class Kept(Protocol):
    """A node's checkpoint and outputs. Every method raises MailboxError, those that upload also OSError."""

    outputs: Outputs

    def restore(self) -> tuple[int | None, int]:
        """Start from the work of the hub before; return its generation, and how many files were put out."""

    def checkpoint(self) -> int | None:
        """Make a generation of what there is; return its number, None if there is nothing new."""

    def store(self) -> list[str]:
        """Store checkpoint and outputs for good; return which outputs were refused."""

    def save(self) -> int | None:
        """Store what this node wrote; return the number of its part, None if it wrote no checkpoint."""

    def publish(self, parts: list[int | None]) -> None:
        """Make a generation of the parts of all nodes; node 0 does."""

    def resume(self) -> None:
        """Start from what all nodes have stored."""


class KeptAlone:
    """Of a hub of one node."""

    def __init__(self, mailbox: Mailbox, checkpoints: Path, outputs: Path, say: Say) -> None:
        self.outputs = Outputs(mailbox, outputs)
        self._mailbox = mailbox
        self._checkpoints = Checkpoints(mailbox, checkpoints)
        self._say = say

    def restore(self) -> tuple[int | None, int]:
        """Start from the work of the hub before."""
        return self._checkpoints.restore(self._say), self.outputs.restore(carried(self._mailbox))

    def checkpoint(self) -> int | None:
        """Make a generation of what there is."""
        return self._checkpoints.upload()

    def store(self) -> list[str]:
        """Store checkpoint and outputs for good."""
        self._checkpoints.upload()
        return self.outputs.upload()

    def save(self) -> int | None:
        """What is here stays here."""
        return None

    def publish(self, parts: list[int | None]) -> None:
        """There is no other part."""

    def resume(self) -> None:
        """All of it is here."""


class KeptTogether:
    """Of one of several nodes; `hub` is the hub's mailbox."""

    def __init__(
        self,
        hub: Mailbox,
        node: int,
        nodes: int,
        gang: Leader | Follower,
        checkpoints: Path,
        outputs: Path,
        say: Say,
    ) -> None:
        self._boxes = node_boxes(hub, nodes)
        self.outputs = Outputs(self._boxes[node], outputs, node)
        self._parts = Parts(hub, node, nodes, checkpoints)
        self._generations = Generations(hub, nodes)
        self._gang = gang
        self._say = say

    def restore(self) -> tuple[int | None, int]:
        """Start from the work of the hub before, which lies in the hub's mailbox for all nodes."""
        return self._parts.restore(self._say), self.outputs.restore(carried(self._boxes[0]))

    def checkpoint(self) -> int | None:
        """Make a generation with the others: the leader when it likes, a follower when the leader asks."""
        if isinstance(self._gang, Follower):
            wanted = self._gang.wanted()
            if wanted is not None:
                self._gang.answer(wanted, self._parts.upload())
            return None
        try:
            parts = self._gang.save_all(self._parts.upload())
        except RunnerError as error:
            raise MailboxError(str(error)) from error
        return None if parts is None else self._publish(parts)

    def store(self) -> list[str]:
        """Store checkpoint and outputs for good.

        The leader comes last, with a generation and then its outputs: what was put out is never ahead of what
        was saved, so that a hub which lost a node has put nothing out.
        """
        part = self._parts.upload()
        if isinstance(self._gang, Follower):
            refused = self.outputs.upload()
            self._gang.stored(part)
            return refused
        self._publish(self._gang.stored(part))
        return self.outputs.upload()

    def save(self) -> int | None:
        """Store what this node wrote."""
        number = self._parts.upload()
        self.outputs.upload()
        return number

    def publish(self, parts: list[int | None]) -> None:
        """Make a generation of the parts of all nodes."""
        self._publish(parts)

    def resume(self) -> None:
        """Start from what all nodes have stored."""
        number = self._parts.restore(self._say)
        if number is not None:
            self._say(f"checkpoint {number} of all nodes restored")
        self.outputs.restore(put_out(self._boxes) or [])

    def _publish(self, parts: list[int | None]) -> int | None:
        try:
            return self._generations.publish(parts)
        except DamagedError as error:
            self._say(f"no checkpoint of all nodes: {error}")
            return None


def keep(hub: Mailbox, node: int, nodes: int, gang: Gang, checkpoints: Path, outputs: Path, say: Say) -> Kept:
    """Return what this node keeps."""
    if isinstance(gang, Leader | Follower):
        return KeptTogether(hub, node, nodes, gang, checkpoints, outputs, say)
    return KeptAlone(hub, checkpoints, outputs, say)
