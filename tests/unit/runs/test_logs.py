"""The log of a run as it grows, of one node and of several."""

from __future__ import annotations

from typing import Any

from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.runs.ledger import Lease, Ledger
from harchos_infra.runs.logs import LogTail, MarkedTail
from harchos_infra.runs.mailboxes import local_root
from tests.unit.runs.test_ledger import HUB, PLAN, values


def hub(ledger: Ledger, lease: Lease, name: str, nodes: int) -> list[Mailbox]:
    row: dict[str, Any] = {
        **HUB,
        "hub": name,
        "mailbox": local_root(),
        "place": {**HUB["place"], "nodes": nodes},
    }
    ledger.intend_hub(lease, row, ("hub", ""))
    names = [name, *(f"{name}-n{node}" for node in range(1, nodes))]
    return [Mailbox(local_root(), lease.run, each) for each in names]


def test_lines_of_several_nodes_are_marked_and_never_torn(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    first, second = hub(ledger, lease, "a-1-h1", 2)
    tail = LogTail(ledger, lease.run)
    first.put("logs/00000001.log", b"one\ntw")
    second.put("logs/00000001.log", b"eins\n")
    assert tail.read() == b"[n0] one\n[n1] eins\n"
    first.put("logs/00000002.log", b"o\nthree")
    assert tail.read() == b"[n0] two\n"
    assert tail.read() == b"[n0] three\n", "a line that goes on no more is one"


def test_the_next_hub_may_have_other_nodes(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    (alone,) = hub(ledger, lease, "a-1-h1", 1)
    tail = LogTail(ledger, lease.run)
    alone.put("logs/00000001.log", b"alone, ")
    assert tail.read() == b"alone, "
    alone.put("logs/00000002.log", b"still\n")
    both = hub(ledger, lease, "a-1-h2", 2)
    both[1].put("logs/00000001.log", b"not any more\n")
    assert tail.read() == b"still\n[n1] not any more\n"


def test_lines_of_several_runs_are_marked_when_they_are_whole(ledger: Ledger) -> None:
    lease = ledger.add_run(values(), PLAN, owner="first")
    (box,) = hub(ledger, lease, "a-1-h1", 1)
    tail = MarkedTail(LogTail(ledger, lease.run), "[1] ")
    box.put("logs/00000001.log", b"one\ntw")
    assert tail.read(is_over=False) == b"[1] one\n"
    box.put("logs/00000002.log", b"o\nthree")
    assert tail.read(is_over=False) == b"[1] two\n"
    assert tail.read(is_over=True) == b"[1] three\n"
    assert tail.read(is_over=True) == b""
