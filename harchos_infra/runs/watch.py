"""What is seen of a hub: signs of life, how it ended, what it used, and what it says for the first time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.series import read_series
from harchos_infra.hub.status import FINAL as ENDED
from harchos_infra.runs.clock import EXPIRY_MARGIN_S, Clock
from harchos_infra.runs.hub import hub_cloud
from harchos_infra.runs.ledger import Lease, Ledger
from harchos_infra.runs.rented import is_rented
from harchos_infra.runs.verdict import NOT_THE_JOB, Verdict, lost, of_status


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a hub may be silent, in seconds: until its first sign of life, until it is looked for by its
    cloud's own listing, and until it is given up although that still shows it."""

    boot_s: float
    lost_s: float
    hung_s: float


LOCAL = Patience(boot_s=20.0, lost_s=6.0, hung_s=120.0)
RENTED = Patience(boot_s=240.0, lost_s=60.0, hung_s=1200.0)
"""A cloud boots for minutes, and a network is away for ten: the agent's own patience is fifteen."""


class Watch:
    """Watches hubs by their mailboxes (one a node, `boxes`) and by their clouds' listings."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._powers_read: dict[str, list[int]] = {}
        self._beats: dict[str, tuple[int, float]] = {}
        self._told: set[tuple[str, str]] = set()

    def verdict(
        self,
        run: RowMapping,
        hub: RowMapping,
        boxes: Sequence[Mailbox],
        status: Mapping[str, Any],
        *,
        resumes: bool,
    ) -> Verdict | None:
        """Return how a hub ended, None while it may live; `resumes`: the job goes on from checkpoints."""
        if status.get("phase") in ENDED:
            asked = (boxes[0].get_json("control.json") or {}).get("want")
            return of_status(run, status, asked=asked, resumes=resumes)
        if self._clock.now().timestamp() > hub["expires_at"] + EXPIRY_MARGIN_S:
            late = "the hub outlived its TTL without saying so"
            return lost(late, resumes=True) if resumes else Verdict("expired", late)
        for node, box in enumerate(boxes):
            why = self._lost_node(run, hub, node, box)
            if why is not None:
                which = "the hub" if len(boxes) == 1 else f"node {node}"
                return lost(f"{which} {why}", resumes=resumes)
        return None

    def news(self, hub: RowMapping, status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield, as events, what a hub's status says for the first time."""
        news = {
            "runner": status.get("runner") and status.get("runner_detail"),
            "ready": status.get("ready_at") and f"the service answers at {status.get('endpoint')}",
        }
        for kind, detail in news.items():
            if detail and (hub["hub"], kind) not in self._told:
                self._told.add((hub["hub"], kind))
                yield kind, detail

    def read_power(self, lease: Lease, hub: RowMapping, boxes: Sequence[Mailbox]) -> None:
        """Record what a hub has measured since the last reading; what was read is read again harmlessly."""
        rows: list[dict[str, Any]] = []
        name = hub["hub"]
        read = list(self._powers_read.get(name, hub["powers_read"]))
        read += [0] * (len(boxes) - len(read))
        for node, box in enumerate(boxes):
            for chunk in read_series(box, "power", ".jsonl", first=read[node] + 1):
                rows += [_measurement(name, node, json.loads(line)) for line in chunk.splitlines()]
                read[node] += 1
        self._ledger.add_measurements(lease, rows, hub=name, read=read)
        self._powers_read[name] = read

    def _lost_node(self, run: RowMapping, hub: RowMapping, node: int, box: Mailbox) -> str | None:
        """Say why a node of a hub is lost, None while it may live: without all of them none can go on."""
        if node:
            status = box.get_json("status.json") or {}
            reason = status.get("reason") or ""
            if status.get("phase") in ENDED and NOT_THE_JOB.match(reason):
                return f"was lost: {reason}"
        heartbeat = box.get_json("heartbeat.json")
        silent_s = self._clock.steady_s() - self._last_beat(box, heartbeat)
        patience = RENTED if is_rented(run, hub["place"]) else LOCAL
        if silent_s < (patience.lost_s if heartbeat else patience.boot_s):
            return None
        if silent_s > patience.hung_s or not _is_alive(run, hub, node):
            return f"has been silent for {silent_s:.0f} s"
        return None

    def _last_beat(self, box: Mailbox, heartbeat: Mapping[str, Any] | None) -> float:
        """Return when the heart was first seen to have beaten as often as now, by the steady clock.

        The clocks of the hub and of this machine may be wrong, and may be set at any time.
        """
        beats = 0 if heartbeat is None else heartbeat["seq"]
        seen = self._beats.get(box.hub)
        if seen is None or seen[0] != beats:
            seen = self._beats[box.hub] = (beats, self._clock.steady_s())
        return seen[1]


def _is_alive(run: RowMapping, hub: RowMapping, node: int) -> bool:
    """Tell whether a node's machine is there, or here one of its processes.

    A container is on an engine's books even if every process of it was killed; a cloud's listing tells how
    many machines there are, not which.
    """
    nodes = hub["place"]["nodes"]
    if is_rented(run, hub["place"]) and nodes > 1:
        listed = hub_cloud(run, hub["place"]).list(hub=hub["hub"])
        return sum(resource.kind == "instance" for resource in listed) >= int(nodes)
    name = hub["hub"] if nodes == 1 else f"{hub['hub']}-n{node}"
    found = hub_cloud(run, hub["place"]).list(hub=name)
    return any(resource.kind not in ("cgroup", "container") for resource in found)


def _measurement(hub: str, node: int, line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hub": hub,
        "node": node,
        "at": datetime.fromisoformat(line["at"]).timestamp(),
        "seconds": line["seconds"],
        "joules": line["joules"],
        "gpu_joules": line["gpu_joules"],
        "basis": line["basis"],
        "by": line["by"],
    }
