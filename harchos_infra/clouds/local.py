"""This machine as a cloud: a hub here is processes, containers and cgroups that carry its marks."""

from __future__ import annotations

import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path

from harchos_infra.clouds.cgroup import HubCgroup, hub_cgroups
from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.container import hub_containers, remove_container
from harchos_infra.clouds.process import end_process, hub_processes
from harchos_infra.errors import HarchosError

_GRACE_S = 10.0
_NODE = re.compile(r"(?<=\d)-n\d+$")
"""End of the name of a hub's further nodes, `<run>-h<n>-n<i>`; the first goes by the hub's own."""


class LocalCloud:
    """Finds hubs by `HARCHOS_HUB` in environments, cgroups `harchos/<hub>` and labels `harchos:hub`."""

    name = "local"

    def identity(self) -> str:
        """Return user and host: only root sees the processes of every user."""
        return f"uid {os.getuid()} on {socket.gethostname()}"

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        """Return containers, then processes oldest first, then cgroups, of all the nodes of a hub.

        `hub` may name one of several nodes, the first as `<hub>-n0`.
        """
        cgroups = hub_cgroups()
        members = {pid: cgroup.hub for cgroup in cgroups for pid in cgroup.pids()}
        found = [
            *_containers(),
            *_processes(members),
            *(_resource("cgroup", str(cgroup.path), cgroup.hub, None, None, "") for cgroup in cgroups),
        ]
        return [
            resource
            for node, resource in found
            if (run is None or resource.run == run) and hub in (None, resource.hub, node, f"{node}-n0")
        ]

    def delete(self, resource: Resource) -> None:
        """End a process, remove a container or a cgroup; frozen processes are thawed first."""
        if resource.kind == "process":
            for cgroup in hub_cgroups():
                if _hub(cgroup.hub) == resource.hub:
                    cgroup.thaw()
            pid, _, start_ticks = resource.id.partition(":")
            end_process(int(pid), int(start_ticks), grace_s=_GRACE_S)
        elif resource.kind == "container":
            engine, _, container_id = resource.id.partition(":")
            remove_container(engine, container_id)
        elif resource.kind == "cgroup":
            HubCgroup(resource.hub, Path(resource.id)).remove()
        else:
            raise HarchosError(f"the local cloud has no {resource.kind}")


def _containers() -> list[tuple[str, Resource]]:
    return [
        _resource(
            "container",
            f"{container.engine}:{container.id}",
            container.labels["harchos:hub"],
            container.labels.get("harchos:run"),
            container.labels.get("harchos:expires"),
            container.name,
        )
        for container in hub_containers()
    ]


def _processes(members: dict[int, str]) -> list[tuple[str, Resource]]:
    return [
        _resource("process", f"{p.pid}:{p.start_ticks}", p.hub, p.run, p.expires, p.command[:80])
        for p in hub_processes(members)
    ]


def _resource(
    kind: str, id: str, node: str, run: str | None, expires: str | None, detail: str
) -> tuple[str, Resource]:
    """Build a resource of a node; a mark that lacks the run still has it in the hub's name, `<run>-h<n>`."""
    hub = _hub(node)
    run = run or hub.rpartition("-h")[0] or hub
    return node, Resource("local", kind, id, run, hub, _time(expires), detail, price_usd_hour=None)


def _hub(node: str) -> str:
    return _NODE.sub("", node)


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
