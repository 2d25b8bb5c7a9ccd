"""The items of a queue: given to one hub only, taken once, back only from a hub that is gone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harchos_infra.hub.files import Item as File
from harchos_infra.hub.items import Assignment, Record, Records, assigned
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.runs.feed import Feed
from harchos_infra.runs.items import Counts, Items, add_items
from harchos_infra.runs.ledger import Lease, LeaseLostError, Ledger
from harchos_infra.runs.mailboxes import local_root
from harchos_infra.runs.verdict import Verdict
from tests.unit.runs.test_ledger import HUB, SEGMENT, values

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
PLANNED = {**SEGMENT, "provider": "local", "start": "2026-11-25T08:00:00Z", "end": "2026-11-25T10:00:00Z"}
PLAN = {"chosen": {"segments": [PLANNED]}, "inputs": {"queue": {"hubs": 2}}}


class Queue:
    """A queue of some items and the runs that share it, each with one hub."""

    def __init__(self, ledger: Ledger, items: int, runs: int = 1) -> None:
        self.ledger, self.items, self.feed = ledger, Items(ledger), Feed(ledger)
        with self.ledger.database.write() as db:
            add_items(db, "q", [f"item{index}" for index in range(items)])
        self.leases = [self._begin(f"a-{number + 1}") for number in range(runs)]

    def _begin(self, run: str) -> Lease:
        lease = self.ledger.add_run({**values(run), "queue": "q", "phase": "run"}, PLAN, owner="me")
        hub = {**HUB, "hub": f"{run}-h1", "place": PLANNED, "mailbox": local_root()}
        self.ledger.intend_hub(lease, hub, ("hub", ""))
        return lease

    def run(self, number: int = 0) -> Any:
        return self.ledger.run(self.leases[number].run)

    def hub(self, number: int = 0) -> Any:
        return self.ledger.hubs(self.leases[number].run)[-1]

    def box(self, number: int = 0) -> Mailbox:
        return Mailbox(local_root(), self.leases[number].run, self.hub(number)["hub"])

    def step(self, number: int = 0, *, now: datetime = NOW, gives: bool = True) -> Assignment:
        box = self.box(number)
        self.feed.step(self.leases[number], self.run(number), self.hub(number), box, now, gives=gives)
        return assigned(box)

    def settle(self, number: int = 0) -> dict[str, Any]:
        """Let the hub be gone, and settle its items."""
        gone_at = NOW.timestamp()
        self.ledger.update_hub(self.leases[number], self.hub(number)["hub"], state="gone", gone_at=gone_at)
        return self.feed.settle(self.leases[number], self.run(number), [self.hub(number)])

    def says(self, *indices: int, number: int = 0, code: int = 0) -> None:
        """Let the hub record items as ended."""
        for index in indices:
            Records(self.box(number)).add(Record(index, code, 1, (File("out", 1, "x"),) if not code else ()))

    def counts(self) -> Counts:
        return self.items.counts("q")


@pytest.fixture
def queue(ledger: Ledger) -> Queue:
    return Queue(ledger, items=10, runs=2)


def indices(assignment: Assignment) -> list[int]:
    return [item.index for item in assignment.items]


def test_two_owners_who_ask_at_once_never_get_the_same_item(ledger: Ledger) -> None:
    queue = Queue(ledger, items=20, runs=2)
    start = threading.Barrier(2)

    def take(number: int) -> None:
        start.wait()
        for _ in range(8):
            queue.items.give(queue.leases[number], "q", queue.hub(number)["hub"], 1)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine, theirs = ({i.index for i in queue.items.assigned(queue.hub(n)["hub"])} for n in range(2))
    assert mine & theirs == set()
    assert queue.counts().assigned == len(mine) + len(theirs)
    assert mine | theirs <= set(range(20))


def test_nothing_comes_back_from_a_hub_that_lives(queue: Queue) -> None:
    queue.step()
    assert queue.items.give_back(queue.leases[0], queue.hub()["hub"]) == 0
    assert queue.counts().assigned == 2


def test_a_stale_owner_gives_nothing(queue: Queue) -> None:
    lease = queue.leases[0]
    queue.ledger.release(lease)
    assert queue.ledger.claim(lease.run, "other") is not None
    with pytest.raises(LeaseLostError):
        queue.items.give(lease, "q", queue.hub()["hub"], 1)
    assert queue.counts().waiting == 10


def test_a_hub_has_a_few_items_ahead_and_more_where_they_are_short(ledger: Ledger) -> None:
    queue = Queue(ledger, items=100)
    assert indices(queue.step()) == [0, 1]
    queue.says(0)
    assert indices(queue.step()) == [1, 2]
    queue.says(1, 2)
    assert len(queue.step().items) == 4
    queue.says(*range(3, 7))
    assert len(queue.step().items) == 8


def test_nothing_is_added_twice_however_often_a_step_is_done(queue: Queue) -> None:
    queue.says()
    first = queue.step()
    assert queue.step() == first
    queue.says(0)
    queue.step()
    assert queue.step() == queue.step()
    assert (queue.counts().done, queue.counts().assigned) == (1, 2)


def test_the_list_is_closed_when_nothing_waits_and_not_opened_again(ledger: Ledger) -> None:
    queue = Queue(ledger, items=3, runs=2)
    assert not queue.step(0).closed
    assert queue.step(1).closed
    assert queue.step(0).closed
    queue.settle(1)
    assert queue.counts().waiting == 1
    assert indices(queue.step(0)) == [0, 1]


def test_items_of_a_hub_that_is_gone_come_back_but_for_what_it_recorded_last(queue: Queue) -> None:
    queue.step(0)
    queue.says(0)
    queue.settle(0)
    assert queue.counts() == Counts(waiting=9, done=1)
    assert indices(queue.step(1)) == [1, 2]
    assert ("items", "1 of a-1-h1 back to the queue") in [
        (event["kind"], event["detail"]) for event in queue.ledger.events("a-1")
    ]


def test_an_item_that_three_hubs_are_lost_with_is_failed(ledger: Ledger) -> None:
    queue = Queue(ledger, items=2)
    queue.box().put_json("status.json", {"phase": "running", "item": "item1"})
    queue.ledger.update_run(queue.leases[0], interruption="lost")
    for lost in range(1, 4):
        assert indices(queue.step()) == [0, 1]
        queue.settle()
        assert queue.counts() == (Counts(waiting=2) if lost < 3 else Counts(waiting=1, failed=1))
        queue.box().delete("items.json")


def test_an_item_that_a_stop_ended_is_no_suspect(ledger: Ledger) -> None:
    queue = Queue(ledger, items=2)
    queue.box().put_json("status.json", {"phase": "stopped", "item": "item1"})
    for _ in range(3):
        queue.step()
        queue.settle()
        queue.box().delete("items.json")
    assert queue.counts() == Counts(waiting=2)


def test_a_record_that_comes_when_the_item_was_given_away_counts_for_nothing(queue: Queue) -> None:
    queue.step(0)
    queue.settle(0)
    queue.step(1)
    queue.says(0, number=0)
    queue.says(0, number=1)
    queue.step(1)
    assert queue.items.record(queue.leases[0], "a-1-h1", [Record(0, 0, 1, ())]) == 0
    assert [(box.hub, item.path) for box, _, item in queue.feed.put_out([queue.hub(0), queue.hub(1)])] == [
        ("a-2-h1", "item0/out")
    ]


def test_a_hub_that_is_to_stop_gets_nothing_more(queue: Queue) -> None:
    assert queue.step(gives=False) == Assignment((), closed=False)


def test_a_hub_whose_time_is_over_leaves_the_rest_to_one_that_is_planned_later(queue: Queue) -> None:
    queue.step(0)
    later = NOW + timedelta(hours=3)
    assert not queue.step(0, now=later).closed
    evening = {**PLANNED, "start": "2026-11-25T18:00:00Z", "end": "2026-11-25T20:00:00Z"}
    queue.ledger.update_run(queue.leases[1], phase="wait", segments=[evening])
    assert not queue.step(0, now=NOW).closed
    assert queue.step(0, now=later).closed
    assert queue.counts().waiting == 8
    ended = Verdict("succeeded", "2 items were run")
    assert queue.feed.verdict(queue.run(0), ended) == ended


@pytest.mark.parametrize("phase", ["wait", "provision"])
def test_hubs_that_are_all_late_leave_nothing_to_each_other(queue: Queue, phase: str) -> None:
    late = NOW + timedelta(hours=3)
    queue.ledger.update_run(queue.leases[1], phase=phase)
    first = queue.step(0, now=late)
    assert (len(first.items), first.closed) == (2, False)
    queue.ledger.update_run(queue.leases[1], phase="run")
    assert len(queue.step(1, now=late).items) == 2


def test_a_hub_that_ended_while_items_came_back_is_followed_by_another(queue: Queue) -> None:
    verdict = queue.feed.verdict(queue.run(0), Verdict("succeeded", "2 items were run"))
    assert verdict is not None
    assert (verdict.outcome, verdict.interruption) == (None, "returned")


@pytest.mark.parametrize(
    ("outcome", "reason", "ended"),
    [
        ("succeeded", "x", {"outcome": "failed", "reason": "1 item done, 1 failed (item1)"}),
        ("expired", "its time was over", {"reason": "its time was over; 1 item done, 1 failed (item1)"}),
    ],
)
def test_the_outcome_says_how_many_items_were_done_and_which_failed(
    queue: Queue, outcome: str, reason: str, ended: dict[str, str]
) -> None:
    queue.step(0)
    queue.says(0)
    queue.says(1, code=3)
    queue.ledger.update_run(queue.leases[0], outcome=outcome, reason=reason)
    assert queue.settle(0) == ended
    assert queue.counts() == Counts(waiting=8, done=1, failed=1)


def test_what_is_left_is_shared_by_the_runs_that_have_not_ended(queue: Queue) -> None:
    assert queue.feed.share_left(queue.run(0)) == 1.0
    queue.step(0)
    queue.says(0, 1)
    queue.step(0)
    assert queue.feed.share_left(queue.run(0)) == pytest.approx(0.8)
    queue.ledger.update_run(queue.leases[1], phase="done")
    assert queue.feed.share_left(queue.run(0)) == pytest.approx(1.6)


def test_failed_items_are_done_again_by_a_retry(queue: Queue) -> None:
    queue.step(0)
    queue.says(0, code=1)
    queue.step(0, gives=False)
    assert queue.counts().failed == 1
    queue.items.retry_failed("q")
    assert queue.counts() == Counts(waiting=9, assigned=1)
