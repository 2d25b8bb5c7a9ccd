"""What a run leaves to be read: its ledger, its job's own traces, and the command to ask for more."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any


def command(*words: str) -> list[str]:
    """Return the command line of `harchos`, of this very tree."""
    return [sys.executable, "-c", "from harchos_infra.cli.main import main; main()", *words]


def environ(home: Path) -> dict[str, str]:
    """Return the environment of a user whose home this is."""
    hidden = ("HARCHOS_RUN", "HARCHOS_HUB", "HARCHOS_EXPIRES", "HARCHOS_DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    root = str(Path(__file__).resolve().parents[3])
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "HARCHOS_HOME": str(home), "NO_COLOR": "1"}


def query(home: Path, sql: str) -> list[dict[str, Any]]:
    """Return rows of a home's ledger; none while there is no ledger."""
    if not (home / "ledger.db").exists():
        return []
    try:
        with closing(sqlite3.connect(home / "ledger.db", timeout=30)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql)]
    except sqlite3.OperationalError:
        return []


def read_traces(work: Path, run: str) -> list[dict[str, Any]]:
    """Return each start of a run's job, as it told itself."""
    file = work / "traces" / f"{run}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
