"""A PostgreSQL of a test's own: a private server in a temporary directory, reached by its socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _as_its_user(command: list[str]) -> None:
    """Run a command as `postgres` where this is root: the server refuses to be."""
    lower = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run([*(lower if os.geteuid() == 0 else []), *command], check=True, stdout=subprocess.DEVNULL)


class PostgresServer:
    """A server in a directory; `database()` makes an empty one and returns its address."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self._directory, self._binaries = directory, binaries

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self._directory} -c fsync=off -c max_connections=400"
        self._pg_ctl("-w", "-l", str(self._directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash would: connections are cut, nothing is written in peace."""
        self._pg_ctl("-m", "immediate", "stop")

    def _pg_ctl(self, *arguments: str) -> None:
        _as_its_user([str(self._binaries / "pg_ctl"), "-D", str(self._directory / "data"), *arguments])

    def database(self) -> str:
        import psycopg

        name = f"t{uuid4().hex[:12]}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._directory}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server and stop it again; skips the test, naming what is missing."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (apt-get install postgresql)")
    pytest.importorskip("psycopg")
    directory = Path(tempfile.mkdtemp(prefix="harchos-pg-"))
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    server = PostgresServer(directory, binaries)
    data = str(directory / "data")
    try:
        _as_its_user([str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N"])
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
