"""The ledger: one live owner per run, nothing written by a stale one, every intent before its call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from harchos_infra.errors import HarchosError
from harchos_infra.runs import ledger as ledger_module
from harchos_infra.runs.ledger import LeaseLostError, Ledger, NewRun
from harchos_infra.runs.owner import is_live, new_owner

SEGMENT = {
    "provider": "aws",
    "region": "eu-north-1",
    "zone": "SE",
    "instanceType": "g6.xlarge",
    "market": "on-demand",
    "nodes": 1,
    "priceUsdHour": 0.8,
    "pue": 1.1,
    "embodiedGco2eHour": None,
}


def values(run: str = "a-1") -> dict[str, object]:
    return {
        "id": run,
        "workload": "a",
        "type": "training",
        "plan_hash": "x",
        "workload_hash": "y",
        "rehearsal": False,
        "schedule_offset_s": 0.0,
        "speed": 1.0,
        "signal": None,
        "ttl_s": 60.0,
        "phase": "wait",
        "desired": "run",
        "next_at": 0.0,
        "created_at": time.time(),
        "intensities": {},
        "units": {},
        "outputs": [],
    }


PLAN = {"chosen": {"segments": [SEGMENT]}}
HUB = {
    "hub": "a-1-h1",
    "segment": 0,
    "place": SEGMENT,
    "mailbox": "file:///mailbox",
    "state": "intended",
    "identity": "me",
    "created_at": 1.0,
    "expires_at": 61.0,
}


def test_a_run_has_one_live_owner(ledger: Ledger) -> None:
    ledger.add_run(values(), PLAN, owner="first")
    assert ledger.is_owned("a-1")
    assert ledger.claim("a-1", "second") is None


def test_a_released_run_is_taken_up_with_a_higher_epoch(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.release(lease)
    taken = ledger.claim("a-1", "second")
    assert taken is not None
    assert taken.epoch == lease.epoch + 1


def test_a_lease_that_is_not_renewed_expires(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "LEASE_S", -1.0)
    ledger.add_run(values(), PLAN, owner="first")
    assert not ledger.is_owned("a-1")
    assert ledger.claim("a-1", "second") is not None


def test_a_stale_owner_writes_nothing(ledger: Ledger) -> None:
    stale = ledger.add_run(values(), PLAN, owner="first")
    ledger.release(stale)
    lease = ledger.claim("a-1", "second")
    assert lease is not None
    ledger.intend_hub(lease, HUB, ("hub", "about to be created"))
    line = {"hub": "a-1-h1", "at": 1.0, "seconds": 2.0, "joules": 3.0, "basis": "modelled", "by": "cpu-model"}
    for write in (
        lambda: ledger.renew(stale),
        lambda: ledger.update_run(stale, phase="done"),
        lambda: ledger.update_hub(stale, "a-1-h1", state="gone"),
        lambda: ledger.intend(stale, "destroy", {}),
        lambda: ledger.add_measurements(stale, [line], hub="a-1-h1", read=[1]),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert ledger.run("a-1")["phase"] == "wait"
    assert ledger.hubs("a-1")[0]["state"] == "intended"
    assert ledger.record("a-1").measurements == ()


def test_a_change_and_its_events_are_one_transaction(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.update_run(lease, phase="provision", events=[("phase", "provision")])
    assert [(e.kind, e.detail) for e in ledger.record("a-1").events] == [("phase", "provision")]


def test_attempts_are_counted_from_the_intents(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    first, attempt = ledger.intend(lease, "destroy", {"hub": "h"})
    assert attempt == 1
    ledger.conclude(lease, first, "failed", {"error": "no"})
    assert ledger.intend(lease, "destroy", {"hub": "h"})[1] == 2
    assert [(o["state"], o["outcome"]) for o in ledger.operations("a-1")] == [
        ("failed", {"error": "no"}),
        ("intended", None),
    ]


def test_what_a_call_did_is_recorded_with_its_end(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.intend_hub(lease, HUB, ("hub", ""))
    call, _ = ledger.intend(lease, "provision", {"hub": "a-1-h1"})
    up = ("phase", "run: up")
    ledger.conclude(lease, call, "done", {}, hub={"state": "created"}, phase="run", events=[up])
    assert (ledger.run("a-1")["phase"], ledger.hubs("a-1")[0]["state"]) == ("run", "created")
    assert [event.kind for event in ledger.record("a-1").events] == ["hub", "call", "phase"]


def test_a_measurement_read_twice_counts_once(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.intend_hub(lease, HUB, ("hub", ""))
    line = {"hub": "a-1-h1", "at": 5.0, "seconds": 2.0, "joules": 3.0, "basis": "measured", "by": "rapl"}
    ledger.add_measurements(lease, [line, {**line, "at": 7.0}], hub="a-1-h1", read=[1])
    ledger.add_measurements(lease, [line], hub="a-1-h1", read=[2])
    assert sum(m.joules for m in ledger.record("a-1").measurements) == 6.0
    assert ledger.hubs("a-1")[0]["powers_read"] == [2], "the next owner reads on from there"


def test_measurements_of_two_nodes_at_the_same_moment_both_count(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    ledger.intend_hub(lease, HUB, ("hub", ""))
    line = {"hub": "a-1-h1", "at": 5.0, "seconds": 2.0, "joules": 3.0, "basis": "measured", "by": "rapl"}
    ledger.add_measurements(lease, [{**line, "node": n} for n in (0, 1)], hub="a-1-h1", read=[1, 1])
    assert [(m.node, m.joules) for m in ledger.record("a-1").measurements] == [(0, 3.0), (1, 3.0)]


def test_a_run_is_named_by_an_unambiguous_prefix(ledger: Ledger) -> None:
    ledger.add_run(values("digits-aa1"), PLAN, owner="x")
    ledger.add_run(values("digits-ab2"), PLAN, owner="x")
    assert ledger.find("digits-ab") == "digits-ab2"
    with pytest.raises(HarchosError, match="several runs"):
        ledger.find("digits")
    with pytest.raises(HarchosError, match="no run named"):
        ledger.find("other")


def test_the_database_is_readable_by_its_user_only(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert (tmp_path / "home" / "ledger.db").stat().st_mode & 0o077 == 0


def test_many_processes_claim_and_one_gets_it(ledger: Ledger) -> None:
    ledger.release(ledger.add_run(values(), PLAN, owner="first"))
    code = (
        "import sys; from harchos_infra.runs.ledger import Ledger;"
        "from harchos_infra.runs.owner import new_owner;"
        "ledger = Ledger.open(); sys.stdin.readline();"
        "print(ledger.claim('a-1', new_owner()) is not None, flush=True); sys.stdin.read()"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate()
    assert sorted(answers) == ["False"] * 5 + ["True"]


def test_a_first_opening_killed_half_way_is_repeated(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from harchos_infra.runs.ledger import Ledger;"
        "Ledger.open(pathlib.Path(sys.argv[1]))"
    )
    for delay_s in (0.35, 0.5, 0.65):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        time.sleep(delay_s)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert Ledger.open(tmp_path).runs() == []


def test_a_file_that_is_no_ledger_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(HarchosError, match=r"ledger\.db: cannot be read as a ledger"):
        Ledger.open(tmp_path)


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    Ledger.open(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(HarchosError, match="newer harchos"):
        Ledger.open(tmp_path)


def test_the_migrations_make_the_tables_that_the_code_expects(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from harchos_infra.runs.schema import metadata

    with ledger.database.read() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_a_dead_owner_on_this_machine_is_replaced_at_once(ledger: Ledger) -> None:
    code = "from harchos_infra.runs.owner import new_owner; print(new_owner())"
    dead = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    ledger.add_run(values(), PLAN, owner=dead)
    assert not ledger.is_owned("a-1")
    assert ledger.claim("a-1", new_owner()) is not None


def test_a_live_owner_and_one_on_another_machine_keep_their_lease(ledger: Ledger) -> None:
    ledger.add_run(values("here-1"), PLAN, owner=new_owner())
    ledger.add_run(values("there-1"), PLAN, owner="another-machine:1:1")
    assert ledger.claim("here-1", "second") is None
    assert ledger.claim("there-1", "second") is None


def test_a_reused_pid_is_not_the_old_owner(ledger: Ledger) -> None:
    node, pid, _ = new_owner().split(":")
    ledger.add_run(values(), PLAN, owner=f"{node}:{pid}:1")
    assert ledger.claim("a-1", "second") is not None


def test_of_two_that_begin_a_plan_at_once_one_is_refused(ledger: Ledger) -> None:
    ledger.add_runs([NewRun(values("a-1"), PLAN)], owner="first", once=True)
    with pytest.raises(HarchosError, match="run a-1 of this plan is under way"):
        ledger.add_runs([NewRun(values("a-2"), PLAN)], owner="second", once=True)
    assert [row["id"] for row in ledger.runs()] == ["a-1"]
    ledger.add_runs([NewRun({**values("a-3"), "rehearsal": True}, PLAN)], owner="third", once=True)


def test_of_runs_that_begin_together_all_are_recorded_or_none(ledger: Ledger) -> None:
    ledger.add_run(values("a-2"), PLAN, owner=None)
    with pytest.raises(IntegrityError):
        ledger.add_runs([NewRun(values("a-1"), PLAN), NewRun(values("a-2"), PLAN)], owner="first")
    assert [row["id"] for row in ledger.runs()] == ["a-2"]


def test_a_plan_whose_run_has_ended_is_begun_again(ledger: Ledger) -> None:
    (lease,) = ledger.add_runs([NewRun(values("a-1"), PLAN)], owner="first", once=True)
    ledger.update_run(lease, phase="done")
    ledger.add_runs([NewRun(values("a-2"), PLAN)], owner="second", once=True)


def test_runs_of_before_keep_their_history_and_the_losers_of_their_plans(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text

    config = Config()
    config.set_main_option("script_location", str(Path(ledger_module.__file__).parent / "migrations"))
    with create_engine(f"sqlite:///{tmp_path / 'ledger.db'}").begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0004")
        columns = {**values(), **dict.fromkeys(("intensities", "units", "metrics"), "{}")}
        columns |= dict.fromkeys(("segments", "failed_offers", "outputs"), "[]")
        columns |= {"segment": 0, "epoch": 1, "priority": 0}
        names = ", ".join(columns)
        db.execute(text(f"INSERT INTO run ({names}) VALUES (:{', :'.join(columns)})"), columns)
        db.execute(text("""INSERT INTO plan VALUES ('a-1', '{"rejected": [{"reason": "gpu"}]}')"""))
        db.execute(text("INSERT INTO event (run, at, kind, detail) VALUES ('a-1', 1, 'phase', 'wait')"))
    ledger = Ledger.open(tmp_path)
    assert ledger.plan("a-1") == {"rejected": [{"reason": "gpu"}]}
    (event,) = ledger.events("a-1")
    assert (event["run"], event["detail"], event["recurrence"]) == ("a-1", "wait", None)


def test_an_owner_elsewhere_is_not_alive_for_hours_because_the_clock_was_set_back() -> None:
    assert is_live("elsewhere:1:2", until=1015.0, now=1000.0)
    assert not is_live("elsewhere:1:2", until=1015.0, now=1000.0 - 6 * 3600)
    assert is_live(new_owner(), until=1015.0, now=1000.0 - 6 * 3600)
