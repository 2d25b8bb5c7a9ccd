"""Recurring workloads as the ledger has them: begun, looked at, ended.

Of workloads of one name at most one recurs. Its job, with files and secrets, waits on this machine like that
of a run (`stage`), under the recurrence's own name, until it is ended.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from harchos_infra.errors import HarchosError
from harchos_infra.runs import schema
from harchos_infra.runs.clock import Clock
from harchos_infra.runs.database import Database, db_now
from harchos_infra.runs.ledger import FINAL
from harchos_infra.runs.stage import stage_job, unstage_run
from harchos_infra.workload.document import Repetition
from harchos_infra.workload.loader import LoadedWorkload
from harchos_infra.workload.occurrence import Occurrence, ticks
from harchos_infra.workload.public import public_document

BEGUN, ENDED = "recurs", "ended"
"""Kinds of events, beside the states of occurrences."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A workload that is to recur, with what only the user can supply; each as in `Submission`."""

    loaded: LoadedWorkload
    """As it was read, for no tick."""
    secrets: Mapping[str, str]
    signal: str | None
    policy: Mapping[str, str] | None
    priority: int


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A workload that recurs, and how its last occurrence went."""

    id: str
    workload: str
    schedule: Repetition
    next: Occurrence
    last: RowMapping | None
    """Row of its last occurrence, with `outcome` and `phase` of its run."""


def begin(database: Database, beginning: Beginning, *, clock: Clock) -> tuple[str, str | None]:
    """Let a workload recur from its next tick on, in place of another one of its name.

    Returns the name of the recurrence, and of that which it replaces.
    """
    workload, now = beginning.loaded.workload, clock.now()
    schedule = workload.spec.schedule
    assert schedule is not None
    name, t = f"{workload.metadata.name}-{secrets.token_hex(3)}", schema.recurrence
    tick = ticks(schedule).next(now)
    stage_job(beginning.loaded, beginning.secrets, name)
    row = {
        "id": name,
        "workload": workload.metadata.name,
        "document": public_document(workload),
        "source": {"path": str(beginning.loaded.path), "sha256": beginning.loaded.sha256},
        "signal": beginning.signal,
        "policy": None if beginning.policy is None else dict(beginning.policy),
        "priority": beginning.priority,
        "next_tick": tick.timestamp(),
        "created_at": now.timestamp(),
    }
    try:
        with database.write(alone=True) as db:
            before = _live(db, workload.metadata.name)
            if before is not None:
                _end(db, before["id"], now, f"in its place: {name}")
            db.execute(insert(t).values(row))
            begun = f"{schedule.cron} {schedule.timezone}, from {tick:%Y-%m-%d %H:%M} UTC"
            append(db, name, [(BEGUN, begun)])
    except HarchosError:
        unstage_run(name)
        raise
    if before is not None:
        unstage_run(before["id"])
    return name, None if before is None else str(before["id"])


def end(database: Database, name: str, reason: str, *, clock: Clock) -> None:
    """Let a workload recur no more; its job and secrets are forgotten, and a run under way is left alone."""
    with database.write() as db:
        _end(db, name, clock.now(), reason)
    unstage_run(name)


def find(database: Database, name: str) -> RowMapping | None:
    """Return the row that the name of a workload or of a recurrence means: not ended, else the last."""
    t = schema.recurrence
    named = select(t).where((t.c.id == name) | (t.c.workload == name))
    with database.read() as db:
        last = named.order_by(t.c.ended_at.is_(None).desc(), t.c.created_at.desc())
        return db.execute(last).mappings().first()


def live(database: Database) -> list[Recurrence]:
    """Return every workload that recurs, by the next tick."""
    t, o, r = schema.recurrence, schema.occurrence, schema.run
    with database.read() as db:
        rows = db.execute(select(t).where(schema.LIVE).order_by(t.c.next_tick, t.c.id)).mappings().all()
        last = {
            row["id"]: db.execute(
                select(o, r.c.outcome, r.c.phase)
                .outerjoin(r, r.c.id == o.c.run)
                .where(o.c.recurrence == row["id"])
                .order_by(o.c.tick.desc())
            )
            .mappings()
            .first()
            for row in rows
        }
    return [_recurrence(row, last[row["id"]]) for row in rows]


def due(database: Database, now: datetime) -> list[RowMapping]:
    """Return the rows whose next tick has come."""
    t = schema.recurrence
    with database.read() as db:
        query = select(t).where(schema.LIVE, t.c.next_tick <= now.timestamp())
        return list(db.execute(query).mappings())


def run_under_way(database: Database, name: str) -> str | None:
    """Return the run of an earlier occurrence that has not ended."""
    o, r = schema.occurrence, schema.run
    with database.read() as db:
        query = select(r.c.id).join(o, o.c.run == r.c.id).where(o.c.recurrence == name, r.c.phase != FINAL)
        found: str | None = db.execute(query).scalars().first()
    return found


def events(database: Database, name: str, *, after: int = 0) -> list[RowMapping]:
    """Return the events of a recurrence whose number is above `after`, oldest first."""
    e = schema.event
    with database.read() as db:
        query = select(e).where(e.c.recurrence == name, e.c.id > after).order_by(e.c.id)
        return list(db.execute(query).mappings())


def append(db: Connection, name: str, events: Sequence[tuple[str, str]], *, run: str | None = None) -> None:
    """Write events of a recurrence, which are those of `run`, too."""
    now = db_now(db)
    for kind, detail in events:
        db.execute(insert(schema.event).values(run=run, recurrence=name, at=now, kind=kind, detail=detail))


def _live(db: Connection, workload: str) -> RowMapping | None:
    t = schema.recurrence
    return db.execute(select(t).where(schema.LIVE, t.c.workload == workload)).mappings().first()


def _end(db: Connection, name: str, now: datetime, reason: str) -> None:
    t = schema.recurrence
    ended = db.execute(update(t).where(t.c.id == name, schema.LIVE).values(ended_at=now.timestamp()))
    if ended.rowcount:
        append(db, name, [(ENDED, reason)])


def _recurrence(row: RowMapping, last: RowMapping | None) -> Recurrence:
    schedule = schedule_of(row)
    tick = datetime.fromtimestamp(row["next_tick"], UTC)
    return Recurrence(row["id"], row["workload"], schedule, Occurrence.at(schedule, tick), last)


def schedule_of(row: Mapping[Any, Any]) -> Repetition:
    """Return the schedule of a recurrence's row."""
    return Repetition.model_validate(row["document"]["spec"]["schedule"], by_name=False)
