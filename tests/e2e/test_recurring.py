"""A workload that recurs, as its user sees it: handed over, run by the controllers at its tick, ended."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from harchos_infra.runs import schema
from harchos_infra.runs.database import Database
from tests.e2e.conftest import Road


def let_its_tick_come(road: Road) -> None:
    """Put the next tick of what recurs to the last one that there was."""
    last = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC).timestamp()
    with Database.open(road.home).write() as db:
        db.execute(update(schema.recurrence).values(next_tick=last))


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()


def test_it_is_run_once_at_its_tick_by_whichever_controller_and_no_more_once_it_is_ended(road: Road) -> None:
    marks: Path = road.work / "marks"
    file = road.workload(
        f"echo $HARCHOS_RUN $GREETING >> {marks}",
        "yearly",
        duration="5s",
        schedule={"cron": "@yearly"},
        env=[{"name": "GREETING", "value": "hello"}],
    )
    begun = road.harchos("apply", file, "--yes", "--detach")
    assert begun.returncode == 0, begun.stderr
    assert "yearly recurs: harchos status" in begun.stdout
    assert road.status()["runs"] == []
    file.unlink()
    let_its_tick_come(road)
    controllers = [road.start("controller") for _ in range(2)]
    try:
        road.wait_for(road.over, 120)
        row = road.run_row()
        run = row["run"]
        assert row["outcome"] == "succeeded"
        assert marks.read_text() == f"{run} hello\n"
        (recurring,) = road.status()["recurring"]
        assert recurring["last"] == {
            **recurring["last"], "state": "planned", "run": run, "phase": "done", "outcome": "succeeded",
        }  # fmt: skip
        assert recurring["nextTick"] == f"{datetime.now(UTC).year + 1}-01-01T00:00:00Z"
        assert road.harchos("cancel", "yearly").stdout == "yearly recurs no more\n"
        assert road.status()["recurring"] == []
        history = road.harchos("events", "yearly").stdout
        assert [line.split()[2] for line in history.splitlines()] == ["recurs", "planned", "ended"]
    finally:
        for controller in controllers:
            end(controller)
    assert road.left() == []
