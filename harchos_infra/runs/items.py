"""The queues of a ledger: which item waits, which hub has it, how it ended.

An item is given to a hub by a conditional update in a transaction of the run's owner, so that two who ask at
once never get the same one. It comes back only from a hub that is gone, after that hub's records were read
for the last time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, update

from harchos_infra.errors import HarchosError
from harchos_infra.hub.items import Item, Record
from harchos_infra.runs import schema
from harchos_infra.runs.database import db_now
from harchos_infra.runs.ledger import FINAL, Lease, Ledger

WAITING, ASSIGNED, DONE, FAILED = "waiting", "assigned", "done", "failed"

MOST_LOST = 3
"""Hubs that may be lost while they do one item."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items of a queue, or of one run's share in it, are in which state."""

    waiting: int = 0
    assigned: int = 0
    done: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.assigned + self.done + self.failed

    @property
    def left(self) -> int:
        """Those that have not ended."""
        return self.waiting + self.assigned

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.total} items done"]
        parts += [f"{n} {state}" for state, n in (("failed", self.failed), ("waiting", self.waiting)) if n]
        return ", ".join(parts)


def add_items(db: Connection, queue: str, names: Sequence[str]) -> None:
    """Record a queue whose items all wait, in a transaction."""
    rows = [
        {"queue": queue, "index": index, "name": name, "state": WAITING, "attempts": 0}
        for index, name in enumerate(names)
    ]
    db.execute(insert(schema.queue).values(id=queue, created_at=db_now(db)))
    db.execute(insert(schema.item), rows)


