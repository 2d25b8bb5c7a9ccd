"""The items of a hub, without a job behind them: what is tried again, and what is left to another hub."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.directory import Directory
from harchos_infra.hub.ending import Ending, Endings
from harchos_infra.hub.item_loop import ItemLoop
from harchos_infra.hub.items import Assignment, Item, assign, read_records
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.runner import JobLostError
from harchos_infra.hub.ttl import Ttl


class Hub:
    """A hub with two items to do; `lost` attempts of them are never heard of again."""

    def __init__(self, path: Path, *, max_retries: int, lost: int) -> None:
        directory = Directory(path / "hub")
        directory.create()
        directory.outputs.mkdir()
        self.mailbox = Mailbox((path / "mailbox").as_uri(), "r", "r-h1")
        self.board = StatusBoard(self.mailbox, directory)
        self.attempts: list[tuple[str, int]] = []
        self.said: list[str] = []
        self._lost = lost
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        endings = Endings(Ttl.parse(expires))
        assign(self.mailbox, Assignment((Item(0, "a"), Item(1, "b")), closed=True))
        self.loop = ItemLoop(
            *(self.mailbox, directory.outputs, str(directory.outputs), max_retries, self.board, endings),
            *(Patience(endings.may_wait), self.once, self.said.append),
        )

    def once(self, attempt: int, told: Mapping[str, str]) -> Ending | None:
        self.attempts.append((told["HARCHOS_ITEM"], attempt))
        folder = Path(told["HARCHOS_OUTPUT_DIR"])
        assert list(folder.iterdir()) == []
        (folder / "half").write_text("x")
        if len(self.attempts) <= self._lost:
            raise JobLostError("the engine was killed")
        self.board.change(exit_code=0)
        return None


def test_an_item_whose_engine_was_killed_is_begun_again_in_an_empty_folder(tmp_path: Path) -> None:
    hub = Hub(tmp_path, max_retries=1, lost=1)
    assert hub.loop.run() == ("succeeded", "2 items were run")
    assert hub.attempts == [("a", 1), ("a", 2), ("b", 1)]
    assert [(record.index, record.attempts) for record in read_records(hub.mailbox)] == [(0, 2), (1, 1)]
    assert hub.said == ["item a: attempt 1 of 2: the engine was killed; starting again"]


def test_an_item_that_cannot_be_heard_of_any_more_is_left_to_another_hub(tmp_path: Path) -> None:
    hub = Hub(tmp_path, max_retries=1, lost=2)
    with pytest.raises(JobLostError):
        hub.loop.run()
    assert list(read_records(hub.mailbox)) == []
