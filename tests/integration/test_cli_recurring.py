"""Recurring workloads on the command line: what is planned, what is handed over, and its name."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from harchos_infra.settings import set_value
from support.command import Document, Harchos

SPEC = """\
  schedule: {cron: "0 22 * * *", timezone: Europe/Paris, doneWithin: 8h}
  placement: {providers: [local]}
"""


@pytest.fixture
def nightly(document: Document, harchos: Harchos) -> Callable[..., str]:
    """Write a workload that recurs, with more of its spec; this machine may run it."""
    set_value("local.zone", "DE")
    return lambda more="": document(SPEC + more)


def test_a_plan_is_of_the_next_tick_and_says_which_come_then(
    harchos: Harchos, nightly: Callable[..., str]
) -> None:
    code, said, _ = harchos("plan", nightly(), "--now", "2026-11-25T21:30Z")
    assert code == 0
    assert "occurrence: 2026-11-26 22:00 to 2026-11-27 06:00 Europe/Paris, of 0 22 * * *; then" in said
    _, text, _ = harchos("plan", nightly(), "--now", "2026-11-25T21:00Z", "--format", "json")
    spec = json.loads(text)["workload"]["spec"]
    assert (spec["earliestStart"], spec["deadline"]) == ("2026-11-25T21:00:00Z", "2026-11-26T05:00:00Z")


def test_what_is_handed_over_recurs_under_its_name_until_it_is_cancelled(
    harchos: Harchos, nightly: Callable[..., str]
) -> None:
    code, said, _ = harchos("apply", nightly(), "--yes", "--detach")
    assert code == 0
    name = said.splitlines()[-1].split()[0]
    status = json.loads(harchos("status", "--format", "json")[1])
    assert status["runs"] == []
    (recurring,) = status["recurring"]
    assert (recurring["workload"], recurring["cron"], recurring["last"]) == (name, "0 22 * * *", None)
    assert "in place of what it was" in harchos("apply", nightly(), "--yes", "--detach")[1]
    assert harchos("cancel", name)[:2] == (0, f"{name} recurs no more\n")
    assert harchos("cancel", name) == (0, "", f"{name} recurs no more already\n")
    events = json.loads(harchos("events", name, "--format", "json")[1])
    assert [event["kind"] for event in events["events"]] == ["recurs", "ended"]
    assert events["recurrence"].startswith(f"{name}-")


def test_nothing_is_handed_over_that_cannot_be_run(harchos: Harchos, nightly: Callable[..., str]) -> None:
    code, _, said = harchos("apply", nightly("  resources: {gpu: {type: H100}}\n"), "--yes", "--detach")
    assert code == 3
    assert "no candidate is feasible" in said
    code, _, said = harchos("apply", nightly(), "--yes", "--detach", "--now", "2026-11-25T21:00Z")
    assert code == 1
    assert "--now is for one run" in said
    assert json.loads(harchos("status", "--format", "json")[1])["recurring"] == []
