"""Faults that last: a lock that another process holds, a mailbox out of reach, a full disk, a server that is
down, a clock that is wrong."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.postgres import PostgresServer

_EXCHANGE = 2
_HERE = -100

_HOLD_LEDGER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
db.execute("ROLLBACK")
"""
_HOLD_STATE = """
import fcntl, pathlib, sys, time
state, info = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3])
if not state.exists():
    sys.exit()
with state.open("r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    info.write_text(sys.argv[4])
    time.sleep(float(sys.argv[2]))
    info.unlink(missing_ok=True)
"""


class Blockage:
    """Something that is in the way until `over`."""

    def over(self) -> bool:
        """Return whether it is out of the way."""
        raise NotImplementedError

    def end(self) -> None:
        """Take it out of the way now."""
        raise NotImplementedError


class Holder(Blockage):
    """Another process that holds a lock."""

    def __init__(self, program: str, *words: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", program, *words])

    @classmethod
    def of_ledger(cls, home: Path, seconds: float) -> Holder | None:
        """Hold the ledger's write lock; None where there is no ledger yet."""
        ledger = home / "ledger.db"
        return cls(_HOLD_LEDGER, str(ledger), str(seconds)) if ledger.exists() else None

    @classmethod
    def of_state(cls, home: Path, seconds: float) -> Holder | None:
        """Lock the newest Terraform state as a Terraform elsewhere would; None where there is none."""
        states = sorted((home / "hubs").glob("*/terraform/terraform.tfstate"), key=lambda p: p.parts)
        if not states:
            return None
        info = {
            "ID": "11111111-2222-3333-4444-555555555555",
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": "somebody@elsewhere",
            "Version": "1.11.4",
            "Created": "2026-01-01T00:00:00.000000000Z",
            "Path": "terraform.tfstate",
        }
        lock = states[-1].with_name(".terraform.tfstate.lock.info")
        return cls(_HOLD_STATE, str(states[-1]), str(seconds), str(lock), json.dumps(info))

    def over(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class Timed(Blockage):
    """One that is taken out of the way when its time is over."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def over(self) -> bool:
        if time.monotonic() < self._until:
            return False
        self.end()
        return True


class Unreachable(Timed):
    """A run's mailbox whose every object fails: a file stands in its place, put there in one step."""

    def __init__(self, mailbox: Path, seconds: float) -> None:
        self._mailbox, self._aside = mailbox, mailbox.parent.with_name(f"aside-{mailbox.name}")
        super().__init__(seconds)
        self._aside.write_text("out of reach\n")
        _exchange(self._mailbox, self._aside)

    def end(self) -> None:
        if self._aside.is_dir():
            _exchange(self._mailbox, self._aside)
            self._aside.unlink()


class Outage(Timed):
    """A database server that has crashed, until it is started again."""

    def __init__(self, server: PostgresServer, seconds: float) -> None:
        super().__init__(seconds)
        self._server, self._down = server, True
        server.stop()

    def end(self) -> None:
        if self._down:
            self._down = False
            self._server.start()


class FullDisk(Timed):
    """A disk whose last byte is taken."""

    def __init__(self, disk: Path, seconds: float) -> None:
        super().__init__(seconds)
        self._filler = disk / "filler"
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                return

    def end(self) -> None:
        self._filler.unlink(missing_ok=True)


class WrongClock(Timed):
    """A clock that differs from the machine's by `shift_s`, as `wrong_clock.c` reads it from a file."""

    def __init__(self, file: Path, shift_s: int, seconds: float) -> None:
        super().__init__(seconds)
        self._file = file
        part = file.with_suffix(".part")
        part.write_text(f"{shift_s:+d}\n")
        part.replace(file)

    def end(self) -> None:
        self._file.unlink(missing_ok=True)


def _exchange(a: Path, b: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2", str(a))
