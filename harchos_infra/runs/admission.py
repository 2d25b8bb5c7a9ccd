"""What controllers share: which runs are free, which wait for a place on a cloud, and who gets the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from harchos_infra.runs import owners, schema
from harchos_infra.runs.database import Database, db_now, insert_new
from harchos_infra.runs.ledger import LEASE_S, Lease

_RENTING = ("wait", "provision", "run", "destroy")
"""Phases in which a run that has a place on a cloud may have a hub there."""


@dataclass(frozen=True, slots=True)
class News:
    """What a controller must act on: runs of its own that are to stop, and whether any run is free."""

    stops: tuple[str, ...]
    free: bool


class Admission:
    """The runs of a ledger as controllers see them; `owner` is the controller that asks."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner

    def renew(self) -> None:
        """Keep every run that this controller holds, by one row."""
        with self._database.write() as db:
            self._live(db)

    def news(self) -> News:
        """Look, cheaply, for wishes to stop and for runs that nobody drives."""
        t = schema.run
        with self._database.read() as db:
            stops = db.execute(
                select(t.c.id).where(schema.UNFINISHED, t.c.owner == self._owner, t.c.desired == "stop")
            ).scalars()
            stopped = tuple(stops)
            free = select(t.c.id).where(schema.UNFINISHED, owners.is_free(db_now(db))).limit(1)
            found = db.execute(free).first() is not None or owners.any_dead(db)
        return News(stopped, found)

    def claim(self, most: int) -> list[RowMapping]:
        """Take up to `most` runs that nobody drives: those under way, then the highest priority, first."""
        t = schema.run
        with self._database.write() as db:
            self._live(db)
            free = (
                select(t.c.id)
                .where(schema.UNFINISHED, owners.is_free(db_now(db)))
                .order_by(t.c.phase == "wait", t.c.priority.desc(), t.c.created_at)
                .limit(most)
                .with_for_update(skip_locked=True, of=t)
            )
            ids = list(db.execute(free).scalars())
            if not ids:
                return []
            # Whoever took one of them since the look began may have given his first sign of life since, too;
            # now that they are locked, a statement of its own sees both.
            still = t.c.id.in_(ids) & owners.is_free(db_now(db))
            db.execute(update(t).where(still).values(owner=self._owner, epoch=t.c.epoch + 1))
            mine = t.c.id.in_(ids) & (t.c.owner == self._owner)
            rows = list(db.execute(select(t).where(mine)).mappings())
            _vacate(db, [row["id"] for row in rows if row["phase"] == "wait"])
            return rows

    def _live(self, db: Connection) -> None:
        """Give a sign of life, then bury the dead: a clock that was set forward makes nobody bury himself."""
        owners.extend(db, self._owner, LEASE_S, kind=owners.CONTROLLER)
        owners.bury(db)

    def release(self, *, but: Collection[str] = ()) -> None:
        """Give up every run that this controller holds, `but` for some."""
        t = schema.run
        with self._database.write() as db:
            mine = (t.c.owner == self._owner) & schema.UNFINISHED
            db.execute(update(t).where(mine, t.c.id.not_in(list(but))).values(owner=None))
            if not but:
                owners.leave(db, self._owner)

    def admit(self, lease: Lease, provider: str, limit: int) -> bool:
        """Give a run a place on a cloud, unless `limit` hubs and runs about to have one are there."""
        h, s, t = schema.hub, schema.slot, schema.run
        with self._database.write(alone=True) as db:
            hubs = db.execute(
                select(h.c.run, h.c.place, t.c.rehearsal)
                .join(t, t.c.id == h.c.run)
                .where(schema.ALIVE, h.c.run != lease.run)
            ).all()
            there = [hub.run for hub in hubs if cloud_of(hub.place, rehearsal=hub.rehearsal) == provider]
            placed = db.execute(
                select(s.c.run)
                .join(t, t.c.id == s.c.run)
                .where(s.c.provider == provider, t.c.phase.in_(_RENTING), t.c.id != lease.run)
            ).scalars()
            busy = len(there) + len(set(placed) - set(there))
            if busy >= limit:
                return False
            db.execute(insert_new(db, s).values(run=lease.run, provider=provider))
            return True

    def vacate(self, run: str) -> None:
        """Give a run's place back."""
        with self._database.write() as db:
            _vacate(db, [run])


def cloud_of(place: Mapping[str, Any], *, rehearsal: bool) -> str:
    """Return the cloud whose limit a hub counts for: a stand-in is on this machine."""
    return "local" if rehearsal else str(place["provider"])


def _vacate(db: Connection, runs: Sequence[str]) -> None:
    db.execute(delete(schema.slot).where(schema.slot.c.run.in_(runs)))
