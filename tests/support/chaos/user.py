"""Whoever drives the runs of a home: types commands, and types them again when they have died."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tests.support.chaos.records import command
from tests.support.chaos.way import Way

MOST_COMMANDS = 25
_PAUSE_S = 1.0


class User:
    """Carries a workload out in a way, in the folder `desk`; all that is printed goes to `log`."""

    def __init__(
        self, chance: random.Random, way: Way, desk: Path, environ: Mapping[str, str], log: Path
    ) -> None:
        self.controls = way.controlled if way.controlled is not None else chance.random() < 0.5
        """Whether it leaves the runs to a controller."""
        self._chance, self._way = chance, way
        self._desk, self._environ, self._log = desk, environ, log
        self._drivers: list[subprocess.Popen[bytes]] = []
        self._next_start, self._races, self._commands = 0.0, False, 0

    def drive(self, now: float, rows: Sequence[Mapping[str, Any]]) -> None:
        """Start the next command where none is under way; `rows` are the runs."""
        if self._living() or now < self._next_start:
            return
        if self._commands > MOST_COMMANDS:
            raise RuntimeError(f"{MOST_COMMANDS} commands did not bring the runs to their ends")
        for driver in self._drivers:
            if driver.returncode not in (0, -9):
                self.note(f"{' '.join(_words(driver)[3:])} ended with {driver.returncode}")
        races = (self._races or self._way.controllers > 1) and bool(rows)
        self._races = False
        self._drivers = [self._harchos(*self._next(rows, races=races)) for _ in range(2 if races else 1)]
        self._next_start = now + _PAUSE_S

    def die(self, *, races: bool) -> float | None:
        """Kill the commands under way, sometimes one of two; return when the next one starts.

        None where nothing was under way. `races`: from there on two are to take the runs up.
        """
        living = self._living()
        if len(living) > 1 and not races and self._chance.random() < 0.5:
            living = [self._chance.choice(living)]
        for driver in living:
            driver.kill()
            driver.wait()
        return self.rest(races=races) if living else None

    def rest(self, *, races: bool = False) -> float:
        """Start the next command after a while; return when."""
        self._next_start = time.monotonic() + self._chance.uniform(0.0, 2.0)
        self._races = self._races or races
        return self._next_start

    def leave(self, patience_s: float) -> bool:
        """Let commands in the foreground end, tell controllers to; return whether all have ended in time."""
        until = time.monotonic() + patience_s
        for driver in self._living():
            if "controller" in _words(driver):
                driver.terminate()
        while self._living() and time.monotonic() < until:
            time.sleep(0.05)
        living = self._living()
        for driver in living:
            driver.kill()
        for driver in self._drivers:
            driver.wait()
        return not living

    def note(self, text: str) -> None:
        """Write a line of the trial's own beside what commands print."""
        with self._log.open("a") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} {text}\n")

    def _living(self) -> list[subprocess.Popen[bytes]]:
        return [driver for driver in self._drivers if driver.poll() is None]

    def _next(self, rows: Sequence[Mapping[str, Any]], *, races: bool) -> tuple[str, ...]:
        submit = ("apply", *self._way.applied, "--yes")
        left = [row for row in rows if row["phase"] != "done"]
        if not left:
            return (*submit, "--detach") if self.controls else submit
        if self.controls:
            return ("controller",)
        named = self._chance.choice(left)
        resume = ("resume", named["queue"] or named["id"])
        of_one = ("resume", named["id"])
        again = submit if self._way.is_plan or not races else resume
        return self._chance.choice([resume, of_one, again, ("controller",)])

    def _harchos(self, *words: str) -> subprocess.Popen[bytes]:
        self._commands += 1
        self.note("$ harchos " + " ".join(words))
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command(*words),
                cwd=self._desk,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _words(driver: subprocess.Popen[bytes]) -> list[str]:
    return cast("list[str]", driver.args)
