"""The ledger: every run, hub, operation, event and measurement, in its `Database`.

One live owner per run: a lease with an epoch, on the database's own clock; it lasts as long as its owner
gives signs of life, one for all the runs that it holds. Whoever writes on behalf of a run
names its lease; a stale owner writes nothing and gets `LeaseLostError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from harchos_infra.errors import HarchosError
from harchos_infra.runs import owners, schema
from harchos_infra.runs.clock import RunClock
from harchos_infra.runs.database import Database, LedgerUnwritableError, db_now, insert_new
from harchos_infra.runs.record import Event, HubSpan, Measurement, RunRecord
from harchos_infra.runs.rejections import unpack

__all__ = ["FINAL", "LEASE_S", "Lease", "LeaseLostError", "Ledger", "LedgerUnwritableError"]

LEASE_S = 15.0
FINAL = "done"


class LeaseLostError(HarchosError):
    """Another process has taken the run over; this one must stop touching it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act for a run, until it expires unrenewed or another owner's epoch is higher."""

    run: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be recorded: columns of its row, and its plan (`harchos.plan/1`).

    A plan whose `rejected` is None has those that are stored for its hash: as `rejected` here, or before.
    """

    values: Mapping[str, Any]
    plan: Mapping[str, Any]
    rejected: bytes | None = None


class Ledger:
    """Reads and writes the ledger. Safe to use from several processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, directory: Path | None = None) -> Ledger:
        """Open the ledger (see `Database.open`); create or migrate it if needed."""
        return cls(Database.open(directory))

    # runs and leases

    def has_rejected(self, plan_hash: str) -> bool:
        """Return whether the rejected candidates of a plan are stored, by another run of it."""
        r = schema.rejected
        with self.database.read() as db:
            return db.execute(select(r.c.plan_hash).where(r.c.plan_hash == plan_hash)).first() is not None

    def add_run(self, values: Mapping[str, Any], plan: Mapping[str, Any], *, owner: str | None) -> Lease:
        """Insert a run and its plan, as `add_runs`."""
        return self.add_runs([NewRun(values, plan)], owner=owner)[0]

    def add_runs(
        self,
        runs: Sequence[NewRun],
        *,
        owner: str | None,
        once: bool = False,
        also: Callable[[Connection], None] | None = None,
    ) -> list[Lease]:
        """Insert runs and their plans, all or none, owned from their first moment (None: by nobody).

        `also` writes in the same transaction, after them; what it raises undoes all.

        `once`: HarchosError if another run of this very plan is under way.
        """
        with self.database.write(alone=once) as db:
            if once:
                self._refuse_second(db, runs[0].values)
            owners.bury(db)
            if owner is not None:
                owners.extend(db, owner, LEASE_S)
            for run in runs:
                self._insert(db, run, owner)
            if also is not None:
                also(db)
        return [Lease(str(run.values["id"]), owner or "", 1) for run in runs]

    def _insert(self, db: Connection, run: NewRun, owner: str | None) -> None:
        segments = run.plan["chosen"]["segments"]
        db.execute(
            insert(schema.run).values(
                **{"segments": segments, "priority": 0, **run.values},
                segment=0,
                failed_offers=[],
                metrics={},
                owner=owner,
                epoch=1,
            )
        )
        db.execute(insert(schema.plan).values(run=run.values["id"], document=dict(run.plan)))
        if run.rejected is not None:
            row = {"plan_hash": run.values["plan_hash"], "packed": run.rejected}
            db.execute(insert_new(db, schema.rejected).values(row))

    def claim(self, run: str, owner: str) -> Lease | None:
        """Take an unowned or abandoned run; None while another owner is alive."""
        t = schema.run
        with self.database.write() as db:
            seen = db.execute(select(t.c.owner, t.c.epoch).where(t.c.id == run)).first()
            if seen is None or owners.is_alive(db, seen.owner):
                return None
            owners.extend(db, owner, LEASE_S)
            taken = db.execute(
                update(t)
                .where(t.c.id == run, t.c.epoch == seen.epoch)
                .values(owner=owner, epoch=seen.epoch + 1)
            )
        return Lease(run, owner, seen.epoch + 1) if taken.rowcount else None

    def renew(self, lease: Lease) -> None:
        """Extend the lease; `LeaseLostError` if another owner has taken the run."""
        with self.database.write() as db:
            self._set(db, lease, {})
            owners.extend(db, lease.owner, LEASE_S)

    def release(self, lease: Lease) -> None:
        """Give the run up, so that the next owner need not wait for the lease to expire."""
        with self.database.write() as db:
            self._set(db, lease, {"owner": None})

    def is_owned(self, run: str) -> bool:
        """Return whether a live owner holds the run."""
        with self.database.read() as db:
            owner = db.execute(select(schema.run.c.owner).where(schema.run.c.id == run)).scalar()
            return owners.is_alive(db, owner)

    def update_run(self, lease: Lease, *, events: Sequence[tuple[str, str]] = (), **values: Any) -> None:
        """Change columns of the run and append events, in one transaction, as its owner."""
        with self.database.write() as db:
            self._set(db, lease, values)
            self._append(db, lease.run, events)

    @contextmanager
    def writing(self, lease: Lease) -> Iterator[Connection]:
        """Begin a transaction of the run's owner, for tables beside the run's own."""
        with self.database.write() as db:
            self._set(db, lease, {})
            yield db

    def desire(self, run: str, desired: str, reason: str) -> None:
        """Ask for a state (`run`, `stop`); anyone may ask, the owner acts on it."""
        with self.database.write() as db:
            db.execute(
                update(schema.run).where(schema.run.c.id == run).values(desired=desired, reason=reason)
            )
            self._append(db, run, [("desired", f"{desired}: {reason}")])

    def run(self, run: str) -> RowMapping:
        """Return the run's row; `HarchosError` if there is none."""
        with self.database.read() as db:
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
        with self.database.read() as db:
            return list(
                db.execute(select(schema.run).order_by(schema.run.c.created_at, schema.run.c.id)).mappings()
            )

    # hubs

    def intend_hub(self, lease: Lease, values: Mapping[str, Any], event: tuple[str, str]) -> None:
        """Record a hub before anything of it is created."""
        with self.database.write() as db:
            self._set(db, lease, {})
            db.execute(insert(schema.hub).values(run=lease.run, **values))
            self._append(db, lease.run, [event])

    def update_hub(self, lease: Lease, hub: str, **values: Any) -> None:
        """Change a hub's columns, as the run's owner."""
        with self.database.write() as db:
            self._set(db, lease, {})
            db.execute(update(schema.hub).where(schema.hub.c.hub == hub).values(**values))

    def hubs(self, run: str | None = None) -> list[RowMapping]:
        """Return the hubs of a run in the order of their numbers, or all, oldest first.

        By number: a clock that was set back would put a run's newest hub before the one that it follows.
        """
        h = schema.hub
        query = select(h).order_by(h.c.created_at)
        if run is not None:
            query = select(h).where(h.c.run == run).order_by(func.length(h.c.hub), h.c.hub)
        with self.database.read() as db:
            return list(db.execute(query).mappings())

    # operations

    def intend(self, lease: Lease, phase: str, intent: Mapping[str, Any]) -> tuple[int, int]:
        """Record the intent of an outside call before it is made; returns (operation id, attempt from 1).

        Calls with the same intent count as attempts of one.
        """
        with self.database.write() as db:
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
                    at=db_now(db),
                )
                .returning(t.c.id)
            ).one()
        return int(row.id), len(before) + 1

    def conclude(
        self,
        lease: Lease,
        operation: int,
        state: str,
        outcome: Mapping[str, Any],
        *,
        hub: Mapping[str, Any] | None = None,
        phase: str | None = None,
        events: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Record how an outside call ended (`done` or `failed`), and what that means for its hub and its run.

        All in one transaction: what is known to be done is not done again.
        """
        with self.database.write() as db:
            self._set(db, lease, {"phase": phase} if phase else {})
            t, now = schema.op, db_now(db)
            call = db.execute(
                update(t)
                .where(t.c.id == operation)
                .values(state=state, outcome=dict(outcome), finished_at=now)
                .returning(t.c.phase, t.c.attempt, t.c.at, t.c.intent)
            ).one()
            what = f"{call.phase} of {call.intent.get('hub', lease.run)}, attempt {call.attempt}"
            why = f": {outcome['error']}" if "error" in outcome else ""
            if hub:
                changed = update(schema.hub).where(schema.hub.c.hub == call.intent["hub"])
                db.execute(changed.values(**hub))
            called = ("call", f"{what}: {state} after {now - call.at:.1f} s{why}")
            self._append(db, lease.run, [called, *events])

    def operations(self, run: str) -> list[RowMapping]:
        """Return the outside calls of a run, oldest first."""
        with self.database.read() as db:
            return list(
                db.execute(
                    select(schema.op).where(schema.op.c.run == run).order_by(schema.op.c.id)
                ).mappings()
            )

    # measurements

    def add_measurements(
        self, lease: Lease, rows: Sequence[Mapping[str, Any]], *, hub: str, read: Sequence[int]
    ) -> None:
        """Store measurements of a hub; one already stored (same node and time) is left as it is.

        `read`: how many objects of each node's power they were read from, the earlier ones included.
        """
        if not rows:
            return
        with self.database.write() as db:
            self._set(db, lease, {})
            db.execute(update(schema.hub).where(schema.hub.c.hub == hub).values(powers_read=list(read)))
            db.execute(insert_new(db, schema.measurement), [dict(row) for row in rows])

    def measurements(self, hub: str) -> list[RowMapping]:
        """Return the measurements of a hub, oldest first."""
        m = schema.measurement
        with self.database.read() as db:
            return list(db.execute(select(m).where(m.c.hub == hub).order_by(m.c.at, m.c.id)).mappings())

    def last_event(self, run: str, kind: str) -> str | None:
        """Return the detail of a run's last event of a kind; None where there was none."""
        e = schema.event
        query = select(e.c.detail).where(e.c.run == run, e.c.kind == kind).order_by(e.c.id.desc())
        with self.database.read() as db:
            detail: str | None = db.execute(query).scalars().first()
        return detail

    def events(self, run: str, *, after: int = 0) -> list[RowMapping]:
        """Return the events of a run whose number is above `after`, oldest first."""
        e = schema.event
        with self.database.read() as db:
            return list(
                db.execute(select(e).where(e.c.run == run, e.c.id > after).order_by(e.c.id)).mappings()
            )

    # forecast errors

    def add_forecast_errors(self, lease: Lease, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store how far a plan's intensities were off; one already stored (same run and zone) stays."""
        if not rows:
            return
        with self.database.write() as db:
            self._set(db, lease, {})
            db.execute(
                insert_new(db, schema.forecast_error),
                [{"run": lease.run, **row} for row in rows],
            )

    # reading

    def plan(self, run: str) -> dict[str, Any]:
        """Return the plan that the run was begun with, as `harchos.plan/1`; a move does not change it."""
        document = self.decision(run)
        if "rejected" in document and document["rejected"] is None:
            t, r = schema.run, schema.rejected
            mine = select(r.c.packed).join(t, t.c.plan_hash == r.c.plan_hash).where(t.c.id == run)
            with self.database.read() as db:
                document["rejected"] = unpack(db.execute(mine).scalar_one())
        return document

    def decision(self, run: str) -> dict[str, Any]:
        """Return the plan that the run was begun with as it is stored.

        Its rejected candidates may be apart (then `rejected` is None): they are most of it, and only shown.
        """
        p = schema.plan
        with self.database.read() as db:
            document: dict[str, Any] = db.execute(select(p.c.document).where(p.c.run == run)).scalar_one()
        return document

    def record(self, run: str) -> RunRecord:
        """Return all that is known of a run (full name or prefix)."""
        row = self.run(self.find(run))
        hubs = self.hubs(row["id"])
        plan = self.plan(row["id"])
        with self.database.read() as db:
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
                Measurement(
                    *(m["hub"], _time(m["at"]), m["seconds"], m["joules"], m["basis"], m["by"], m["node"])
                )
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
        now = db_now(db)
        for kind, detail in events:
            db.execute(insert(schema.event).values(run=run, at=now, kind=kind, detail=detail))


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
