"""What a sweep takes for left behind, on a machine that other home directories use, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.clouds.cloud import Resource
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.sweep import find_leftovers


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
