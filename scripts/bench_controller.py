"""Measure a controller with 1,000 waiting and 50 running runs: processor, memory, and how soon it acts.

make bench-controller           # prints the table

The controller is the real one, in a process of its own, on SQLite. The runs are submitted as by `apply
--detach`. The 50 jobs are played by this process, which writes what their agents would: a heartbeat every
2 s, power every 5 s. Processor time is the controller's own, from /proc, so that a busy machine does not
count.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

WAITING, RUNNING = 1000, 50
WATCHED_S = 60.0
WORKLOAD = """
apiVersion: harchos.dev/v1
kind: Workload
metadata: {name: bench}
spec:
  type: batch
  command: "true"
  duration: 6h
  deadline: 168h
  placement: {providers: [local]}
"""


class Agents:
    """Writes what the agents of running jobs would, until closed."""

    def __init__(self, boxes: list[Path]) -> None:
        self._boxes = boxes
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        beat = 0
        while not self._closed.is_set():
            for box in self._boxes:
                at = datetime.now(UTC).isoformat()
                put(box / "heartbeat.json", {"at": at, "seq": beat, "phase": "running"})
                if beat % 5 < 2:
                    line = {
                        "seconds": 2.0,
                        "joules": 90.0,
                        "gpu_joules": 0.0,
                        "basis": "modelled",
                        "by": "cpu",
                    }
                    put(box / "power" / f"{beat:08}.jsonl", {"at": at, **line})
            beat += 2
            self._closed.wait(2.0)


def put(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(document) + "\n")
    part.replace(path)


def queue(ledger: Any, count: int, work: Path, *, plans: int = 1) -> list[str]:
    """Submit runs that wait for days, of so many different plans."""
    from harchos_infra.cli.planning import make_plan
    from harchos_infra.grid.parse import parse_signal
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.runs.submit import Submission, submit

    plan, loaded = make_plan(work, now=datetime.now(UTC).replace(microsecond=0), signal=parse_signal(None))
    assert plan.chosen is not None
    (segment,) = plan.chosen.segments
    later = replace(segment, start=segment.start + timedelta(days=2), end=segment.end + timedelta(days=2))
    plan = replace(plan, chosen=replace(plan.chosen, segments=(later,)))
    asked = [replace(plan, now=plan.now + timedelta(microseconds=number)) for number in range(plans)]
    submissions = [
        Submission(plan=one, loaded=loaded, secrets={}, rehearsal=False, signal=None) for one in asked
    ]
    return [
        submit(ledger, submissions[number % plans], owner=None, clock=RealClock()).run
        for number in range(count)
    ]


def let_run(ledger: Any, run: str, home: Path) -> Path:
    """Record that a run's hub is up and its job runs; returns its mailbox."""
    now = time.time()
    lease = ledger.claim(run, "bench")
    hub = f"{run}-h1"
    values = {
        "hub": hub,
        "segment": 0,
        "place": ledger.run(run)["segments"][0],
        "mailbox": (home / "mailbox").as_uri(),
        "state": "created",
        "identity": "bench",
        "created_at": now,
        "expires_at": now + 86400,
    }
    ledger.intend_hub(lease, values, ("hub", hub))
    ledger.update_run(lease, phase="run")
    ledger.release(lease)
    box = home / "mailbox" / run / hub
    put(box / "status.json", {"schema": "harchos.status/1", "phase": "running", "attempt": 1})
    return box


def controller() -> subprocess.Popen[bytes]:
    code = "from harchos_infra.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "controller"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def cpu_s(pid: int) -> float:
    """Return the processor time of a process, all of its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def wait_for(what: Callable[[], bool], patience_s: float = 300.0) -> float:
    """Return after how many seconds something is true."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > patience_s:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)
    return time.monotonic() - begun


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="harchos-bench-") as name:
        home = Path(name) / "home"
        os.environ["HARCHOS_HOME"] = str(home)
        os.environ.pop("HARCHOS_DATABASE_URL", None)
        from harchos_infra.settings import set_value

        home.mkdir()
        for key, value in (("local.zone", "DE"), ("local.engine", "none")):
            set_value(key, value)
        work = Path(name) / "bench.yaml"
        work.write_text(WORKLOAD)
        measure(home, work)


