"""A queue is on the books with its items and all its runs, or not at all, whenever its submitter dies."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from harchos_infra.errors import HarchosError
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.queue import plan_queue
from harchos_infra.runs import schema, submit
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.clock import RealClock
from harchos_infra.runs.ledger import Ledger
from harchos_infra.runs.submit import Submission, submit_queue
from harchos_infra.workload.loader import load

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)


class KilledError(BaseException):
    """The process ended here."""


@pytest.fixture
def queue(tmp_path: Path) -> Submission:
    """Ten items for two hubs."""
    path = tmp_path / "items.yaml"
    spec = {
        "type": "batch",
        "command": "true",
        "duration": "1h",
        "placement": {"regions": ["aws/eu-north-1"]},
        "items": {"count": 10, "maxHubs": 2},
    }
    envelope = {"apiVersion": "harchos.dev/v1", "kind": "Workload", "metadata": {"name": "items"}}
    path.write_text(json.dumps({**envelope, "spec": spec}))
    loaded = load(path)
    made = plan_queue(
        loaded.workload,
        catalog=catalog_for(loaded.workload),
        signal=builtin_replay(),
        now=NOW,
        source={"path": str(path), "sha256": loaded.sha256},
    )
    return Submission(made, loaded, {"TOKEN": "secret"}, False, None)


def rows(ledger: Ledger, table: Table) -> int:
    with ledger.database.read() as db:
        return int(db.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("writes", range(4))
def test_it_is_there_as_a_whole_or_not_at_all(
    ledger: Ledger, queue: Submission, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    write, left = ledger.database.write, iter(range(writes))

    def write_or_die(**options: Any) -> AbstractContextManager[Any]:
        if next(left, None) is None:
            raise KilledError
        return write(**options)

    monkeypatch.setattr(ledger.database, "write", write_or_die)
    with suppress(KilledError):
        submit_queue(ledger, queue, owner=None, clock=RealClock())
    there = rows(ledger, schema.queue), rows(ledger, schema.item), rows(ledger, schema.run)
    assert there == ((1, 10, 2) if writes else (0, 0, 0))


def test_nothing_stays_staged_of_one_whose_second_job_found_no_space(
    ledger: Ledger, queue: Submission, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage, staged = submit.stage_run, list[str]()

    def stage_once(submission: Submission, run: str) -> None:
        if staged:
            raise HarchosError("no space is left")
        stage(submission, run)
        staged.append(run)

    monkeypatch.setattr(submit, "stage_run", stage_once)
    with pytest.raises(HarchosError, match="no space"):
        submit_queue(ledger, queue, owner=None, clock=RealClock())
    assert not [path for path in (tmp_path / "home" / "mailbox").rglob("*") if path.is_file()]
    assert rows(ledger, schema.item) == rows(ledger, schema.run) == 0
