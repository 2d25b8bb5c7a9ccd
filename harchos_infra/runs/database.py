"""The database under the ledger: SQLite (WAL) in the home directory, or a PostgreSQL that several share.

`HARCHOS_DATABASE_URL` names the PostgreSQL: `postgresql://USER:PASSWORD@HOST:PORT/NAME`. Both keep UTC
seconds by their own clock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, inspect, make_url, text
from sqlalchemy import event as engine_event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from harchos_infra.errors import HarchosError
from harchos_infra.settings import home

HEAD = "0007"
URL = "HARCHOS_DATABASE_URL"

_POSTGRESQL = "postgresql"
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    _POSTGRESQL: "extract(epoch from clock_timestamp())",
}
_ALONE = 0x4841524348
"""Key of the advisory lock on PostgreSQL; SQLite has one writer at a time anyway."""


class LedgerUnwritableError(HarchosError):
    """The database refuses: its disk is full, another process holds it too long, or it is out of reach."""


class Database:
    """Transactions on the ledger's tables; one object may be used by many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, directory: Path | None = None) -> Database:
        """Open the database in `directory`; without one, that of `HARCHOS_DATABASE_URL` or of the home.

        Creates or migrates it if needed.
        """
        url = os.environ.get(URL)
        if url and directory is None:
            return cls(_open_postgresql(url))
        return cls(_open_sqlite(directory or home()))

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """Begin a transaction that writes; `alone`: no other such one is under way anywhere."""
        with self._errors("written"), self._engine.connect() as db, db.begin():
            if not self._is_postgresql():
                db.execute(text("BEGIN IMMEDIATE"))
            elif alone:
                db.execute(text(f"SELECT pg_advisory_xact_lock({_ALONE})"))
            yield db

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Look without changing anything."""
        with self._errors("read"), self._engine.connect() as db:
            yield db

    @property
    def place(self) -> str:
        """Where it is, without its password."""
        url = self._engine.url
        return url.render_as_string() if self._is_postgresql() else str(url.database)

    @property
    def reads_late(self) -> bool:
        """Whether a row may become visible after one with a higher number, as several commit at once."""
        return self._is_postgresql()

    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == _POSTGRESQL

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise LedgerUnwritableError(
                f"the ledger in {self.place} cannot be {what}: {_line(error)}",
                hint="make room or repair it, then `harchos sweep` or `harchos resume RUN`",
            ) from error


def db_now(db: Connection) -> float:
    """Return the time by the database's own clock, in UTC seconds."""
    return float(db.execute(text(f"SELECT {_NOW[db.dialect.name]}")).scalar_one())


def insert_new(db: Connection, table: Table) -> Any:
    """Return an insert that leaves a row alone which is there already."""
    return insert_or(db, table).on_conflict_do_nothing()


def insert_or(db: Connection, table: Table) -> Any:
    """Return the database's own insert, which knows `on_conflict_do_update`."""
    return postgresql.insert(table) if db.dialect.name == _POSTGRESQL else sqlite.insert(table)


def _open_sqlite(directory: Path) -> Engine:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HarchosError(
            f"{directory}: {error.strerror}", hint="set HARCHOS_HOME to a directory you can write"
        ) from error
    path = directory / "ledger.db"
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    engine_event.listen(engine, "connect", _configure)
    with (directory / "ledger.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.touch(mode=0o600)
        try:
            _migrate(engine, str(path), first="BEGIN IMMEDIATE")
        except DatabaseError as error:
            raise HarchosError(
                f"{path}: cannot be read as a ledger ({_line(error)})",
                hint="restore it or move it away to start anew; `harchos sweep` finds hubs without it",
            ) from error
    return engine


def _open_postgresql(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in (_POSTGRESQL, "postgres"):
        raise HarchosError(
            f"{URL} is not the address of a PostgreSQL", hint="write postgresql://USER@HOST:5432/DATABASE"
        )
    try:
        engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=10)
    except ModuleNotFoundError as error:
        raise HarchosError(
            f"{URL} is set, and PostgreSQL needs the package psycopg", hint="pip install 'psycopg[binary]'"
        ) from error
    place = engine.url.render_as_string()
    try:
        _migrate(engine, place, first=f"SELECT pg_advisory_xact_lock({_ALONE})")
    except DatabaseError as error:
        raise HarchosError(
            f"{place}: cannot be used as a ledger ({_line(error)})", hint=f"see whether {URL} is right"
        ) from error
    return engine


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _migrate(engine: Engine, place: str, *, first: str) -> None:
    with engine.connect() as db:
        if inspect(db).has_table("alembic_version"):
            version = db.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if version == HEAD:
                return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as db:
        db.execute(text(first))
        config.attributes["connection"] = db
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise HarchosError(
                f"{place}: written by a newer harchos ({error})",
                hint="upgrade harchos, or set another HARCHOS_HOME",
            ) from error


def _line(error: DatabaseError) -> str:
    return " ".join(str(error.orig).split())
