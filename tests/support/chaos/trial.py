"""One run under faults: commands die and are started again until it is done; then it is judged."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, cast

from tests.support.chaos.blockage import Blockage, FullDisk, Holder, Outage, Unreachable, WrongClock
from tests.support.chaos.faults import CLOCKS, PHASES, REHEARSED, WAYS, Fault, draw, kinds_of
from tests.support.chaos.judge import judge
from tests.support.chaos.machine import Machine, agents, hubs_alive
from tests.support.chaos.records import ADDRESS, command, environ, query, read_traces
from tests.support.chaos.train import SECRET
from tests.support.postgres import PostgresServer, postgres_server

TICK_S, WATCH_S, PATIENCE_S = 0.05, 0.25, 300.0
MOST_COMMANDS = 25
SPEED = "2700"
DISK = "192m"
CLOCK = "clock"
"""The file, in the folder in which a process works, by which `wrong_clock.c` shifts its wall clock."""


@dataclass(slots=True)
class Result:
    """What became of one run."""

    number: int
    way: str
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    recovered_s: list[tuple[str, float]] = field(default_factory=list)
    hubs: int = 0
    took_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, left or done twice."""
        return not (self.wrong or self.leaks or self.duplicates)


@dataclass(slots=True)
class _Recovery:
    kind: str
    since: float
    done: Callable[[], bool]


