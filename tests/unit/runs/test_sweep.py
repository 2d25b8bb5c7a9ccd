"""What a sweep takes for left behind, on a machine that other home directories use, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.clouds.cloud import Resource
from harchos_infra.errors import HarchosError
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.owner import new_owner
from harchos_infra.runs.sweep import Leftover, find_leftovers, look, remove


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    return Ledger.open()


def listed(monkeypatch: pytest.MonkeyPatch, *, ended_s: float) -> None:
    """Let the machine hold a process of a hub whose TTL ended so many seconds ago."""
    expires = datetime.now(UTC) - timedelta(seconds=ended_s)
    found = Resource("local", "process", "1:1", "r-000000", "r-000000-h1", expires, "sleep", None)

    class Machine:
        def list(self) -> list[Resource]:
            return [found]

    monkeypatch.setattr("harchos_infra.runs.sweep.cloud", lambda _name: Machine())


@pytest.mark.parametrize(("ended_s", "swept"), [(-60, False), (30, False), (90, True)])
def test_a_hub_of_another_home_has_a_minute_to_end_itself(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, ended_s: float, swept: bool
) -> None:
    listed(monkeypatch, ended_s=ended_s)
    assert bool(find_leftovers(ledger)) == swept


def test_a_hub_of_another_home_is_found_at_once_if_asked_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(monkeypatch, ended_s=-60)
    assert [leftover.hub for leftover in find_leftovers(ledger, foreign=True)] == ["r-000000-h1"]


def test_what_this_home_made_and_no_ledger_knows_is_left_behind(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home" / "hubs" / "r-000000-h1").mkdir(parents=True)
    listed(monkeypatch, ended_s=-60)
    (leftover,) = find_leftovers(ledger)
    assert leftover.why == "no run of that name in the ledger"


RUN = {
    "id": "r-000000", "workload": "r", "type": "batch", "plan_hash": "", "workload_hash": "",
    "rehearsal": False, "schedule_offset_s": 0.0, "ttl_s": 1.0, "phase": "run", "desired": "run",
    "next_at": 0.0, "created_at": 0.0, "intensities": {}, "units": {}, "outputs": [],
}  # fmt: skip
MACHINE = Resource("aws", "instance", "i-1", "r-000000", "r-000000-h1", None, "g5.xlarge", 1.0, "eu-west-1")


def on_aws(monkeypatch: pytest.MonkeyPatch, listing: Callable[[], list[Resource]]) -> None:
    """Let AWS list what a function says, and delete nothing."""

    class Aws:
        def list(self) -> list[Resource]:
            return listing()

        def delete(self, resource: Resource) -> None:
            raise HarchosError(f"{resource.id} may not be deleted")

    monkeypatch.setattr("harchos_infra.runs.sweep.cloud", lambda _name: Aws())


def test_a_hub_whose_run_began_while_the_cloud_was_asked_is_not_taken_for_nobodys(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home" / "hubs" / "r-000000-h1").mkdir(parents=True)

    def listing() -> list[Resource]:
        ledger.add_run(RUN, {"chosen": {"segments": [{"provider": "aws"}]}}, owner=new_owner())
        return [MACHINE]

    on_aws(monkeypatch, listing)
    assert look(ledger, ["aws"]).leftovers == []


def abandon(ledger: Ledger) -> None:
    dead = f"{os.uname().nodename}:999999:1"
    ledger.add_run(RUN, {"chosen": {"segments": [{"provider": "aws"}]}}, owner=dead)


def refuse() -> list[Resource]:
    raise HarchosError("no permission")


def test_an_abandoned_run_on_a_cloud_that_refuses_is_not_said_to_have_no_hub(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(ledger)
    on_aws(monkeypatch, refuse)
    found = look(ledger, ["aws"])
    assert [leftover.why for leftover in found.leftovers] == [
        "abandoned in phase run, on aws, which was not looked at"
    ]
    assert [refusal.what for refusal in found.refusals] == ["no permission"]


def test_an_abandoned_run_on_another_cloud_than_asked_for_is_left_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(ledger)
    on_aws(monkeypatch, list)
    assert look(ledger, ["gcp"]).leftovers == []
    (leftover,) = look(ledger, ["aws"]).leftovers
    assert leftover.why == "abandoned in phase run; no hub is left of it"


def test_what_is_still_listed_survived_with_what_the_cloud_said(monkeypatch: pytest.MonkeyPatch) -> None:
    on_aws(monkeypatch, lambda: [MACHINE])
    (survivor,) = remove([Leftover("r-000000-h1", "r-000000", (MACHINE,), False, "", "aws")])
    assert (survivor.resource, survivor.why) == (MACHINE, "i-1 may not be deleted")
