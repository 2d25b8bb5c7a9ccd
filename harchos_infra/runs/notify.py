"""Telling others what becomes of runs: a signed POST to an address, and a command.

Of all processes that drive runs one tells, every run's changes in their order, from where the last one left
off: its place is in the ledger. A receiver may hear of a change twice (`id` says so), never of none, unless
it refuses `ATTEMPTS` times or nobody told for `STALE_S`. No run waits for it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from types import TracebackType
from typing import Any, Self

from sqlalchemy import RowMapping, func, select, update

from harchos_infra.errors import HarchosError
from harchos_infra.runs import owners, schema
from harchos_infra.runs.database import LedgerUnwritableError, db_now, insert_new
from harchos_infra.runs.ledger import Ledger
from harchos_infra.settings import Settings

SCHEMA = "harchos.notice/1"
SIGNATURE = "X-Harchos-Signature"
TOLD = (
    *("phase", "moved", "queue", "trouble", "desired", "resume"),
    *("recurs", "ended", "planned", "missed", "skipped", "infeasible"),
)
"""Kinds of events that are told."""
PERIOD_S = 1.0
ANSWER_S = 10.0
COMMAND_S = 30.0
ATTEMPTS = 6
PAUSE_S = 2.0
"""After the first refusal; doubled each time."""
STALE_S = 86_400.0
LATE_S = 2.0
"""How old an event must be where one with a lower number may still become visible."""

_CURSOR = "notify"


class Notifier:
    """Tells what happens on a thread of its own, as `with` a block; without a receiver, nothing at all."""

    def __init__(
        self, ledger: Ledger, owner: str, receivers: list[Receiver], hear: Callable[[str, str, str], None]
    ) -> None:
        self._ledger, self._owner, self._receivers, self._hear = ledger, owner, receivers, hear
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notify", daemon=True)

    @classmethod
    def of_settings(cls, ledger: Ledger, owner: str, hear: Callable[[str, str, str], None]) -> Notifier:
        """Return one for `notify.webhook` and `notify.command`. HarchosError without a key to sign with."""
        return cls(ledger, owner, receivers(Settings.load()), hear)

    def __enter__(self) -> Self:
        if self._receivers:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._receivers:
            self._thread.join(timeout=ANSWER_S)

    def _work(self) -> None:
        while True:
            last = self._ending.is_set()
            try:
                while (event := self._next()) is not None and self._tell(event):
                    pass
            except LedgerUnwritableError as error:
                self._hear("-", "notify", error.what)
            if last:
                return
            self._ending.wait(PERIOD_S)

    def _tell(self, event: RowMapping) -> bool:
        """Tell all, and note it; False where the end came before all had taken it."""
        body = _notice(event)
        for receiver in self._receivers:
            for attempt in range(ATTEMPTS):
                try:
                    receiver.send(body)
                    break
                except HarchosError as error:
                    refused = f"attempt {attempt + 1} of {ATTEMPTS}: {error.what}"
                    self._hear(event["run"] or event["recurrence"], "notify", refused)
                    if self._ending.wait(PAUSE_S * 2**attempt):
                        return False
        with self._ledger.database.write() as db:
            t = schema.cursor
            db.execute(
                update(t)
                .where(t.c.name == _CURSOR, t.c.owner == self._owner, t.c.event < event["id"])
                .values(event=event["id"])
            )
        return True

    def _next(self) -> RowMapping | None:
        """Return the first event not told yet; None where there is none, or another process tells."""
        e, t, c, r = schema.event, schema.run, schema.cursor, schema.recurrence
        if not self._is_mine():
            return None
        late_s = LATE_S if self._ledger.database.reads_late and not self._ending.is_set() else 0.0
        with self._ledger.database.read() as db:
            now = db_now(db)
            told = db.execute(select(c.c.event).where(c.c.name == _CURSOR)).scalar_one()
            query = (
                select(e, func.coalesce(t.c.workload, r.c.workload).label("workload"))
                .add_columns(t.c.phase, t.c.outcome)
                .outerjoin(t, t.c.id == e.c.run)
                .outerjoin(r, r.c.id == e.c.recurrence)
                .where(e.c.id > told, e.c.kind.in_(TOLD), e.c.at > now - STALE_S, e.c.at <= now - late_s)
                .order_by(e.c.id)
                .limit(1)
            )
            return db.execute(query).mappings().first()

    def _is_mine(self) -> bool:
        """Return whether this process is the one that tells; it becomes so where no live one is."""
        c = schema.cursor
        with self._ledger.database.read() as db:
            row = db.execute(select(c.c.owner).where(c.c.name == _CURSOR)).first()
            if row is not None and row.owner == self._owner:
                return True
            if row is not None and owners.is_alive(db, row.owner):
                return False
        return self._take_over(row.owner if row else None)

    def _take_over(self, before: str | None) -> bool:
        c, e = schema.cursor, schema.event
        with self._ledger.database.write() as db:
            newest = db.execute(select(func.max(e.c.id))).scalar() or 0
            db.execute(insert_new(db, c).values(name=_CURSOR, event=newest, owner=None))
            same = c.c.owner.is_(None) if before is None else c.c.owner == before
            taken = db.execute(update(c).where(c.c.name == _CURSOR, same).values(owner=self._owner))
        return bool(taken.rowcount)


class Receiver:
    """Somebody to tell."""

    def send(self, body: bytes) -> None:
        """Hand a notice on; HarchosError where that failed and may be tried again."""
        raise NotImplementedError


class Webhook(Receiver):
    """An address that gets each notice as a POST, signed: `sha256=` and the HMAC-SHA256 of the body."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret

    def send(self, body: bytes) -> None:
        """Post it; an answer that is no 2xx is a failure."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "harchos",
            SIGNATURE: signature(self._secret, body),
        }
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S):
                return
        except (OSError, HTTPException) as error:
            raise HarchosError(f"{self._url}: {error}") from error


class Command(Receiver):
    """A command for the shell that gets each notice on its standard input."""

    def __init__(self, command: str) -> None:
        self._command = command

    def send(self, body: bytes) -> None:
        """Run it; an exit status other than 0, or none within `COMMAND_S`, is a failure."""
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", self._command],
                input=body,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=COMMAND_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HarchosError(f"notify.command: {error}") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise HarchosError(f"notify.command exited {done.returncode}: {said}")


def receivers(settings: Settings) -> list[Receiver]:
    """Return whoever the settings name."""
    found: list[Receiver] = []
    if settings.notify_webhook is not None:
        secret = os.environ.get("HARCHOS_NOTIFY_SECRET") or settings.notify_secret
        if not secret:
            raise HarchosError(
                "notify.webhook is set, and there is no key to sign with",
                hint="set HARCHOS_NOTIFY_SECRET, or `harchos config set notify.secret KEY`",
            )
        found.append(Webhook(settings.notify_webhook, secret))
    if settings.notify_command is not None:
        found.append(Command(settings.notify_command))
    return found


def signature(secret: str, body: bytes) -> str:
    """Return what the header of a notice says, for a receiver to compare."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _notice(event: RowMapping) -> bytes:
    notice: dict[str, Any] = {
        "schema": SCHEMA,
        "id": event["id"],
        "run": event["run"],
        "recurrence": event["recurrence"],
        "workload": event["workload"],
        "at": datetime.fromtimestamp(event["at"], UTC).isoformat(timespec="milliseconds"),
        "kind": event["kind"],
        "detail": event["detail"],
        "phase": event["phase"],
        "outcome": event["outcome"],
    }
    return json.dumps(notice, ensure_ascii=False).encode()
