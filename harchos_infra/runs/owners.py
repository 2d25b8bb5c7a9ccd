"""Who drives runs: every owner's sign of life, one row for all the runs that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, delete, select

from harchos_infra.runs import schema
from harchos_infra.runs.database import Database, db_now, insert_or
from harchos_infra.runs.owner import is_live

COMMAND, CONTROLLER = "command", "controller"


@dataclass(frozen=True, slots=True)
class Owner:
    """A live process that drives runs: a command in a terminal, or a controller."""

    name: str
    kind: str
    since: datetime

    @property
    def place(self) -> str:
        """Machine and pid, in words."""
        machine, _, process = self.name.partition(":")
        return f"pid {process.partition(':')[0]} on {machine}"


def extend(db: Connection, owner: str, lease_s: float, *, kind: str = COMMAND) -> None:
    """Record a sign of life: what `owner` holds is its own for another `lease_s`."""
    t, now = schema.owner, db_now(db)
    db.execute(
        insert_or(db, t)
        .values(name=owner, kind=kind, since=now, until=now + lease_s)
        .on_conflict_do_update(index_elements=[t.c.name], set_={"until": now + lease_s})
    )


def bury(db: Connection) -> None:
    """Forget owners that are dead: silent for too long, or processes of this machine that are gone."""
    t, now = schema.owner, db_now(db)
    dead = [row.name for row in db.execute(select(t.c.name, t.c.until)) if not is_live(*row, now)]
    if dead:
        db.execute(delete(t).where(t.c.name.in_(dead)))


def any_dead(db: Connection) -> bool:
    """Return whether there is someone to bury."""
    t, now = schema.owner, db_now(db)
    return any(not is_live(row.name, row.until, now) for row in db.execute(select(t.c.name, t.c.until)))


def leave(db: Connection, owner: str) -> None:
    """Forget an owner that holds nothing any more."""
    db.execute(delete(schema.owner).where(schema.owner.c.name == owner))


def is_alive(db: Connection, owner: str | None) -> bool:
    """Return whether `owner` is live."""
    t = schema.owner
    until = db.execute(select(t.c.until).where(t.c.name == owner)).scalar()
    return until is not None and is_live(owner, until, db_now(db))


def is_free(now: float) -> ColumnElement[bool]:
    """Return the condition that nobody who has given a sign of life holds a run."""
    t, o = schema.run, schema.owner
    held = select(o.c.name).where(o.c.name == t.c.owner, o.c.until >= now).exists()
    return t.c.owner.is_(None) | ~held


def controllers(database: Database) -> list[Owner]:
    """Return the controllers that are alive, oldest first."""
    t = schema.owner
    with database.read() as db:
        now = db_now(db)
        rows = db.execute(select(t).where(t.c.kind == CONTROLLER).order_by(t.c.since)).all()
    return [
        Owner(row.name, row.kind, datetime.fromtimestamp(row.since, UTC))
        for row in rows
        if is_live(row.name, row.until, now)
    ]
