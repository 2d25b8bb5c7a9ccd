"""What a run leaves to be read: its ledger, its job's own traces, and the command to ask for more."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

ADDRESS = "database-url"
"""The file beside a home that has the address of its ledger, where that is not in the home."""


def command(*words: str) -> list[str]:
    """Return the command line of `harchos`, of this very tree."""
    return [sys.executable, "-c", "from harchos_infra.cli.main import main; main()", *words]


def environ(home: Path) -> dict[str, str]:
    """Return the environment of a user whose home this is."""
    hidden = ("HARCHOS_RUN", "HARCHOS_HUB", "HARCHOS_EXPIRES", "HARCHOS_DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    root = str(Path(__file__).resolve().parents[3])
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    url = _address(home)
    where = {} if url is None else {"HARCHOS_DATABASE_URL": url}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "HARCHOS_HOME": str(home),
        "NO_COLOR": "1",
        **where,
    }


def query(home: Path, sql: str) -> list[dict[str, Any]]:
    """Return rows of a home's ledger; none while there is no ledger, or it is out of reach."""
    url = _address(home)
    if url is not None:
        return _query_postgresql(url, sql)
    if not (home / "ledger.db").exists():
        return []
    try:
        with closing(sqlite3.connect(home / "ledger.db", timeout=30)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql)]
    except sqlite3.OperationalError:
        return []


def boxes(home: Path, run: str, hub: str) -> list[Path]:
    """Return the mailboxes of a hub's nodes."""
    folder = home / "mailbox" / run
    return [folder / hub, *sorted(folder.glob(f"{hub}-n*"))]


def read_traces(work: Path, home: Path, run: str) -> list[dict[str, Any]]:
    """Return each start of a run's job, as it told itself: where all runs do, else where it works."""
    places = [work / "traces", *sorted((home / "hubs").glob(f"{run}-h*/machine/work"))]
    files = (place / f"{run}.jsonl" for place in places)
    lines = (line for file in files if file.exists() for line in file.read_text().splitlines())
    return [json.loads(line) for line in lines]


def _address(home: Path) -> str | None:
    file = home.parent / ADDRESS
    return file.read_text() if file.exists() else None


def _query_postgresql(url: str, sql: str) -> list[dict[str, Any]]:
    import psycopg
    from psycopg.rows import dict_row

    try:
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=5) as db:
            return list(db.execute(sql))  # type: ignore[call-overload]
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return []
