"""The ledger: every run, hub, operation, event and measurement, in SQLite (WAL) under `$HARCHOS_HOME`.

One live owner per run: a lease with an epoch, on the database's own clock. Whoever writes on behalf of a run
names its lease; a stale owner writes nothing and gets `LeaseLostError`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, create_engine, insert, inspect, select, text, update
from sqlalchemy import event as engine_event
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import OperationalError

from harchos_infra.errors import HarchosError
from harchos_infra.runs import schema
from harchos_infra.runs.clock import RunClock
from harchos_infra.runs.owner import is_live
from harchos_infra.runs.record import Event, HubSpan, Measurement, RunRecord
from harchos_infra.settings import home

HEAD = "0003"
LEASE_S = 15.0
FINAL = "done"

_DB_NOW = "((julianday('now') - 2440587.5) * 86400.0)"


class LeaseLostError(HarchosError):
    """Another process has taken the run over; this one must stop touching it."""


class LedgerUnwritableError(HarchosError):
    """The database refuses a write: the disk is full, or another process holds it for too long."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act for a run, until it expires unrenewed or another owner's epoch is higher."""

    run: str
    owner: str
    epoch: int


class Ledger:
    """Reads and writes the ledger. Safe to use from several processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, directory: Path | None = None) -> Ledger:
        """Open the ledger in `directory` (default: the home directory); create or migrate it if needed."""
        place = directory or home()
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise HarchosError(
                f"{place}: {error.strerror}", hint="set HARCHOS_HOME to a directory you can write"
            ) from error
        path = place / "ledger.db"
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        engine_event.listen(engine, "connect", _configure)
        with (place / "ledger.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path.touch(mode=0o600)
            _migrate(engine, path)
        return cls(engine)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(text("BEGIN IMMEDIATE"))
                yield connection
        except OperationalError as error:
            raise LedgerUnwritableError(
                f"the ledger in {home()} cannot be written: {error.orig}",
                hint="make room or repair it, then `harchos sweep` or `harchos resume RUN`",
            ) from error

    # runs and leases

    def add_run(
        self, values: Mapping[str, Any], plan: Mapping[str, Any], *, owner: str, once: bool = False
    ) -> Lease:
        """Insert a run and its plan (`harchos.plan/1`), owned by `owner` from its first moment.

        `once`: HarchosError if another run of this very plan is under way.
        """
        segments = plan["chosen"]["segments"]
        with self._begin() as db:
            if once:
                self._refuse_second(db, values)
            until = _db_now(db) + LEASE_S
            db.execute(
                insert(schema.run).values(
                    **values,
                    segments=segments,
                    segment=0,
                    failed_offers=[],
                    metrics={},
                    owner=owner,
                    until=until,
                    epoch=1,
                )
            )
            db.execute(insert(schema.plan).values(run=values["id"], document=dict(plan)))
        return Lease(str(values["id"]), owner, 1)

    def claim(self, run: str, owner: str) -> Lease | None:
        """Take an unowned or abandoned run; None while another owner is alive."""
        t = schema.run
        with self._begin() as db:
            now = _db_now(db)
            seen = db.execute(select(t.c.owner, t.c.until, t.c.epoch).where(t.c.id == run)).first()
            if seen is None or is_live(seen.owner, seen.until, now):
                return None
            db.execute(
                update(t).where(t.c.id == run).values(owner=owner, until=now + LEASE_S, epoch=seen.epoch + 1)
            )
        return Lease(run, owner, seen.epoch + 1)

    def renew(self, lease: Lease) -> None:
        """Extend the lease; `LeaseLostError` if another owner has taken the run."""
        with self._begin() as db:
            self._set(db, lease, {"until": _db_now(db) + LEASE_S})

    def release(self, lease: Lease) -> None:
        """Give the run up, so that the next owner need not wait for the lease to expire."""
        with self._begin() as db:
            self._set(db, lease, {"owner": None, "until": 0.0})

    def is_owned(self, run: str) -> bool:
        """Return whether a live owner holds the run."""
        t = schema.run
        with self._engine.connect() as db:
            row = db.execute(select(t.c.owner, t.c.until).where(t.c.id == run)).first()
            return row is not None and is_live(row.owner, row.until, _db_now(db))

    def update_run(self, lease: Lease, *, events: Sequence[tuple[str, str]] = (), **values: Any) -> None:
        """Change columns of the run and append events, in one transaction, as its owner."""
        with self._begin() as db:
            self._set(db, lease, values)
            self._append(db, lease.run, events)

    def desire(self, run: str, desired: str, reason: str) -> None:
        """Ask for a state (`run`, `stop`); anyone may ask, the owner acts on it."""
        with self._begin() as db:
            db.execute(
                update(schema.run).where(schema.run.c.id == run).values(desired=desired, reason=reason)
            )
            self._append(db, run, [("desired", f"{desired}: {reason}")])

    def run(self, run: str) -> RowMapping:
        """Return the run's row; `HarchosError` if there is none."""
        with self._engine.connect() as db:
            row = db.execute(select(schema.run).where(schema.run.c.id == run)).mappings().first()
        if row is None:
            raise HarchosError(f"no run named {run!r}", hint="`harchos status` lists the runs")
        return row

    def find(self, text_: str) -> str:
        """Return the id of the run that `text_` names in full or by an unambiguous prefix."""
        ids = [str(row["id"]) for row in self.runs()]
        if text_ in ids:
            return text_
        near = [i for i in ids if i.startswith(text_)]
        if len(near) == 1:
            return near[0]
        if near:
            raise HarchosError(
                f"{text_!r} names several runs: {', '.join(sorted(near))}", hint="write more of the name"
            )
        raise HarchosError(f"no run named {text_!r}", hint="`harchos status` lists the runs")

    def latest(self) -> str:
        """Return the id of the newest run."""
        rows = self.runs()
        if not rows:
            raise HarchosError("there is no run yet", hint="start one with `harchos apply FILE`")
        return str(rows[-1]["id"])

    def runs(self) -> list[RowMapping]:
        """Return all runs, oldest first."""
        with self._engine.connect() as db:
            return list(
                db.execute(select(schema.run).order_by(schema.run.c.created_at, schema.run.c.id)).mappings()
            )

    # hubs

    def intend_hub(self, lease: Lease, values: Mapping[str, Any], event: tuple[str, str]) -> None:
        """Record a hub before anything of it is created."""
        with self._begin() as db:
            self._set(db, lease, {})
            db.execute(insert(schema.hub).values(run=lease.run, **values))
            self._append(db, lease.run, [event])

    def update_hub(self, lease: Lease, hub: str, **values: Any) -> None:
        """Change a hub's columns, as the run's owner."""
        with self._begin() as db:
            self._set(db, lease, {})
            db.execute(update(schema.hub).where(schema.hub.c.hub == hub).values(**values))

    def hubs(self, run: str | None = None) -> list[RowMapping]:
        """Return the hubs of a run, or all, oldest first."""
        query = select(schema.hub).order_by(schema.hub.c.created_at)
        if run is not None:
            query = query.where(schema.hub.c.run == run)
        with self._engine.connect() as db:
            return list(db.execute(query).mappings())

    # operations

    def intend(self, lease: Lease, phase: str, intent: Mapping[str, Any]) -> tuple[int, int]:
        """Record the intent of an outside call before it is made; returns (operation id, attempt from 1).

        Calls with the same intent count as attempts of one.
        """
        with self._begin() as db:
            self._set(db, lease, {})
            t = schema.op
            same = select(t.c.intent).where(t.c.run == lease.run, t.c.phase == phase)
            before = [made for made in db.execute(same).scalars() if made == dict(intent)]
            row = db.execute(
                insert(t)
                .values(
                    run=lease.run,
                    phase=phase,
                    attempt=len(before) + 1,
                    state="intended",
                    intent=dict(intent),
                    at=_db_now(db),
                )
                .returning(t.c.id)
            ).one()
        return int(row.id), len(before) + 1

    def conclude(self, lease: Lease, operation: int, state: str, outcome: Mapping[str, Any]) -> None:
        """Record how an outside call ended: `done` or `failed`."""
        with self._begin() as db:
            self._set(db, lease, {})
            t = schema.op
            db.execute(
                update(t)
                .where(t.c.id == operation)
                .values(state=state, outcome=dict(outcome), finished_at=_db_now(db))
            )

    def operations(self, run: str) -> list[RowMapping]:
        """Return the outside calls of a run, oldest first."""
        with self._engine.connect() as db:
            return list(
                db.execute(
                    select(schema.op).where(schema.op.c.run == run).order_by(schema.op.c.id)
                ).mappings()
            )

    # measurements

    def add_measurements(self, lease: Lease, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store measurements; one already stored (same hub and time) is left as it is."""
        if not rows:
            return
        with self._begin() as db:
            self._set(db, lease, {})
            db.execute(upsert(schema.measurement).on_conflict_do_nothing(), [dict(row) for row in rows])

    def measurements(self, hub: str) -> list[RowMapping]:
        """Return the measurements of a hub, oldest first."""
        m = schema.measurement
        with self._engine.connect() as db:
            return list(db.execute(select(m).where(m.c.hub == hub).order_by(m.c.at, m.c.id)).mappings())

    def last_event(self, run: str, kind: str) -> str | None:
        """Return the detail of a run's last event of a kind; None where there was none."""
        e = schema.event
        query = select(e.c.detail).where(e.c.run == run, e.c.kind == kind).order_by(e.c.id.desc())
        with self._engine.connect() as db:
            detail: str | None = db.execute(query).scalars().first()
        return detail

    # forecast errors

    def add_forecast_errors(self, lease: Lease, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store how far a plan's intensities were off; one already stored (same run and zone) stays."""
        if not rows:
            return
        with self._begin() as db:
            self._set(db, lease, {})
            db.execute(
                upsert(schema.forecast_error).on_conflict_do_nothing(),
                [{"run": lease.run, **row} for row in rows],
            )

    # reading

    def plan(self, run: str) -> dict[str, Any]:
        """Return the plan that the run was begun with, as `harchos.plan/1`; a move does not change it."""
        with self._engine.connect() as db:
            p = schema.plan
            document: dict[str, Any] = db.execute(select(p.c.document).where(p.c.run == run)).scalar_one()
        return document

    def record(self, run: str) -> RunRecord:
        """Return all that is known of a run (full name or prefix)."""
        row = self.run(self.find(run))
        hubs = self.hubs(row["id"])
        plan = self.plan(row["id"])
        with self._engine.connect() as db:
            m = schema.measurement
            measured = (
                db.execute(select(m).where(m.c.hub.in_([h["hub"] for h in hubs])).order_by(m.c.at, m.c.id))
                .mappings()
                .all()
            )
            e = schema.event
            events = db.execute(select(e).where(e.c.run == row["id"]).order_by(e.c.id)).mappings().all()
        return RunRecord(
            id=row["id"],
            workload=row["workload"],
            type=row["type"],
            plan=plan,
            phase=row["phase"],
            outcome=row["outcome"],
            reason=row["reason"],
            rehearsal=row["rehearsal"],
            created_at=_time(row["created_at"]),
            finished_at=_time(row["finished_at"]) if row["finished_at"] else None,
            hubs=tuple(_span(row, h) for h in hubs),
            measurements=tuple(
                Measurement(m["hub"], _time(m["at"]), m["seconds"], m["joules"], m["basis"], m["by"])
                for m in measured
            ),
            intensities=row["intensities"],
            units=row["units"],
            outputs=tuple(row["outputs"]),
            metrics={n: [(_time(at), v) for at, v in points] for n, points in row["metrics"].items()},
            events=tuple(Event(_time(e["at"]), e["kind"], e["detail"]) for e in events),
        )

    # inside a transaction

    def _refuse_second(self, db: Connection, values: Mapping[str, Any]) -> None:
        t = schema.run
        same = (t.c.plan_hash == values["plan_hash"]) & (t.c.rehearsal == values["rehearsal"])
        other = db.execute(select(t.c.id).where(same & (t.c.phase != FINAL))).first()
        if other is not None:
            raise HarchosError(
                f"run {other.id} of this plan is under way",
                hint=f"watch it with `harchos logs -f {other.id}`",
            )

    def _set(self, db: Connection, lease: Lease, values: Mapping[str, Any]) -> None:
        t = schema.run
        changed = db.execute(
            update(t)
            .where(t.c.id == lease.run, t.c.owner == lease.owner, t.c.epoch == lease.epoch)
            .values(**(values or {"epoch": t.c.epoch}))
        )
        if changed.rowcount == 0:
            raise LeaseLostError(
                f"another process has taken over {lease.run}",
                hint=f"watch it with `harchos logs -f {lease.run}`",
            )

    def _append(self, db: Connection, run: str, events: Sequence[tuple[str, str]]) -> None:
        now = _db_now(db)
        for kind, detail in events:
            db.execute(insert(schema.event).values(run=run, at=now, kind=kind, detail=detail))


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _migrate(engine: Engine, path: Path) -> None:
    from sqlalchemy.exc import DatabaseError

    try:
        with engine.connect() as db:
            if inspect(db).has_table("alembic_version"):
                version = db.execute(text("SELECT version_num FROM alembic_version")).scalar()
                if version == HEAD:
                    return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with engine.begin() as db:
            db.execute(text("BEGIN IMMEDIATE"))
            config.attributes["connection"] = db
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise HarchosError(
                    f"{path}: written by a newer harchos ({error})",
                    hint="upgrade harchos, or set another HARCHOS_HOME",
                ) from error
    except DatabaseError as error:
        raise HarchosError(
            f"{path}: cannot be read as a ledger ({error.orig})",
            hint="restore it or move it away to start anew; `harchos sweep` finds hubs without it",
        ) from error


def _db_now(db: Connection) -> float:
    return float(db.execute(text(f"SELECT {_DB_NOW}")).scalar_one())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _span(run: RowMapping, hub: RowMapping) -> HubSpan:
    segment = hub["place"]
    clock = RunClock.of(run)
    created_at = _time(hub["created_at"])
    return HubSpan(
        hub=hub["hub"],
        provider=segment["provider"],
        region=segment["region"],
        zone=segment["zone"],
        instance_type=segment["instanceType"],
        market=segment["market"],
        nodes=segment["nodes"],
        price_usd_hour=segment["priceUsdHour"],
        pue=segment["pue"],
        embodied_gco2e_hour=segment["embodiedGco2eHour"],
        created_at=created_at,
        gone_at=_time(hub["gone_at"]) if hub["gone_at"] else None,
        schedule_offset_s=(clock.at(created_at) - created_at).total_seconds(),
        speed=clock.speed,
        rehearsal=run["rehearsal"],
    )
