"""Where the nodes of a hub meet, and what a job is told of it: torchrun's own variables among it."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harchos_infra.hub.nodes import NODE, NODES

_ANYWHERE = ("198.51.100.1", 9)
"""An address of documentation: a datagram socket that is connected to it sends nothing, and says its own."""
_ROUTES = Path("/proc/net/route")


@dataclass(frozen=True, slots=True)
class Meeting:
    """One attempt of a gang: its rendezvous, and where the leader's job listens."""

    id: str
    address: str
    rendezvous_port: int
    port: int

    @classmethod
    def new(cls, hub: str, attempt: int, address: str) -> Meeting:
        """Return one whose ports are free at this moment; its id was never used before."""
        with socket.socket() as one, socket.socket() as other:
            for each in (one, other):
                each.bind(("", 0))
            ports = one.getsockname()[1], other.getsockname()[1]
        return cls(f"{hub}-a{attempt}-{secrets.token_hex(4)}", address, *ports)

    @classmethod
    def parse(cls, value: Any) -> Meeting:
        """Read what the leader wrote. Raises KeyError, TypeError, ValueError."""
        return cls(str(value["id"]), str(value["address"]), int(value["rendezvous_port"]), int(value["port"]))


def alone_environment() -> dict[str, str]:
    """Return what the job of a hub of one node is told."""
    return {NODE: "0", NODES: "1"}


def gang_environment(meeting: Meeting, node: int, nodes: int, local: bool) -> dict[str, str]:
    """Return what a node's job is told of the others.

    `PET_…` are torchrun's options: plain `torchrun train.py` meets the other nodes. `MASTER_…` are for a job
    that starts its processes itself. Gloo and NCCL are told the interface that reaches the others, since a
    machine's name may lead to its loopback.
    """
    address, interface = _loopback(node) if local else _own_address()
    interfaces = {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface} if interface else {}
    return {
        **interfaces,
        NODE: str(node),
        NODES: str(nodes),
        "MASTER_ADDR": meeting.address,
        "MASTER_PORT": str(meeting.port),
        "PET_NNODES": str(nodes),
        "PET_LOCAL_ADDR": address,
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{meeting.address}:{meeting.rendezvous_port}",
        "PET_RDZV_ID": meeting.id,
        "PET_RDZV_CONF": f"is_host={0 if node else 1}",
    }


def address_here(local: bool) -> str:
    """Return the address at which other nodes reach this one: on a cloud the machine's private one."""
    return (_loopback(0) if local else _own_address())[0]


def _loopback(node: int) -> tuple[str, str]:
    """Return an address of this machine's own for a node: torchrun tells nodes apart by address and pid.

    Their pids are alike where each has a namespace of its own.
    """
    return f"127.0.0.{1 + node % 250}", "lo"


def _own_address() -> tuple[str, str]:
    """Return this machine's address on the way out, and the name of that interface, empty if unknown."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ANYWHERE)
        address: str = probe.getsockname()[0]
    with suppress(OSError, IndexError):
        for line in _ROUTES.read_text().splitlines()[1:]:
            interface, destination, *_ = line.split()
            if destination == "00000000":
                return address, interface
    return address, ""