class Trial:
    """Run number `number` of a seed; `work` holds the workload, in `root` is its `HARCHOS_HOME`.

    It ends early once `given_up` is set.
    """

    def __init__(self, seed: int, number: int, work: Path, root: Path, given_up: Event) -> None:
        self._chance = random.Random(f"{seed}-{number}")
        way = WAYS[number % len(WAYS)]
        kinds = kinds_of(way)
        self._faults = draw(self._chance, kinds[(number // len(WAYS) + seed) % len(kinds)], way)
        self.plan = list(self._faults)
        self.result = Result(number, way)
        self._work, self._given_up = work, given_up
        self._root, self._home, self._desk = root, root / "home", root / "desk"
        self._log, self._temporary = root / "commands.log", root / "tmp"
        self._token = f"{SECRET}{seed}-{number}"
        self._server: PostgresServer | None = None
        self._machine = Machine(self._home)
        self._drivers: list[subprocess.Popen[bytes]] = []
        self._next_start, self._racing, self._commands = 0.0, False, 0
        self._entered: dict[tuple[str, int], float] = {}
        self._phase, self._visits = "", Counter[str]()
        self._blockages: list[tuple[str, Blockage]] = []
        self._recoveries: list[_Recovery] = []
        self._watch_at = 0.0

    def run(self) -> Result:
        """Carry it out and judge it; nothing of it is left running afterwards."""
        begun = time.monotonic()
        with ExitStack() as stack:
            self._prepare(stack)
            try:
                self._live(begun)
                for _, blockage in self._blockages:
                    blockage.end()
                self._end_drivers()
                judge(self.result, self._root, self._work, self._machine, self._token)
            finally:
                for _, blockage in self._blockages:
                    blockage.end()
                while self._machine.kill(lambda _: True):
                    pass
                for driver in self._drivers:
                    driver.wait()
        self.result.took_s = time.monotonic() - begun
        return self.result

    def _prepare(self, stack: ExitStack) -> None:
        """Make the home, the folder in which its user works, and what else the run needs."""
        shutil.copytree(self._work, self._desk, ignore=shutil.ignore_patterns("traces", "*.so"))
        self._temporary.mkdir()
        self._home.mkdir()
        if any(fault.kind == "disk full" for fault in self._faults):
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", self._home], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", self._home], check=True)
            stack.callback(shutil.copytree, self._home, self._root / "kept", symlinks=True)
        if self.result.way == "postgresql":
            self._server = stack.enter_context(postgres_server())
            (self._root / ADDRESS).write_text(self._server.database())
        engine = "podman" if self.result.way == "container" else "none"
        settings = f"local.zone: DE\nlocal.engine: {engine}\nlocal.image: host\n"
        (self._home / "config.yaml").write_text(settings)

    def _live(self, begun: float) -> None:
        self._enter("", begun)
        while True:
            now = time.monotonic()
            if now - begun > PATIENCE_S or self._given_up.is_set():
                self.result.wrong.append(f"not done after {now - begun:.0f} s, in phase {self._phase}")
                return
            row = self._row()
            if row is not None and row["phase"] != self._phase:
                for phase in _passed(self._phase, row["phase"]):
                    self._enter(phase, now)
            if self._phase == "done":
                return
            self._drive(now, row)
            self._strike(now)
            self._watch(now)
            time.sleep(TICK_S)

    # what the run's user does

    def _drive(self, now: float, row: dict[str, Any] | None) -> None:
        if any(driver.poll() is None for driver in self._drivers) or now < self._next_start:
            return
        if self._commands > MOST_COMMANDS:
            raise RuntimeError(f"{MOST_COMMANDS} commands did not bring the run to its end")
        for driver in self._drivers:
            self._heed(driver)
        racing = (self._racing or self.result.way == "postgresql") and row is not None
        self._racing = False
        self._drivers = [self._start(row, racing=racing) for _ in range(2 if racing else 1)]
        self._next_start = now + 1.0

    def _heed(self, driver: subprocess.Popen[bytes]) -> None:
        if driver.returncode not in (0, -9):
            self._note(f"{' '.join(_words(driver)[3:])} ended with {driver.returncode}")

    def _start(self, row: dict[str, Any] | None, *, racing: bool) -> subprocess.Popen[bytes]:
        rehearse = ["plan.json", "--rehearse", "--speed", SPEED]
        rehearsed = self.result.way in REHEARSED
        submit = ["apply", *(rehearse if rehearsed else ["job.yaml"]), "--yes"]
        if row is None:
            words = [*submit, "--detach"] if self._by_controller else submit
        elif self._by_controller:
            words = ["controller"]
        else:
            resume = ["resume", row["id"]]
            again = submit if rehearsed or not racing else resume
            words = self._chance.choice([resume, resume, again, ["controller"]])
        return self._harchos(*words)

    def _harchos(self, *words: str) -> subprocess.Popen[bytes]:
        self._commands += 1
        self._note("$ harchos " + " ".join(words))
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command(*words),
                cwd=self._desk,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def _by_controller(self) -> bool:
        return self.result.way in ("controller", "postgresql")

    def _environ(self) -> dict[str, str]:
        known = {**environ(self._home), "CHAOS_TOKEN": self._token, "TMPDIR": str(self._temporary)}
        clock = next((fault.kind for fault in self.plan if fault.kind in CLOCKS), None)
        if clock is None:
            return known
        return known | {
            "LD_PRELOAD": str(self._work / "wrong_clock.so"),
            "CHAOS_CLOCK": str(self._desk / CLOCK) if clock == "clock of the machine" else CLOCK,
        }

    def _end_drivers(self) -> None:
        """Let commands in the foreground end; tell controllers to."""
        self._watch(float("inf"))
        for driver in self._drivers:
            if "controller" in _words(driver):
                driver.terminate()
            try:
                driver.wait(30)
            except subprocess.TimeoutExpired:
                self.result.wrong.append("a command did not end although its run is done")
                driver.kill()

    # what goes wrong

    def _strike(self, now: float) -> None:
        for kind, blockage in list(self._blockages):
            if blockage.over():
                self._blockages.remove((kind, blockage))
                self._recover(kind, self._changed())
        for fault in list(self._faults):
            due = self._entered.get((fault.phase, fault.nth))
            if due is not None and now >= due + fault.delay_s and self._inject(fault):
                self._faults.remove(fault)
                self.result.faults[self._name(fault.kind)] += 1
                self._note(f"! {fault}; now in {self._phase}")

    def _name(self, kind: str) -> str:
        if kind == "driver":
            return "controller" if self._by_controller else "command"
        return kind

    def _inject(self, fault: Fault) -> bool:
        """Make a fault happen; False where there is nothing yet for it to hit."""
        if fault.kind in ("driver", "race"):
            return self._kill_drivers(racing=fault.kind == "race")
        if fault.kind == "reboot":
            return self._reboot()
        if fault.kind in ("guard", "worker"):
            return self._kill_of_hub(fault.kind)
        if fault.kind == "job":
            return self._hit("job", self._begun_again(), bool(self._machine.kill(lambda p: p.is_job)))
        if fault.kind == "container engine":
            return self._kill_engine()
        if fault.kind == "terraform":
            return self._hit("terraform", self._called(), bool(self._machine.kill(lambda p: p.is_terraform)))
        if fault.kind == "checkpoint torn":
            return self._tear()
        if fault.kind == "state lost":
            return self._lose_state()
        return self._block(fault)

    def _kill_drivers(self, *, racing: bool) -> bool:
        living = [driver for driver in self._drivers if driver.poll() is None]
        if len(living) > 1 and not racing and self._chance.random() < 0.5:
            living = [self._chance.choice(living)]
        for driver in living:
            driver.kill()
            driver.wait()
        if living:
            self._rest(racing=racing)
        return bool(living)

    def _rest(self, *, racing: bool) -> None:
        """Start the next command after a while; from there on it is to take the run up."""
        self._next_start = time.monotonic() + self._chance.uniform(0.0, 2.0)
        self._racing = self._racing or racing
        row = self._row()
        if row is not None:
            before = row["epoch"]
            kind = "race" if racing else self._name("driver")
            self._recoveries.append(_Recovery(kind, self._next_start, lambda: self._epoch() > before))

    def _reboot(self) -> bool:
        """Kill everything of the run at once, whatever is being started meanwhile included."""
        if not self._machine.runs():
            return False
        again = self._begun_again()
        while self._machine.kill(lambda _: True):
            pass
        self._rest(racing=False)
        return self._hit("reboot", again, True) if self._phase != "wait" else True

    def _kill_of_hub(self, part: str) -> bool:
        again = self._begun_again()
        return self._hit(part, again, bool(self._machine.kill(lambda p: p.is_agent(f"_{part}"))))

    def _kill_engine(self) -> bool:
        """Kill a container's client, its monitor, its first process, or all of them."""
        again = self._begun_again()
        found = sorted({Path(p.words[0]).name for p in self._machine.processes() if p.is_engine})
        if not found:
            return False
        some = self._chance.choice([[name] for name in found] + [found])
        hit = self._machine.kill(lambda p: p.is_engine and Path(p.words[0]).name in some)
        return self._hit("container engine", again, bool(hit))

    def _tear(self) -> bool:
        """Kill a hub and spoil a file of its newest checkpoint, as a machine that dies while it writes."""
        found = sorted((self._home / "mailbox").glob("*/*-h*/checkpoints/*.json"))
        if not found:
            return False
        again = self._begun_again()
        while self._machine.kill(lambda p: p.hub is not None):
            pass
        newest = sorted((self._home / "mailbox").glob("*/*-h*/checkpoints/*.json"), key=_generation)[-1]
        model = newest.with_suffix("") / "model.bin"
        target = self._chance.choice([model, model, newest, newest.parent.with_suffix(".json")])
        if self._chance.random() < 0.5:
            target.unlink(missing_ok=True)
        elif target.exists():
            target.write_bytes(target.read_bytes()[: self._chance.randrange(target.stat().st_size)])
        return self._hit("checkpoint torn", again, True)

    def _lose_state(self) -> bool:
        states = list((self._home / "hubs").glob("*/terraform/terraform.tfstate"))
        for state in states:
            state.unlink()
        return self._hit("state lost", self._changed(), bool(states))

    def _block(self, fault: Fault) -> bool:
        if any(kind == fault.kind for kind, _ in self._blockages):
            return False
        blockage = self._blockage(fault)
        if blockage is not None:
            self._blockages.append((fault.kind, blockage))
        return blockage is not None

    def _blockage(self, fault: Fault) -> Blockage | None:
        """Return what is in the way from now on; None where there is nothing yet for it to hit."""
        if fault.kind.startswith("ledger locked"):
            return Holder.of_ledger(self._home, fault.lasts_s)
        if fault.kind == "state locked":
            return Holder.of_state(self._home, fault.lasts_s)
        if fault.kind == "database down":
            assert self._server is not None
            return Outage(self._server, fault.lasts_s)
        if fault.kind == "disk full":
            return FullDisk(self._home, fault.lasts_s)
        if fault.kind in CLOCKS:
            places = [self._desk]
            if fault.kind == "clock of the hub":
                places = sorted(self._home.glob("hubs/*/machine"), key=lambda p: (len(str(p)), p))[-1:]
            try:
                return WrongClock(places[0] / CLOCK, fault.shift_s, fault.lasts_s) if places else None
            except OSError:  # the disk is full, or the hub has just gone
                return None
        row = self._row()
        return None if row is None else Unreachable(self._home / "mailbox" / row["id"], fault.lasts_s)

    def _hit(self, kind: str, recovered: Callable[[], bool], hit: bool) -> bool:
        if hit:
            self._recover(kind, recovered)
        return hit

    # how it recovers

    def _recover(self, kind: str, done: Callable[[], bool]) -> None:
        self._recoveries.append(_Recovery(kind, time.monotonic(), done))

    def _begun_again(self) -> Callable[[], bool]:
        """Tell when the job goes on, or waits for the hour that its new schedule gives it."""
        before = len(self.traces())
        waits = self._visits["wait"]
        return lambda: (
            len(self.traces()) > before
            or self._visits["wait"] > waits
            or self._phase in ("collect", "settle", "done")
        )

    def _called(self) -> Callable[[], bool]:
        query = "SELECT count(*) AS n FROM op WHERE state = 'done'"
        before = self._count(query)
        return lambda: self._count(query) > before

    def _changed(self) -> Callable[[], bool]:
        """Tell when the run goes on: its history gets longer, or its hub's heart beats."""
        before = self._signs()
        return lambda: self._signs() != before

    def _signs(self) -> tuple[int, float]:
        beats = [0.0]
        for path in (self._home / "mailbox").glob("*/*/heartbeat.json"):
            with suppress(OSError):
                beats.append(path.stat().st_mtime)
        return self._count("SELECT count(*) AS n FROM event"), max(beats)

    # looking

    def _watch(self, now: float) -> None:
        """Look at the machine: no two hubs at once, no two agents of one; and at what has recovered."""
        if now < self._watch_at:
            return
        self._watch_at = time.monotonic() + WATCH_S
        processes = self._machine.processes()
        alive = hubs_alive(processes)
        trouble = [f"hubs {', '.join(sorted(alive))} at once"] if len(alive) > 1 else []
        trouble += [
            f"{count} agents of {hub} at once" for hub, count in agents(processes).items() if count > 1
        ]
        for what in trouble:
            if what not in self.result.duplicates:
                self.result.duplicates.append(what)
        for recovery in list(self._recoveries):
            if recovery.done():
                self._recoveries.remove(recovery)
                after_s = max(time.monotonic() - recovery.since, 0.0)
                self.result.recovered_s.append((recovery.kind, after_s))

    def _enter(self, phase: str, now: float) -> None:
        self._phase = phase
        self._visits[phase] += 1
        self._entered[phase, self._visits[phase]] = now

    def traces(self) -> list[dict[str, Any]]:
        """Return each start of the job, as it told itself."""
        return [t for run in self._machine.runs() for t in read_traces(self._work, self._home, run)]

    def _row(self) -> dict[str, Any] | None:
        rows = query(self._home, "SELECT id, phase, epoch, outcome FROM run ORDER BY created_at DESC LIMIT 1")
        return rows[0] if rows else None

    def _epoch(self) -> int:
        row = self._row()
        return row["epoch"] if row else 0

    def _count(self, sql: str) -> int:
        rows = query(self._home, sql)
        return int(rows[0]["n"]) if rows else 0

    def _note(self, text: str) -> None:
        with self._log.open("a") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} {text}\n")


def _words(driver: subprocess.Popen[bytes]) -> list[str]:
    return cast("list[str]", driver.args)


def _passed(before: str, after: str) -> list[str]:
    """Return the phases entered since, `after` last: a quick one may be over before it is seen."""
    first = PHASES.index(before) + 1 if before else 0
    last = PHASES.index(after)
    return list(PHASES[first : last + 1] if first <= last else PHASES[: last + 1])


def _generation(manifest: Path) -> tuple[int, str]:
    return int(manifest.parts[-3].rpartition("-h")[2]), manifest.name
