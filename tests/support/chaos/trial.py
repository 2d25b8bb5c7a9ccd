"""One trial: a workload is carried out under faults until its runs have ended; then it is judged."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from tests.support.chaos.blockage import Blockage, FullDisk, Holder, Outage, Unreachable, WrongClock
from tests.support.chaos.faults import CLOCKS, Fault, draw
from tests.support.chaos.job.start import SECRET
from tests.support.chaos.judge import judge
from tests.support.chaos.machine import Machine, Proc, agents, hubs_alive
from tests.support.chaos.progress import Progress
from tests.support.chaos.records import ADDRESS, boxes, environ, query, read_traces
from tests.support.chaos.result import Result
from tests.support.chaos.user import User
from tests.support.chaos.way import Way
from tests.support.postgres import PostgresServer, postgres_server

TICK_S, WATCH_S, PATIENCE_S, LEAVING_S = 0.05, 0.25, 300.0, 30.0
DISK = "192m"
CLOCK = "clock"
"""The file, in the folder in which a process works, by which `wrong_clock.c` shifts its wall clock."""


@dataclass(slots=True)
class _Recovery:
    kind: str
    since: float
    done: Callable[[], bool]


class Trial:
    """Trial number `number` of a seed; `work` holds the workloads, in `root` is its `HARCHOS_HOME`.

    It ends early once `given_up` is set.
    """

    def __init__(
        self, seed: int, number: int, ways: Sequence[Way], work: Path, root: Path, given_up: Event
    ) -> None:
        self._chance = random.Random(f"{seed}-{number}")
        self._way = ways[number % len(ways)]
        kinds = sorted(self._way.kinds)
        self._faults = draw(self._chance, kinds[(number // len(ways) + seed) % len(kinds)], self._way)
        self.plan = list(self._faults)
        self.result = Result(number, self._way.name)
        self._work, self._given_up = work, given_up
        self._root, self._home, self._desk = root, root / "home", root / "desk"
        self._temporary, self._token = root / "tmp", f"{SECRET}{seed}-{number}"
        self._server: PostgresServer | None = None
        self._machine = Machine(self._home)
        self._progress = Progress(time.monotonic())
        self._blockages: list[tuple[str, Blockage]] = []
        self._recoveries: list[_Recovery] = []
        self._watch_at = 0.0
        self._seen: list[dict[str, Any]] = []

    def run(self) -> Result:
        """Carry it out and judge it; nothing of it is left running afterwards."""
        begun = time.monotonic()
        with ExitStack() as stack:
            self._prepare(stack)
            self._user = User(
                self._chance, self._way, self._desk, self._environ(), self._root / "commands.log"
            )
            try:
                self._live(begun)
                for _, blockage in self._blockages:
                    blockage.end()
                self._watch(float("inf"))
                if not self._user.leave(LEAVING_S):
                    self.result.wrong.append("a command did not end although all its runs have")
                judge(self.result, self._way, self._root, self._work, self._machine, self._token)
            finally:
                for _, blockage in self._blockages:
                    blockage.end()
                while self._machine.kill(lambda _: True):
                    pass
                self._user.leave(0.0)
        self.result.took_s = time.monotonic() - begun
        return self.result

    def _prepare(self, stack: ExitStack) -> None:
        """Make the home, the folder in which its user works, and what else the runs need."""
        shutil.copytree(self._work, self._desk, ignore=shutil.ignore_patterns("traces", "*.so"))
        self._temporary.mkdir()
        self._home.mkdir()
        if any(fault.kind == "disk full" for fault in self._faults):
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", self._home], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", self._home], check=True)
            stack.callback(shutil.copytree, self._home, self._root / "kept", symlinks=True)
        if not self._way.is_on_files:
            self._server = stack.enter_context(postgres_server())
            (self._root / ADDRESS).write_text(self._server.database())
        settings = f"local.zone: DE\nlocal.engine: {self._way.engine}\nlocal.image: host\n"
        (self._home / "config.yaml").write_text(settings)

    def _environ(self) -> dict[str, str]:
        known = {**environ(self._home), "CHAOS_TOKEN": self._token, "TMPDIR": str(self._temporary)}
        clock = next((fault.kind for fault in self.plan if fault.kind in CLOCKS), None)
        if clock is None:
            return known
        return known | {
            "LD_PRELOAD": str(self._work / "wrong_clock.so"),
            "CHAOS_CLOCK": str(self._desk / CLOCK) if clock == "clock of the machine" else CLOCK,
        }

    def _live(self, begun: float) -> None:
        self._progress = Progress(begun)
        while True:
            now = time.monotonic()
            if now - begun > PATIENCE_S or self._given_up.is_set():
                self.result.wrong.append(f"not done after {now - begun:.0f} s, in {self._progress}")
                return
            rows = self._rows()
            self._progress.see(rows, now)
            if self._progress.has_ended():
                return
            self._user.drive(now, rows)
            self._strike(now)
            self._watch(now)
            time.sleep(TICK_S)

    # what goes wrong

    def _strike(self, now: float) -> None:
        for kind, blockage in list(self._blockages):
            if blockage.over():
                self._blockages.remove((kind, blockage))
                self._recover(kind, self._changed())
        for fault in list(self._faults):
            due = self._progress.entered(fault.phase, fault.nth)
            if due is not None and now >= due + fault.delay_s and self._inject(fault):
                self._faults.remove(fault)
                self.result.faults[self._name(fault.kind)] += 1
                self._user.note(f"! {fault}; now in {self._progress}")

    def _name(self, kind: str) -> str:
        if kind == "driver":
            return "controller" if self._user.controls else "command"
        return kind

    def _inject(self, fault: Fault) -> bool:
        """Make a fault happen; False where there is nothing yet for it to hit."""
        if fault.kind in ("driver", "race"):
            return self._kill_drivers(races=fault.kind == "race")
        if fault.kind == "reboot":
            return self._reboot()
        if fault.kind in ("guard", "worker"):
            return self._kill_of_hubs(fault.kind, lambda p: p.is_agent(f"_{fault.kind}"))
        if fault.kind == "hub":
            return self._kill_of_hubs("hub", lambda _: True, wholly=True)
        if fault.kind == "job":
            return self._kill_of_hubs("job", lambda p: p.is_job)
        if fault.kind == "container engine":
            return self._kill_engine()
        if fault.kind == "terraform":
            return self._hit("terraform", self._called(), bool(self._machine.kill(lambda p: p.is_terraform)))
        if fault.kind == "checkpoint torn":
            return self._tear()
        if fault.kind == "state lost":
            return self._lose_state()
        try:
            return self._block(fault)
        except OSError as error:
            if error.errno != errno.ENOSPC:  # a disk that is full already
                raise
            return False

    def _kill_drivers(self, *, races: bool) -> bool:
        taken_up = self._taken_up()
        again_at = self._user.die(races=races)
        if again_at is not None and self._progress.has_begun():
            self._recoveries.append(_Recovery("race" if races else self._name("driver"), again_at, taken_up))
        return again_at is not None

    def _reboot(self) -> bool:
        """Kill everything of the runs at once, whatever is being started meanwhile included."""
        if not self._machine.runs():
            return False
        taken_up, starts, killed = self._taken_up(), self._starts(), list[Proc]()
        while more := self._machine.kill(lambda _: True):
            killed += more
        self._user.rest()
        waits = self._progress.is_waiting()
        return self._hit("reboot", taken_up if waits else self._begun_again(starts, killed), True)

    def _kill_of_hubs(self, kind: str, which: Callable[[Proc], bool], *, wholly: bool = False) -> bool:
        """Kill what is such on one of the hubs and nodes, or on all; their jobs are to go on."""
        places = sorted({p.hub for p in self._machine.processes() if p.hub and which(p)})
        if not places:
            return False
        some = self._chance.choice([[place] for place in places] + [places])
        return self._kill(kind, lambda p: which(p) and p.hub in some, wholly=wholly)

    def _kill(self, kind: str, which: Callable[[Proc], bool], *, wholly: bool = False) -> bool:
        """Kill what is such; `wholly`: whatever of it is being started meanwhile, too."""
        starts = self._starts()
        killed = more = self._machine.kill(which)
        while wholly and more:
            more = self._machine.kill(which)
            killed += more
        return self._hit(kind, self._begun_again(starts, killed), bool(killed))

    def _kill_engine(self) -> bool:
        """Kill a container's client, its monitor, its first process, or all of them."""
        found = sorted({Path(p.words[0]).name for p in self._machine.processes() if p.is_engine})
        if not found:
            return False
        some = self._chance.choice([[name] for name in found] + [found])
        return self._kill("container engine", lambda p: p.is_engine and Path(p.words[0]).name in some)

    def _tear(self) -> bool:
        """Kill a hub and spoil a file of its newest checkpoint, as a machine that dies while it writes."""
        found = sorted((self._home / "mailbox").glob("*/*-h*/checkpoints/*.json"))
        if not found:
            return False
        before, killed = self._starts(), list[Proc]()
        while more := self._machine.kill(lambda p: p.hub is not None):
            killed += more
        newest = sorted((self._home / "mailbox").glob("*/*-h*/checkpoints/*.json"), key=_generation)[-1]
        target = self._chance.choice(
            [*_files(self._home, newest) * 2, newest, newest.parent.with_suffix(".json")]
        )
        if self._chance.random() < 0.5:
            target.unlink(missing_ok=True)
        elif target.exists():
            target.write_bytes(target.read_bytes()[: self._chance.randrange(target.stat().st_size)])
        return self._hit("checkpoint torn", self._begun_again(before, killed), True)

    def _lose_state(self) -> bool:
        states = list((self._home / "hubs").glob("*/terraform/terraform.tfstate"))
        for state in states:
            state.unlink()
        return self._hit("state lost", self._changed(), bool(states))

    def _block(self, fault: Fault) -> bool:
        if any(kind == fault.kind for kind, _ in self._blockages):
            return False
        try:
            blockage = self._blockage(fault)
        except OSError:  # the disk is full, or what it would hit has just gone
            return False
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
                hubs = sorted(self._home.glob("hubs/*"), key=lambda hub: (len(hub.name), hub.name))
                places = sorted(hubs[-1].glob("machine*")) if hubs else []
            if not places:
                return None
            return WrongClock(self._chance.choice(places) / CLOCK, fault.shift_s, fault.lasts_s)
        runs = [row["id"] for row in self._rows() if row["phase"] != "done"]
        if not runs:
            return None
        return Unreachable(self._home / "mailbox" / self._chance.choice(runs), fault.lasts_s)

    def _hit(self, kind: str, recovered: Callable[[], bool], hit: bool) -> bool:
        if hit:
            self._recover(kind, recovered)
        return hit

    # how it recovers

    def _recover(self, kind: str, done: Callable[[], bool]) -> None:
        self._recoveries.append(_Recovery(kind, time.monotonic(), done))

    def _begun_again(self, before: Counter[str], killed: Iterable[Proc]) -> Callable[[], bool]:
        """Tell when the job of each run that was hit goes on, needs not, or waits for its new hour.

        `before`: how often each had begun.
        """
        hit = {process.run for process in killed if process.run}
        waits = dict(self._progress.waits)

        def done() -> bool:
            starts = self._starts()
            return all(
                starts[run] > before[run]
                or self._progress.waits[run] > waits.get(run, 0)
                or self._progress.is_ending(run)
                for run in hit
            )

        return done

    def _taken_up(self) -> Callable[[], bool]:
        before = self._epochs()
        return lambda: self._epochs() > before

    def _starts(self) -> Counter[str]:
        return Counter(start["run"] for start in self.traces() if start["event"] == "begun")

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
        """Look at the machine: no two hubs of a run at once, no two agents of one; at what has recovered."""
        if now < self._watch_at:
            return
        self._watch_at = time.monotonic() + WATCH_S
        processes = self._machine.processes()
        trouble = [
            f"hubs {', '.join(sorted(h))} at once" for h in hubs_alive(processes).values() if len(h) > 1
        ]
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

    def traces(self) -> list[dict[str, Any]]:
        """Return each start of the job, as it told itself."""
        return [t for run in self._machine.runs() for t in read_traces(self._work, self._home, run)]

    def _rows(self) -> list[dict[str, Any]]:
        """Return the runs, as they were last seen where the ledger is out of reach."""
        rows = query(self._home, "SELECT id, queue, phase, epoch FROM run ORDER BY created_at, id")
        self._seen = rows or self._seen
        return self._seen

    def _epochs(self) -> int:
        return sum(row["epoch"] for row in self._rows())

    def _count(self, sql: str) -> int:
        rows = query(self._home, sql)
        return int(rows[0]["n"]) if rows else 0


def _files(home: Path, manifest: Path) -> list[Path]:
    """Return the files of a checkpoint; of several nodes, those of the newest part of each."""
    run, hub = manifest.parts[-4:-2]
    parts = [sorted(box.glob("parts/*/"))[-1:] for box in boxes(home, run, hub)]
    folders = [manifest.with_suffix(""), *(folder for newest in parts for folder in newest)]
    return sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())


def _generation(manifest: Path) -> tuple[int, str]:
    return int(manifest.parts[-3].rpartition("-h")[2]), manifest.name
