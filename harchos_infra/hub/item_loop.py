"""The job of a hub that does the items of a queue: one after the other, each from its beginning."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.ending import Ending, Endings
from harchos_infra.hub.files import ChangingError, Uploads, regular_files
from harchos_infra.hub.files import Item as File
from harchos_infra.hub.items import Item, Record, Records, assigned, object_name, read_records
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.runner import JobLostError

_LOOK_S = 0.25
_LOOK_REMOTE_S = 2.0
UNIT = "items"

Once = Callable[[int, Mapping[str, str]], Ending | None]
"""Runs an attempt of the job, with what it is told beside its environment; returns why it was ended."""


class ItemLoop:
    """Does what `items.json` says until that is closed, or until the job is to end.

    An item counts when what it put out is
    stored and its record is there; one that was ended before that counts for nothing.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        outputs: Path,
        outputs_inside: str,
        max_retries: int,
        board: StatusBoard,
        endings: Endings,
        patience: Patience,
        once: Once,
        say: Callable[[str], None],
    ) -> None:
        self._mailbox = mailbox
        self._outputs = outputs
        self._inside = outputs_inside
        self._attempts = max_retries + 1
        self._board = board
        self._endings = endings
        self._patience = patience
        self._once = once
        self._say = say
        self._look_s = _LOOK_S if mailbox.url.startswith("file:") else _LOOK_REMOTE_S

    def run(self) -> tuple[str, str | None]:
        """Return the final phase and its reason. Raises RunnerError, MailboxError, OSError."""
        self._records = self._patience.insist(lambda: Records(self._mailbox))
        ended = self._patience.insist(lambda: {r.index: r.done for r in read_records(self._mailbox)})
        self._count(ended)
        while True:
            item, closed = self._next(ended)
            ending = self._endings.now()
            if ending is not None:
                return ending.phase, ending.reason
            if item is None and closed:
                failed = len(ended) - sum(ended.values())
                return "succeeded", f"{len(ended)} items were run" + (f", {failed} failed" if failed else "")
            if item is None:
                time.sleep(self._look_s)
                continue
            record = self._do(item)
            if isinstance(record, Ending):
                return record.phase, record.reason
            ended[item.index] = record.done
            self._count(ended)

    def _count(self, ended: dict[int, bool]) -> None:
        self._board.change(units={UNIT: float(sum(ended.values()))}, item=None)

    def _next(self, ended: dict[int, bool]) -> tuple[Item | None, bool]:
        """Return the first item that is to do, and whether there will be no other ones."""
        todo = self._patience.insist(lambda: assigned(self._mailbox))
        return next((item for item in todo.items if item.index not in ended), None), todo.closed

    def _do(self, item: Item) -> Record | Ending:
        folder = self._outputs / item.name
        environment = {
            "HARCHOS_ITEM": item.name,
            "HARCHOS_ITEM_INDEX": str(item.index),
            "HARCHOS_OUTPUT_DIR": f"{self._inside}/{item.name}",
        }
        self._board.change(item=item.name)
        for attempt in range(1, self._attempts + 1):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            failure = "failed"
            try:
                ending = self._once(attempt, environment)
                if ending is not None:
                    return ending
                code = self._board.status.exit_code
                if code == 0 or attempt == self._attempts:
                    break
            except JobLostError as error:
                if attempt == self._attempts or self._endings.now():
                    raise
                failure = str(error)
            self._say(f"item {item.name}: attempt {attempt} of {self._attempts}: {failure}; starting again")
        if code != 0:
            self._say(f"item {item.name} failed with exit code {code}")
        record = Record(item.index, code, attempt, self._stored(item, folder) if code == 0 else ())
        self._patience.insist(lambda: self._records.add(record))
        shutil.rmtree(folder, ignore_errors=True)
        return record

    def _stored(self, item: Item, folder: Path) -> tuple[File, ...]:
        """Store what the item put out. Raises MailboxError where the mailbox is away for too long."""
        uploads = Uploads(self._mailbox, folder)
        paths, refused = regular_files(folder)
        for path in refused:
            self._say(f"output {item.name}/{path} is not stored: it is no regular file")
        return tuple(self._upload(uploads, path, object_name(item.name, path)) for path in paths)

    def _upload(self, uploads: Uploads, path: str, name: str) -> File:
        def upload() -> File:
            try:
                return uploads.upload(path, name)
            except ChangingError as error:
                raise MailboxError(str(error), transient=True) from error

        return self._patience.insist(upload)