def measure(home: Path, work: Path) -> None:
    from sqlalchemy import func, select, update

    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.schema import run as runs

    ledger = Ledger.open()
    begun, used = time.monotonic(), time.process_time()
    ids = queue(ledger, WAITING, work)
    row("queue 1,000 runs, wall", f"{time.monotonic() - begun:.1f} s", "< 10 s")
    row("queue 1,000 runs, processor", f"{time.process_time() - used:.1f} s", "-")
    with tempfile.TemporaryDirectory(prefix="harchos-bench-") as elsewhere:
        begun, used = time.monotonic(), time.process_time()
        queue(Ledger.open(Path(elsewhere)), WAITING, work, plans=WAITING)
        row("the same, of 1,000 plans: wall", f"{time.monotonic() - begun:.1f} s", "< 10 s")
        row("the same, of 1,000 plans: processor", f"{time.process_time() - used:.1f} s", "-")
    boxes = [let_run(ledger, run, home) for run in queue(ledger, RUNNING, work)]
    agents = Agents(boxes)

    def owned() -> int:
        with ledger.database.read() as db:
            return int(db.execute(select(func.count()).where(runs.c.owner.is_not(None))).scalar_one())

    process = controller()
    try:
        taken_s = wait_for(lambda: owned() == WAITING + RUNNING)
        row("start, and take up 1,050 runs", f"{taken_s:.1f} s", "-")
        time.sleep(15)
        used = cpu_s(process.pid)
        time.sleep(WATCHED_S)
        share = (cpu_s(process.pid) - used) / WATCHED_S
        row("1,000 waiting, 50 running: share of one core", f"{100 * share:.2f} %", "< 3 %")
        row("the same: memory", f"{memory_mib(process.pid, 'VmRSS'):.0f} MiB", "< 120 MB")
        row("the same: threads", f"{memory_mib(process.pid, 'Threads') * 1024:.0f}", "-")
        seen = [react(ledger, box) for box in boxes[:10]]
        row(
            "a job ends, `status` has it: median (most)",
            f"{statistics.median(seen):.2f} ({max(seen):.2f}) s",
            "< 1 s",
        )
        process.kill()
        process.wait()
        end(boxes[20])
        process = controller()
        after = wait_for(lambda: ledger.run(boxes[20].parent.name)["phase"] != "run")
        row("`kill -9`, started again, acts for a run", f"{after:.1f} s", "< 5 s")
        wait_for(lambda: owned() >= WAITING + RUNNING - 11)
        process.terminate()
        process.wait()
        with ledger.database.write() as db:
            db.execute(update(runs).where(runs.c.id.in_(ids)).values(next_at=time.time() - 1))
        process = controller()
        before_s = time.time()

        def planned() -> bool:
            with ledger.database.read() as db:
                late = select(func.count()).where(runs.c.id.in_(ids), runs.c.next_at < before_s)
                return int(db.execute(late).scalar_one()) == 0

        wait_for(planned, 1200)
        row("planning 1,000 waiting runs again, each hour: processor", f"{cpu_s(process.pid):.0f} s", "-")
        row("the same: share of one core, over the hour", f"{cpu_s(process.pid) / 36:.2f} %", "-")
        row("memory at most", f"{memory_mib(process.pid, 'VmHWM'):.0f} MiB", "< 120 MB")
    finally:
        process.kill()
        process.wait()
        agents.close()


def end(box: Path) -> None:
    put(box / "status.json", {"schema": "harchos.status/1", "phase": "succeeded", "attempt": 1})


def react(ledger: Any, box: Path) -> float:
    end(box)
    return wait_for(lambda: ledger.run(box.parent.name)["phase"] != "run")


def row(what: str, figure: str, aim: str) -> None:
    print(f"| {what} | {figure} | {aim} |", flush=True)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}")
    print("| what | figure | aim |\n|---|--:|--:|")
    main()
