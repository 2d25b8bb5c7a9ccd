"""What a controller does when the tick of a recurring workload has come: plan it on what is known by then.

An occurrence becomes an ordinary run, exactly once: the run, the occurrence and the next tick are written in
one transaction, which fails where another controller was faster. Of the ticks that came while nobody was
there, the last is made up for where its window is still open; the others are missed, and said in one event.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path

from sqlalchemy import Connection, RowMapping, insert, update

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.forecast_signal import with_forecast
from harchos_infra.grid.parse import parse_signal
from harchos_infra.planner.plan import Plan
from harchos_infra.planner.planner import plan as make_plan
from harchos_infra.policy.loader import recorded_policy
from harchos_infra.runs import recurrence, schema
from harchos_infra.runs.calibration import read_calibration
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import Clock
from harchos_infra.runs.ledger import Ledger, LedgerUnwritableError
from harchos_infra.runs.replan import recorded_workload
from harchos_infra.runs.stage import stage_again
from harchos_infra.runs.submit import Submission, check_runs, record
from harchos_infra.workload.document import Repetition
from harchos_infra.workload.loader import LoadedWorkload
from harchos_infra.workload.occurrence import Occurrence, at_tick, ticks

PLANNED, MISSED, SKIPPED, INFEASIBLE = "planned", "missed", "skipped", "infeasible"
"""States of an occurrence, and kinds of the events that say so."""
TROUBLE = "trouble"
PAUSE_S = 60.0
"""After a plan that could not be made, as a source of carbon signals may be away."""
_COUNTED = 1_000

Hear = Callable[[str, str, str], None]


class _OthersWereFasterError(HarchosError):
    """Another controller has acted on the tick."""


@dataclass
class _Trouble:
    """A tick whose plan could not be made yet: until when to wait, and why."""

    again_at: float
    why: str


@dataclass
class Occurrences:
    """Acts on the ticks of every recurring workload of a ledger; `hear` is told of what happens."""

    ledger: Ledger
    clock: Clock
    hear: Hear
    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    def are_due(self) -> bool:
        """Look, cheaply, whether there is a tick to act on."""
        return any(self._may_act(row["id"]) for row in recurrence.due(self.ledger.database, self.clock.now()))

    def act(self) -> None:
        """Act on every tick that has come; in any order, so that controllers share them."""
        due = recurrence.due(self.ledger.database, self.clock.now())
        for row in random.sample(due, len(due)):
            if self._may_act(row["id"]):
                self._act_on(row)

    def _may_act(self, name: str) -> bool:
        trouble = self._troubles.get(name)
        return trouble is None or time.monotonic() >= trouble.again_at

    def _act_on(self, row: RowMapping) -> None:
        try:
            self._open(row, _Turn.of(row, self.clock.now()))
            self._troubles.pop(row["id"], None)
        except _OthersWereFasterError:
            self._troubles.pop(row["id"], None)
        except LedgerUnwritableError:
            raise
        except HarchosError as error:
            self._troubled(row, str(error))
        except Exception as error:
            self._troubled(row, f"{type(error).__name__}: {error}")

    def _troubled(self, row: RowMapping, why: str) -> None:
        before = self._troubles.get(row["id"])
        self._troubles[row["id"]] = _Trouble(time.monotonic() + PAUSE_S, why)
        if before is None or before.why != why:
            detail = f"{why}; tried again after {PAUSE_S:.0f} s, until its window closes"
            with self.ledger.database.write() as db:
                recurrence.append(db, row["id"], [(TROUBLE, detail)])
            self.hear(row["id"], TROUBLE, detail)

    def _open(self, row: RowMapping, turn: _Turn) -> None:
        """Bring a recurrence behind the present: run the occurrence whose window is open, if any."""
        if turn.open is None:
            trouble = self._troubles.get(row["id"])
            self._write(row, turn, missed_for=trouble.why if trouble else None)
            return
        busy = recurrence.run_under_way(self.ledger.database, row["id"])
        if busy is not None:
            self._write(row, turn, SKIPPED, f"{turn.window}: {busy} of before is still under way")
            return
        made, workload = self._plan(row, turn.open)
        try:
            if made.chosen is not None:
                check_runs(made)
        except HarchosError as error:
            self._write(row, turn, INFEASIBLE, f"{turn.window}: {error.what}")
            return
        if made.chosen is None:
            self._write(row, turn, INFEASIBLE, f"{turn.window}: {made.nearest_miss}")
            return
        self._submit(row, turn, made, workload)

    def _plan(self, row: RowMapping, occurrence: Occurrence) -> tuple[Plan, LoadedWorkload]:
        now = self.clock.now()
        workload = at_tick(recorded_workload(row["document"]), occurrence.tick)
        made = make_plan(
            workload,
            catalog=catalog_for(workload),
            signal=with_forecast(parse_signal(row["signal"]), None, now),
            now=now,
            source=row["source"],
            measured=read_calibration(row["workload"]),
            policy=recorded_policy({"policy": row["policy"]}),
        )
        return made, LoadedWorkload(workload, Path(row["source"]["path"]), row["source"]["sha256"])

    def _submit(self, row: RowMapping, turn: _Turn, made: Plan, loaded: LoadedWorkload) -> None:
        assert made.chosen is not None
        first = made.chosen.segments[0]
        place = f"{first.provider}/{first.region} {first.instance_type}"
        detail = f"{turn.window}: on {place} from {first.start:%Y-%m-%d %H:%M} UTC"
        submission = Submission(
            plan=made,
            loaded=loaded,
            secrets={},
            rehearsal=False,
            signal=row["signal"],
            policy=row["policy"],
            priority=row["priority"],
        )
        lease = record(
            self.ledger,
            submission,
            lambda run: stage_again(row["id"], run),
            owner=None,
            clock=self.clock,
            also=lambda db, run: self._advance(db, row, turn, PLANNED, detail, run=run),
        )
        self._tell(row, turn, (PLANNED, f"{detail}: {lease.run}"))

    def _write(
        self,
        row: RowMapping,
        turn: _Turn,
        state: str | None = None,
        detail: str = "",
        *,
        missed_for: str | None = None,
    ) -> None:
        with self.ledger.database.write() as db:
            self._advance(db, row, turn, state, detail, missed_for=missed_for)
        self._tell(row, turn, None if state is None else (state, detail), missed_for)

    def _tell(
        self, row: RowMapping, turn: _Turn, event: tuple[str, str] | None, why: str | None = None
    ) -> None:
        for kind, detail in [*turn.missed_events(why), *([event] if event else [])]:
            self.hear(row["id"], kind, detail)

    def _advance(
        self,
        db: Connection,
        row: RowMapping,
        turn: _Turn,
        state: str | None,
        detail: str,
        *,
        run: str | None = None,
        missed_for: str | None = None,
    ) -> None:
        """Write what became of the ticks that have come, and which is next."""
        t, o, now = schema.recurrence, schema.occurrence, self.clock.now().timestamp()
        moved = db.execute(
            update(t)
            .where(t.c.id == row["id"], t.c.next_tick == row["next_tick"], schema.LIVE)
            .values(next_tick=turn.following.timestamp())
        )
        if moved.rowcount == 0:
            raise _OthersWereFasterError(f"another controller has acted for {row['id']}")
        missed = turn.missed_events(missed_for)
        recurrence.append(db, row["id"], missed)
        rows: list[tuple[datetime, str, str, str | None]] = [
            (turn.missed[-1], MISSED, text, None) for _, text in missed
        ]
        if state is not None and turn.open is not None:
            recurrence.append(db, row["id"], [(state, detail)], run=run)
            rows.append((turn.open.tick, state, detail, run))
        for tick, what, text, of in rows:
            values = {"recurrence": row["id"], "tick": tick.timestamp(), "state": what, "detail": text}
            db.execute(insert(o).values(**values, run=of, at=now))


@dataclass(frozen=True)
class _Turn:
    """What the ticks since a recurrence was last looked at come to."""

    schedule: Repetition
    open: Occurrence | None
    """The last one, if its window is still open."""
    missed: tuple[datetime, ...]
    """Those before, and it if its window is closed; the first and the last of very many."""
    following: datetime

    @classmethod
    def of(cls, row: RowMapping, now: datetime) -> _Turn:
        schedule = recurrence.schedule_of(row)
        every = ticks(schedule)
        first = datetime.fromtimestamp(row["next_tick"], UTC)
        latest = max(every.latest(now) or first, first)
        occurrence = Occurrence.at(schedule, latest)
        later = takewhile(lambda tick: tick < latest, every.after(first))
        missed = [first, *islice(later, _COUNTED)] if first < latest else []
        is_open = now < occurrence.closes
        return cls(
            schedule,
            occurrence if is_open else None,
            tuple(missed if is_open else [*missed, latest]),
            next(every.after(now)),
        )

    @property
    def window(self) -> str:
        """The open window, in words."""
        assert self.open is not None
        return f"{self.open.tick:%Y-%m-%d %H:%M} to {self.open.closes:%Y-%m-%d %H:%M} UTC"

    def missed_events(self, why: str | None) -> list[tuple[str, str]]:
        """Return the one event of what was missed, if anything."""
        if not self.missed:
            return []
        count = len(self.missed) if len(self.missed) <= _COUNTED else f"more than {_COUNTED:,}"
        first, last = self.missed[0], self.missed[-1]
        which = f"{first:%Y-%m-%d %H:%M}" + f" to {last:%Y-%m-%d %H:%M}" * (first != last) + " UTC"
        return [(MISSED, f"{count} of {which}: {why or 'no controller was there'}")]
