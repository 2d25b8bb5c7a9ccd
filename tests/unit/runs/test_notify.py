"""What is told of runs: signed, in order, from where the last teller left off, and never in a run's way."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from harchos_infra.errors import HarchosError
from harchos_infra.runs import notify
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.notify import Command, Notifier, Webhook, receivers
from harchos_infra.settings import Settings, set_value
from tests.unit.runs.test_ledger import PLAN, values


@dataclass
class Hook:
    """A receiver on a real socket; refuses as often as it is told to."""

    url: str = ""
    refusals: int = 0
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str | None] = field(default_factory=list)

    def details(self) -> list[str]:
        return [json.loads(body)["detail"] for body in self.bodies]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            refused = hook.refusals > 0
            hook.refusals -= refused
            if not refused:
                hook.bodies.append(body)
                hook.signatures.append(self.headers["X-Harchos-Signature"])
            self.send_response(503 if refused else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield hook
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PERIOD_S", 0.02), ("PAUSE_S", 0.02), ("LATE_S", 0.0)):
        monkeypatch.setattr(notify, name, seconds)


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def telling(ledger: Ledger, hook: Hook, owner: str = "here:x:1", said: list[str] | None = None) -> Notifier:
    def hear(_run: str, _kind: str, detail: str) -> None:
        (said if said is not None else []).append(detail)

    with ledger.database.write() as db:
        from harchos_infra.runs import owners

        owners.extend(db, owner, 60.0)
    return Notifier(ledger, owner, [Webhook(hook.url, "key")], hear)


def test_a_notice_is_signed_with_the_key(ledger: Ledger, hook: Hook) -> None:
    with telling(ledger, hook):
        wait_for(lambda: has_cursor(ledger))
        lease = ledger.add_run(values(), PLAN, owner="first")
        ledger.update_run(lease, phase="run", events=[("phase", "run: up"), ("runner", "not told")])
        wait_for(lambda: len(hook.bodies) == 1)
    (body,), (signature,) = hook.bodies, hook.signatures
    assert signature == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
    notice = json.loads(body)
    assert (notice["schema"], notice["run"], notice["kind"]) == ("harchos.notice/1", "a-1", "phase")
    assert (notice["detail"], notice["phase"]) == ("run: up", "run")


def has_cursor(ledger: Ledger) -> bool:
    from sqlalchemy import select

    from harchos_infra.runs.schema import cursor

    with ledger.database.read() as db:
        return db.execute(select(cursor.c.owner)).scalar() is not None


def test_what_is_refused_is_told_again_and_in_order(ledger: Ledger, hook: Hook) -> None:
    hook.refusals = 3
    said: list[str] = []
    with telling(ledger, hook, said=said):
        wait_for(lambda: has_cursor(ledger))
        lease = ledger.add_run(values(), PLAN, owner="first")
        for number in range(4):
            ledger.update_run(lease, events=[("phase", str(number))])
        wait_for(lambda: len(hook.bodies) == 4)
    assert hook.details() == ["0", "1", "2", "3"]
    assert len(said) == 3
    assert "503" in said[0]


def test_a_receiver_that_never_takes_it_holds_up_no_other_notice(ledger: Ledger, hook: Hook) -> None:
    hook.refusals = notify.ATTEMPTS
    with telling(ledger, hook):
        wait_for(lambda: has_cursor(ledger))
        lease = ledger.add_run(values(), PLAN, owner="first")
        ledger.update_run(lease, events=[("phase", "lost"), ("phase", "told")])
        wait_for(lambda: hook.details() == ["told"])


def test_the_next_teller_goes_on_where_the_last_one_was(ledger: Ledger, hook: Hook) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.update_run(lease, events=[("phase", "before anybody told")])
    with telling(ledger, hook, "one:x:1"):
        wait_for(lambda: has_cursor(ledger))
        ledger.update_run(lease, events=[("phase", "first")])
        wait_for(lambda: hook.details() == ["first"])
        with telling(ledger, hook, "two:x:1"):
            ledger.update_run(lease, events=[("phase", "second")])
            wait_for(lambda: hook.details() == ["first", "second"])
    ledger.update_run(lease, events=[("phase", "while nobody told")])
    with ledger.database.write() as db:
        from harchos_infra.runs import owners

        owners.leave(db, "one:x:1")
    with telling(ledger, hook, "two:x:1"):
        wait_for(lambda: hook.details() == ["first", "second", "while nobody told"])


def test_the_end_of_a_run_is_told_before_its_process_ends(ledger: Ledger, hook: Hook) -> None:
    with telling(ledger, hook):
        wait_for(lambda: has_cursor(ledger))
        lease = ledger.add_run(values(), PLAN, owner="first")
        ledger.update_run(lease, phase="done", events=[("phase", "done: succeeded")])
    assert hook.details() == ["done: succeeded"]


def test_a_command_gets_the_notice_and_its_failure_is_one(tmp_path: Path) -> None:
    Command(f"cat > {tmp_path}/heard").send(b'{"run": "a-1"}')
    assert (tmp_path / "heard").read_bytes() == b'{"run": "a-1"}'
    with pytest.raises(HarchosError, match="exited 3: no"):
        Command("echo no >&2; exit 3").send(b"")


def test_a_webhook_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path))
    monkeypatch.delenv("HARCHOS_NOTIFY_SECRET", raising=False)
    set_value("notify.webhook", "https://example.org/hook")
    with pytest.raises(HarchosError, match="no key to sign with"):
        receivers(Settings.load())
    monkeypatch.setenv("HARCHOS_NOTIFY_SECRET", "key")
    assert len(receivers(Settings.load())) == 1


def test_what_becomes_of_a_recurring_workload_is_told_without_a_run(ledger: Ledger, hook: Hook) -> None:
    from harchos_infra.runs import recurrence, schema

    row = {
        "id": "nightly-1", "workload": "nightly", "document": {}, "source": {}, "priority": 0,
        "next_tick": 0.0, "created_at": 0.0,
    }  # fmt: skip
    with ledger.database.write() as db:
        db.execute(insert(schema.recurrence).values(row))
    with telling(ledger, hook):
        wait_for(lambda: has_cursor(ledger))
        with ledger.database.write() as db:
            recurrence.append(db, "nightly-1", [("missed", "3 of them")])
        wait_for(lambda: hook.details() == ["3 of them"])
    notice = json.loads(hook.bodies[0])
    assert (notice["run"], notice["recurrence"], notice["workload"]) == (None, "nightly-1", "nightly")
    assert (notice["kind"], notice["phase"], notice["outcome"]) == ("missed", None, None)
