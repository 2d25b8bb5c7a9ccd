"""A hub that does items of a queue: one after the other, each stored before it counts, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harchos_infra.hub.items import Assignment, Item, Record, assign, read_records
from support.agent import Hub
from support.machine import survivors

ITEMS = (Item(3, "c"), Item(4, "d"))


@pytest.fixture
def hub(tmp_path: Path, agent: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path, agent)
    yield hub
    hub.stop()
    assert survivors(hub.hub) == []


def records(hub: Hub) -> list[Record]:
    return list(read_records(hub.mailbox))


def test_each_item_is_run_by_its_name_and_its_outputs_are_its_own(hub: Hub) -> None:
    hub.shell(
        'echo "$HARCHOS_ITEM_INDEX" > "$HARCHOS_OUTPUT_DIR/index"; echo "did $HARCHOS_ITEM"', items=True
    )
    assign(hub.mailbox, Assignment(ITEMS, closed=True))
    hub.start()
    status = hub.wait_end()
    assert (status["phase"], status["reason"], status["units"]) == (
        "succeeded",
        "2 items were run",
        {"items": 2.0},
    )
    assert hub.log() == "did c\ndid d\n"
    assert [(r.index, r.exit_code, [f.path for f in r.files]) for r in records(hub)] == [
        (3, 0, ["index"]),
        (4, 0, ["index"]),
    ]
    assert (hub.mailbox.get("outputs/c/index"), hub.mailbox.get("outputs/d/index")) == (b"3\n", b"4\n")


def test_a_hub_waits_for_more_until_its_list_is_closed(hub: Hub) -> None:
    hub.shell('echo "did $HARCHOS_ITEM"', items=True)
    hub.start()
    assign(hub.mailbox, Assignment(ITEMS[:1], closed=False))
    hub.wait(lambda: len(records(hub)) == 1, "the first record")
    assign(hub.mailbox, Assignment(ITEMS[1:], closed=False))
    hub.wait(lambda: len(records(hub)) == 2, "the second record")
    assert hub.status()["phase"] == "running"
    assign(hub.mailbox, Assignment((), closed=True))
    assert hub.wait_end()["phase"] == "succeeded"
    assert hub.log() == "did c\ndid d\n"


def test_an_item_that_fails_is_tried_again_and_the_others_go_on(hub: Hub) -> None:
    hub.shell('echo half > "$HARCHOS_OUTPUT_DIR/half"; test "$HARCHOS_ITEM" = d', items=True, max_retries=1)
    assign(hub.mailbox, Assignment(ITEMS, closed=True))
    hub.start()
    status = hub.wait_end()
    assert (status["phase"], status["reason"]) == ("succeeded", "2 items were run, 1 failed")
    assert [(r.index, r.exit_code, r.attempts, len(r.files)) for r in records(hub)] == [
        (3, 1, 2, 0),
        (4, 0, 1, 1),
    ]
    assert hub.mailbox.get("outputs/c/half") is None


def test_an_item_that_is_ended_before_it_is_done_counts_for_nothing(hub: Hub) -> None:
    hub.shell('trap "exit 0" TERM; echo begun; sleep 30 & wait', items=True)
    assign(hub.mailbox, Assignment(ITEMS, closed=True))
    hub.start()
    hub.wait_log("begun")
    hub.mailbox.put_json("control.json", {"want": "stop", "reason": "enough"})
    assert hub.status()["item"] == "c"
    assert hub.wait_end()["phase"] == "stopped"
    assert records(hub) == []


def test_an_agent_that_starts_again_does_not_do_again_what_its_records_say(hub: Hub) -> None:
    first = json.dumps({"index": 3, "exit_code": 0, "attempts": 1, "files": []}).encode()
    hub.mailbox.create("items/00000001.json", first)
    hub.shell('echo "did $HARCHOS_ITEM"', items=True)
    assign(hub.mailbox, Assignment(ITEMS, closed=True))
    hub.start()
    assert hub.wait_end()["units"] == {"items": 2.0}
    assert hub.log() == "did d\n"