class Items:
    """The items of every queue in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # a queue

    def counts(self, queue: str, run: str | None = None) -> Counts:
        """Return how far a queue is, or what a run has taken part in it."""
        t = schema.item
        asked = select(t.c.state, func.count()).where(t.c.queue == queue).group_by(t.c.state)
        if run is not None:
            asked = asked.where(t.c.run == run)
        with self._ledger.database.read() as db:
            return Counts(**{state: int(n) for state, n in db.execute(asked)})

    def any_waits(self, queue: str) -> bool:
        """Tell whether an item of a queue waits."""
        t = schema.item
        waiting = select(t.c.index).where(t.c.queue == queue, t.c.state == WAITING).limit(1)
        with self._ledger.database.read() as db:
            return db.execute(waiting).first() is not None

    def find(self, text: str) -> str | None:
        """Return the queue that `text` names in full or by an unambiguous prefix; None if none or several."""
        t = schema.queue
        with self._ledger.database.read() as db:
            ids = list(db.execute(select(t.c.id).where(t.c.id.startswith(text, autoescape=True))).scalars())
        if text in ids:
            return text
        return ids[0] if len(ids) == 1 else None

    def runs(self, queue: str) -> list[RowMapping]:
        """Return the runs that share a queue, oldest first; HarchosError if there is none."""
        t = schema.run
        with self._ledger.database.read() as db:
            rows = db.execute(select(t).where(t.c.queue == queue).order_by(t.c.created_at, t.c.id))
            found = list(rows.mappings())
        if not found:
            raise HarchosError(f"no run works on queue {queue!r}", hint="`harchos status` lists the runs")
        return found

    def failed(self, queue: str, run: str) -> list[str]:
        """Return the names of the items that failed on a run's hubs."""
        t = schema.item
        mine = select(t.c.name).where(t.c.queue == queue, t.c.run == run, t.c.state == FAILED)
        with self._ledger.database.read() as db:
            return list(db.execute(mine.order_by(t.c.index)).scalars())

    def done_by(self, hub: str) -> list[Item]:
        """Return the items that a hub has done."""
        return self._of(hub, schema.item.c.state == DONE)

    def retry_failed(self, queue: str) -> None:
        """Let the failed items of a queue wait again."""
        t = schema.item
        with self._ledger.database.write() as db:
            failed = update(t).where(t.c.queue == queue, t.c.state == FAILED)
            db.execute(failed.values(state=WAITING, run=None, hub=None, exit_code=None))

    # a hub

    def assigned(self, hub: str) -> list[Item]:
        """Return what a hub is to do and has not recorded, in the order of the queue."""
        return self._of(hub, schema.item.c.state == ASSIGNED)

    def read(self, hub: str) -> int:
        """Return how many records of a hub were taken."""
        t = schema.item
        ended = select(func.count()).where(t.c.hub == hub, t.c.state.in_((DONE, FAILED)))
        with self._ledger.database.read() as db:
            return int(db.execute(ended).scalar_one())

    def give(self, lease: Lease, queue: str, hub: str, most: int) -> int:
        """Give a hub up to `most` items that wait, the first of the queue first; return how many."""
        t = schema.item
        if most <= 0:
            return 0
        with self._ledger.writing(lease) as db:
            waiting = (
                select(t.c.index)
                .where(t.c.queue == queue, t.c.state == WAITING)
                .order_by(t.c.index)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
            chosen = list(db.execute(waiting).scalars())
            taken = db.execute(
                update(t)
                .where(t.c.queue == queue, t.c.index.in_(chosen), t.c.state == WAITING)
                .values(state=ASSIGNED, run=lease.run, hub=hub)
            )
        return int(taken.rowcount)

    def record(self, lease: Lease, hub: str, records: Iterable[Record]) -> int:
        """Take what a hub has recorded; return of how many items, those that are not the hub's left out."""
        t = schema.item
        rows = [
            (record.index, DONE if record.done else FAILED, record.attempts, record.exit_code)
            for record in records
        ]
        if not rows:
            return 0
        with self._ledger.writing(lease) as db:
            return sum(_ended(db, (t.c.hub == hub) & (t.c.index == row[0]), row) for row in rows)

    def give_back(self, lease: Lease, hub: str, suspect: str | None = None) -> int:
        """Let what a hub has not recorded wait again if it is gone; return how many items.

        `suspect`: the item that the hub did when it was lost. One that was lost with `MOST_LOST` hubs is
        taken for their end, and is failed.
        """
        t, h = schema.item, schema.hub
        gone = select(h.c.hub).where(h.c.hub == hub, h.c.gone_at.is_not(None))
        mine = t.c.hub.in_(gone) & (t.c.state == ASSIGNED)
        with self._ledger.writing(lease) as db:
            with_it = mine & (t.c.name == suspect)
            db.execute(update(t).where(with_it).values(attempts=t.c.attempts + 1))
            db.execute(update(t).where(with_it & (t.c.attempts >= MOST_LOST)).values(state=FAILED))
            back = update(t).where(mine).values(state=WAITING, run=None, hub=None)
            return int(db.execute(back).rowcount)

    def _of(self, hub: str, state: ColumnElement[bool]) -> list[Item]:
        t = schema.item
        mine = select(t.c.index, t.c.name).where(t.c.hub == hub, state).order_by(t.c.index)
        with self._ledger.database.read() as db:
            return [Item(index, name) for index, name in db.execute(mine)]


def still_to_come(runs: Iterable[Mapping[Any, Any]], run: str) -> list[Mapping[Any, Any]]:
    """Return the other runs of a queue that have a hub still to come."""
    return [
        row
        for row in runs
        if row["id"] != run and row["phase"] in ("wait", "provision") and row["desired"] == "run"
    ]


def working(runs: Iterable[Mapping[Any, Any]]) -> int:
    """Return how many runs of a queue have not ended."""
    return Counter(row["phase"] == FINAL for row in runs)[False]


def _ended(db: Connection, which: ColumnElement[bool], row: tuple[int, str, int, int | None]) -> int:
    t = schema.item
    _, state, attempts, code = row
    changed = update(t).where(which, t.c.state == ASSIGNED)
    return int(db.execute(changed.values(state=state, attempts=attempts, exit_code=code)).rowcount)
