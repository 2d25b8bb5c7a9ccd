"""A run of a queue, beside what every run does: its hub is given items, and what it records is taken.

A hub has a few items ahead of the one it does, more where they are short, so that a faster hub takes more.
When nothing waits its list is closed, and it ends when it has done what it was given. What comes back later,
from a hub that was lost, is for the next hub of that run. A hub whose planned time is over leaves the rest to
a run whose hub is still to come: the plan chose those hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import RowMapping

from harchos_infra.hub.items import Assignment, assign, assigned, object_name, read_records
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.outputs import Found
from harchos_infra.runs import segment
from harchos_infra.runs.items import Items, still_to_come, working
from harchos_infra.runs.ledger import Lease, Ledger
from harchos_infra.runs.mailboxes import hub_box
from harchos_infra.runs.verdict import Verdict

AHEAD = 2
"""Items that a hub has at least, the one that it does included, while any wait."""
NAMED = 5
"""Failed items that a reason names."""
RETURNED = "returned"
"""The interruption of a run whose hub had ended when items came back to the queue."""


class Feed:
    """What a reconciler does for runs of queues."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._items = Items(ledger)

    def is_empty(self, run: RowMapping) -> bool:
        """Tell whether no item of the run's queue waits, so that another hub has nothing to do."""
        return run["queue"] is not None and not self._items.any_waits(run["queue"])

    def step(
        self, lease: Lease, run: RowMapping, hub: RowMapping, box: Mailbox, now: datetime, *, gives: bool
    ) -> None:
        """Take what the hub has recorded, and give it what it is to do next. Raises MailboxError.

        `now` is on the run's own clock; `gives`: the hub may have more. Nothing happens where the run has no
        queue.
        """
        if run["queue"] is None:
            return
        ended = self._take(lease, hub, box)
        there = assigned(box)
        closed = there.closed
        if gives and not closed:
            closed = self._leaves_the_rest(run, now)
            if not closed:
                self._top_up(lease, run, hub, ended)
                closed = self.is_empty(run)
        wanted = Assignment(tuple(self._items.assigned(hub["hub"])), closed)
        if wanted != there:
            assign(box, wanted)

    def verdict(self, run: RowMapping, verdict: Verdict | None) -> Verdict | None:
        """Return why a hub goes: where items wait and nobody else is to come, another follows it."""
        if run["queue"] is None or verdict is None or verdict.outcome != "succeeded" or self.is_empty(run):
            return verdict
        if still_to_come(self._items.runs(run["queue"]), run["id"]):
            return verdict
        return Verdict(None, verdict.reason, RETURNED)

    def settle(self, lease: Lease, run: RowMapping, hubs: Sequence[RowMapping]) -> dict[str, Any]:
        """Take the last records of hubs that are gone, and let what they have not done wait again.

        Returns the outcome of the run and its reason, if it has one. Raises MailboxError.
        """
        if run["queue"] is None:
            return {}
        for hub in hubs:
            if self._items.assigned(hub["hub"]):
                box = hub_box(hub)
                self._take(lease, hub, box)
                suspect = (box.get_json("status.json") or {}).get("item")
                back = self._items.give_back(
                    lease, hub["hub"], suspect if run["interruption"] == "lost" else None
                )
                if back:
                    self._ledger.update_run(
                        lease, events=[("items", f"{back} of {hub['hub']} back to the queue")]
                    )
        if run["outcome"] is None or not hubs:
            return {}
        return self._conclusion(run)

    def put_out(self, hubs: Sequence[RowMapping]) -> list[Found]:
        """Return the files of every item that was done on these hubs. Raises MailboxError."""
        found: list[Found] = []
        for hub in hubs:
            done = {item.index: item.name for item in self._items.done_by(hub["hub"])}
            box = hub_box(hub)
            for record in read_records(box) if done else ():
                name = done.pop(record.index, None)
                if name is not None:
                    found += [
                        (box, object_name(name, f.path), replace(f, path=f"{name}/{f.path}"))
                        for f in record.files
                    ]
        return found

    def units(self, run: RowMapping) -> dict[str, float]:
        """Return what the run has done, as units of its report."""
        return {"items": float(self._items.counts(run["queue"], run["id"]).done)}

    def share_left(self, run: RowMapping) -> float | None:
        """Return which share of a run's planned work is left for it; None where it has no queue.

        The runs that have not ended share what is left.
        """
        if run["queue"] is None:
            return None
        counts, runs = self._items.counts(run["queue"]), self._items.runs(run["queue"])
        planned = self._ledger.decision(run["id"])["inputs"].get("queue", {}).get("hubs", 1)
        return float(counts.left / counts.total * planned / max(working(runs), 1))

    def _leaves_the_rest(self, run: RowMapping, now: datetime) -> bool:
        """Tell whether the hub's planned time is over, by the run's own clock, and that of another is not.

        Where all of them are late, as after hours without a controller, each does what it can.
        """
        if now < datetime.fromisoformat(segment.current(run)["end"]):
            return False
        others = still_to_come(self._items.runs(run["queue"]), run["id"])
        return any(now < datetime.fromisoformat(segment.current(other)["end"]) for other in others)

    def _take(self, lease: Lease, hub: RowMapping, box: Mailbox) -> int:
        return self._items.record(
            lease, hub["hub"], list(read_records(box, 1 + self._items.read(hub["hub"])))
        )

    def _top_up(self, lease: Lease, run: RowMapping, hub: RowMapping, ended: int) -> None:
        waiting = self._items.counts(run["queue"]).waiting
        fair = ceil(waiting / (2 * max(working(self._items.runs(run["queue"])), 1)))
        wanted = max(AHEAD, min(2 * ended, fair))
        self._items.give(lease, run["queue"], hub["hub"], wanted - len(self._items.assigned(hub["hub"])))

    def _conclusion(self, run: Mapping[Any, Any]) -> dict[str, Any]:
        mine = self._items.counts(run["queue"], run["id"])
        did = f"{mine.done} {'item' if mine.done == 1 else 'items'} done"
        if mine.failed:
            failed = self._items.failed(run["queue"], run["id"])
            more = ", …" if len(failed) > NAMED else ""
            did += f", {mine.failed} failed ({', '.join(failed[:NAMED])}{more})"
        if run["outcome"] != "succeeded":
            return {"reason": f"{run['reason']}; {did}"}
        return {"outcome": "failed" if mine.failed else "succeeded", "reason": did}
