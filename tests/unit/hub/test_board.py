"""The status: changed at once, published in a thread of its own; the latest is what the mailbox ends with."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from harchos_infra.hub import board
from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.directory import Directory
from harchos_infra.hub.mailbox import Mailbox, MailboxError


class Hanging(Mailbox):
    """A mailbox whose writes hang until they are let go, and then fail `failing` times."""

    failing = 0

    def __init__(self, url: str, run: str, hub: str) -> None:
        super().__init__(url, run, hub)
        self.goes_on = Event()
        self.goes_on.set()

    def put_json(self, name: str, value: Any) -> None:
        self.goes_on.wait(20.0)
        if self.failing:
            self.failing -= 1
            raise MailboxError("the network is away", transient=True)
        super().put_json(name, value)


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hanging:
    monkeypatch.setattr(board, "_RETRY_S", 0.02)
    return Hanging((tmp_path / "mailbox").as_uri(), "r", "h")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "hub")
    made.create()
    return made


def test_nobody_waits_for_a_mailbox_that_hangs(mailbox: Hanging, directory: Directory) -> None:
    mailbox.goes_on.clear()
    status = StatusBoard(mailbox, directory)
    began = time.monotonic()
    status.change(phase="running")
    status.change(phase="stopping")
    assert time.monotonic() - began < 5.0
    assert (directory.status() or {})["phase"] == "stopping"
    mailbox.goes_on.set()
    status.insist(lambda: False)
    assert mailbox.get_json("status.json")["phase"] == "stopping"


def test_the_latest_status_is_tried_until_it_is_there(mailbox: Hanging, directory: Directory) -> None:
    mailbox.failing = 5
    status = StatusBoard(mailbox, directory)
    status.change(phase="succeeded")
    status.insist(lambda: False)
    assert mailbox.get_json("status.json")["phase"] == "succeeded" and mailbox.failing == 0


def test_a_mailbox_that_stays_away_is_given_up(mailbox: Hanging, directory: Directory) -> None:
    mailbox.failing = 10**6
    until = time.monotonic() + 0.1
    StatusBoard(mailbox, directory).insist(lambda: time.monotonic() > until)
    assert mailbox.get_json("status.json") is None
    mailbox.failing = 0
