"""Which runs a controller takes, what it is told, and who gets a place on a cloud; on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import update

from harchos_infra.runs import admission as admission_module
from harchos_infra.runs import owners, schema
from harchos_infra.runs.admission import Admission
from harchos_infra.runs.ledger import Lease, LeaseLostError, Ledger
from tests.unit.runs.test_ledger import HUB, PLAN, values


def add(ledger: Ledger, run: str, *, owner: str | None = None, **changes: Any) -> Lease:
    return ledger.add_run({**values(run), "plan_hash": run, **changes}, PLAN, owner=owner)


def claim(ledger: Ledger, owner: str, most: int = 10) -> list[str]:
    return [row["id"] for row in Admission(ledger.database, owner).claim(most)]


def test_what_nobody_drives_is_taken_the_highest_priority_first(ledger: Ledger) -> None:
    for run, priority in (("a-1", 0), ("a-2", 5), ("a-3", 1)):
        add(ledger, run, priority=priority)
    add(ledger, "a-4", owner="someone", priority=9)
    assert claim(ledger, "me", 2) == ["a-2", "a-3"]
    assert claim(ledger, "me") == ["a-1"]
    assert ledger.claim("a-2", "another") is None


def test_an_ended_run_is_nobodys(ledger: Ledger) -> None:
    lease = add(ledger, "a-1", owner="someone")
    ledger.update_run(lease, phase="done")
    ledger.release(lease)
    assert claim(ledger, "me") == []
    assert not Admission(ledger.database, "me").news().free


def test_one_sign_of_life_keeps_every_run_and_its_absence_loses_them(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        add(ledger, f"a-{number}")
    assert len(claim(ledger, "first")) == 3
    assert claim(ledger, "second") == []
    monkeypatch.setattr(admission_module, "LEASE_S", -1.0)
    Admission(ledger.database, "first").renew()
    monkeypatch.undo()
    assert Admission(ledger.database, "second").news().free
    assert len(claim(ledger, "second")) == 3
    with pytest.raises(LeaseLostError):
        ledger.update_run(Lease("a-0", "first", 2), phase="run")


def test_a_clock_that_is_set_forward_makes_no_controller_take_its_own_runs_again(ledger: Ledger) -> None:
    add(ledger, "a-1")
    assert claim(ledger, "me") == ["a-1"]
    with ledger.database.write() as db:
        db.execute(update(schema.owner).values(until=schema.owner.c.until - 3600))
    assert claim(ledger, "me") == []
    assert ledger.run("a-1")["epoch"] == 2


def test_a_controller_is_told_of_wishes_for_its_own_runs_only(ledger: Ledger) -> None:
    add(ledger, "a-1")
    claim(ledger, "me")
    add(ledger, "a-2", owner="another")
    for run in ("a-1", "a-2"):
        ledger.desire(run, "stop", "enough")
    news = Admission(ledger.database, "me").news()
    assert (news.stops, news.free) == (("a-1",), False)


def test_runs_given_up_are_free_at_once_and_those_in_the_middle_of_a_step_are_kept(ledger: Ledger) -> None:
    for run in ("a-1", "a-2"):
        add(ledger, run)
    claim(ledger, "first")
    Admission(ledger.database, "first").release(but={"a-1"})
    assert claim(ledger, "second") == ["a-2"]
    Admission(ledger.database, "first").release()
    assert claim(ledger, "second") == ["a-1"]


def test_controllers_that_claim_at_once_share_and_take_nothing_twice(ledger: Ledger) -> None:
    for number in range(40):
        add(ledger, f"a-{number}")
    taken: dict[str, list[str]] = {}

    def work(owner: str) -> None:
        taken[owner] = []
        while found := claim(ledger, owner, 3):
            taken[owner] += found

    threads = [threading.Thread(target=work, args=(f"c{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [run for runs in taken.values() for run in runs]
    assert sorted(everything) == sorted(f"a-{number}" for number in range(40))


def test_live_controllers_are_known(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    add(ledger, "a-1", owner="elsewhere:1:1")
    Admission(ledger.database, "machine:12:34").renew()
    (found,) = owners.controllers(ledger.database)
    assert found.place == "pid 12 on machine"


def test_a_cloud_holds_no_more_hubs_than_its_limit(ledger: Ledger) -> None:
    admission = Admission(ledger.database, "me")
    leases = [add(ledger, f"a-{number}", owner="me") for number in range(3)]
    assert admission.admit(leases[0], "aws", 1)
    assert not admission.admit(leases[1], "aws", 1)
    assert admission.admit(leases[0], "aws", 1), "asked again after a crash, it still has its place"
    assert admission.admit(leases[1], "local", 1), "another cloud has places of its own"
    admission.vacate("a-0")
    assert admission.admit(leases[2], "aws", 1)


def test_a_hub_counts_whoever_made_it_until_it_is_gone(ledger: Ledger) -> None:
    admission = Admission(ledger.database, "me")
    foreground = add(ledger, "a-1", owner="someone")
    ledger.intend_hub(foreground, HUB, ("hub", ""))
    mine = add(ledger, "a-2", owner="me")
    assert not admission.admit(mine, "aws", 1)
    ledger.update_hub(foreground, "a-1-h1", gone_at=5.0)
    assert admission.admit(mine, "aws", 1)


def test_a_stand_in_takes_a_place_on_this_machine(ledger: Ledger) -> None:
    admission = Admission(ledger.database, "me")
    ledger.intend_hub(add(ledger, "a-1", owner="me", rehearsal=True), HUB, ("hub", ""))
    other = add(ledger, "a-2", owner="me")
    assert admission.admit(other, "aws", 1)
    assert not admission.admit(other, "local", 1)


def test_a_place_is_kept_only_as_long_as_a_hub_may_be_there(ledger: Ledger) -> None:
    admission = Admission(ledger.database, "me")
    first, second = (add(ledger, run, owner="me") for run in ("a-1", "a-2"))
    assert admission.admit(first, "aws", 1)
    ledger.update_run(first, phase="collect")
    assert admission.admit(second, "aws", 1)


def test_of_many_that_ask_at_once_no_more_than_the_limit_get_a_place(ledger: Ledger) -> None:
    leases = [add(ledger, f"a-{number}", owner="me") for number in range(12)]
    got: list[bool] = []

    def ask(lease: Lease) -> None:
        got.append(Admission(ledger.database, "me").admit(lease, "aws", 4))

    threads = [threading.Thread(target=ask, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 4
