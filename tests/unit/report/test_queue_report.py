"""The report of a queue: its runs side by side, and a sum that claims nothing which is not known."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from harchos_infra.report import markdown, table
from harchos_infra.report.account import account
from harchos_infra.report.queue import QueueReport
from harchos_infra.report.queue_page import render_queue_page
from harchos_infra.runs.items import Counts
from support.records import plan, record

NO_HUB: dict[str, Any] = {"id": "sweep-3", "hubs": (), "measurements": (), "units": {"items": 0.0}}


def report(*changes: dict[str, Any], counts: Counts | None = None) -> QueueReport:
    runs = [record(**change) for change in changes]
    found = counts or Counts(done=7, failed=1)
    return QueueReport("sweep-q1a2b3c", found, [(run, account(run)) for run in runs])


TWO = ({"id": "sweep-1", "units": {"items": 4.0}}, {"id": "sweep-2", "units": {"items": 3.0}})


def test_the_sum_is_that_of_the_runs_and_each_item_has_its_share() -> None:
    made = report(*TWO)
    (_, first), (_, second) = made.runs
    carbon = first.realised.carbon.total()
    assert carbon is not None and first.realised.kwh is not None
    assert made.kwh == first.realised.kwh + (second.realised.kwh or 0.0)
    assert made.usd == pytest.approx(2 * first.realised.cost.total)
    assert made.gco2e_per_item == pytest.approx(2 * carbon.low / 7)
    said = made.to_json()
    assert said["items"] == {"total": 8, "done": 7, "failed": 1, "assigned": 0, "waiting": 0}
    assert said["sum"]["usdPerItem"] == pytest.approx(made.usd / 7)
    assert [run["run"]["id"] for run in said["runs"]] == ["sweep-1", "sweep-2"]
    json.dumps(said, allow_nan=False)


def test_what_each_run_did_stands_beside_what_was_planned_for_it() -> None:
    planned = {**TWO[0], "plan": plan(inputs={**plan()["inputs"], "queue": {"items": 8, "hubs": 2}})}
    made = report(planned, TWO[1])
    assert [row[2] for row in made.section().rows[:2]] == ["4 (4)", "3"]
    said = made.to_json()["planned"]
    assert said["items"] == {"sweep-1": 4.0, "sweep-2": None}
    assert said["totalUsd"] == pytest.approx(sum(account.planned.cost.total for _, account in made.runs))


def test_the_page_draws_each_run_and_says_what_the_table_says() -> None:
    made = report(*TWO, NO_HUB, counts=Counts(done=7, failed=1))
    page = render_queue_page(made)
    xml = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))
    drawn = [e.text for e in xml.iter("text") if e.get("class") == "name"]
    assert [name and name.split(",")[0] for name in drawn[:3]] == ["1", "2", "3"]
    bars = [e.get("class") for e in next(xml.iter("svg")).iter("rect")]
    assert (bars.count("route plan"), bars.count("run")) == (3, 2)
    assert "<script" not in page and "7 of 8 items done, 1 failed" in page
    for row in made.section().rows:
        assert row[0] in page


def test_a_run_without_a_hub_adds_nothing_and_hides_nothing() -> None:
    made = report(*TWO, NO_HUB)
    assert made.kwh == report(*TWO).kwh
    assert "no hub" in table.render_queue(made)


def test_where_one_hub_was_not_metered_no_sum_is_claimed() -> None:
    made = report(TWO[0], {**TWO[1], "measurements": ()})
    assert (made.kwh, made.gco2e, made.gco2e_per_item) == (None, None, None)
    (total,) = [row for row in made.section().rows if row[0] == "sum"]
    assert total[3:5] == ("unknown", "unknown")


def test_a_queue_of_which_nothing_is_done_yet_has_no_figure_for_an_item() -> None:
    said = report(*TWO, counts=Counts(waiting=8)).to_json()
    assert (said["sum"]["gco2ePerItem"], said["sum"]["usdPerItem"]) == (None, None)


def test_it_fits_a_terminal_and_a_pull_request() -> None:
    made = report(*TWO, NO_HUB)
    lines = table.render_queue(made).splitlines()
    assert lines[0] == "sweep-q1a2b3c · 7 of 8 items done, 1 failed · 3 runs"
    assert max(map(len, lines)) <= 80
    assert "| sum |" in markdown.render_queue(made)
