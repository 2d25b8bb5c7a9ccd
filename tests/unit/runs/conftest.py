"""A ledger on each database that it may lie in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harchos_infra.runs.ledger import Ledger
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger in a home of its own, on SQLite and on PostgreSQL."""
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        monkeypatch.setenv("HARCHOS_DATABASE_URL", server.database())
    return Ledger.open()
