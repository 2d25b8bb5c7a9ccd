"""Runs under faults: `kill -9` of everything, locks, clocks that jump, full disks; then all must be well.

make chaos N=200 SEED=1                     # prints the table; exit 1 if anything came out wrong
scripts/chaos.py --seed 1 --only 17         # one of those trials again
scripts/chaos.py --way queue --runs 40      # trials of one way alone

Each trial carries a workload out in one of the ways of `tests/support/chaos/way.py`, with one to four faults
from the seed. Whoever drives it is started again when it dies. The home of a trial that went wrong is kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.chaos.machine import empty_namespaces
from tests.support.chaos.records import command, environ
from tests.support.chaos.result import Result
from tests.support.chaos.trial import Trial
from tests.support.chaos.way import WAYS
from tests.support.chaos.workloads import prepare

NEEDED = ("podman", "cc", "mount", "unshare")
NAMESPACES_S = 120.0
"""One that may still be filled is young; then none is."""


def main() -> int:
    options = arguments()
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        sys.exit(f"error: faults need root and {', '.join(missing) or 'no more'} (CONTRIBUTING.md)")
    ways = [way for way in WAYS if options.way in (None, way.name)]
    numbers = [options.only] if options.only is not None else list(range(options.runs))
    base = Path(tempfile.mkdtemp(prefix="harchos-chaos-"))
    work = base / "work"
    prepare(work, base / "plans")

    def one(number: int) -> Result | None:
        trial = Trial(options.seed, number, ways, work, base / f"run-{number}", given_up)
        if given_up.is_set():
            return None
        try:
            result = trial.run()
        except Exception:
            result = trial.result
            result.wrong.append(traceback.format_exc())
        if given_up.is_set() and not result.good:
            return None
        tell(trial, result, options, base / f"run-{number}")
        return result

    before, given_up = empty_namespaces(), Event()
    for signalled in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signalled, lambda *_: given_up.set())
    with ThreadPoolExecutor(options.parallel) as pool:
        results = [result for result in pool.map(one, numbers) if result is not None]
    left = namespaces_left(before, base / "plans")
    print(table(results, left))
    if given_up.is_set():
        print(f"given up: {len(numbers) - len(results)} runs were not carried out")
    elif all(result.good for result in results) and not left:
        shutil.rmtree(base)
        return 0
    return 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs under faults.")
    parser.add_argument("--runs", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=[way.name for way in WAYS], help="this way alone")
    parser.add_argument("--only", type=int, metavar="K", help="this trial of them alone")
    parser.add_argument("--parallel", type=int, default=2, help="trials at a time (default 2)")
    return parser.parse_args()


def tell(trial: Trial, result: Result, options: argparse.Namespace, home: Path) -> None:
    """Print a line for a trial; where it went wrong, what, and how to see it again. Else forget its home."""
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(result.faults.items())) or "none met"
    verdict = "ok" if result.good else "WRONG"
    print(
        f"{result.number:4d} {verdict:5s} {result.way:10s} {result.took_s:5.1f} s "
        f"{result.hubs} hubs; faults: {faults}",
        flush=True,
    )
    if result.good:
        shutil.rmtree(home)
        return
    for what in (*result.wrong, *result.leaks, *result.duplicates):
        print(f"     {what}")
    print(f"     planned: {'; '.join(map(str, trial.plan))}")
    way = f"--way {options.way} " if options.way else ""
    again = f"scripts/chaos.py {way}--seed {options.seed} --only {result.number}"
    print(f"     again: {again}; its home: {home}", flush=True)


def namespaces_left(before: set[Path], home: Path) -> set[Path]:
    """Return the network namespaces of these runs that stay although their user sweeps."""
    until = time.monotonic() + NAMESPACES_S
    while (left := empty_namespaces() - before) and time.monotonic() < until:
        subprocess.run(command("sweep", "--yes"), env=environ(home), capture_output=True, check=False)
        time.sleep(5)
    return left


def table(results: list[Result], left: set[Path]) -> str:
    """Return what was injected, what became of it, and how long recovering took."""
    faults = sum((result.faults for result in results), Counter[str]())
    times = [pair for result in results for pair in result.recovered_s]
    lines = ["| fault | injected | seconds to recover, median (most) |", "|---|--:|--:|"]
    for kind in sorted(faults):
        lines.append(f"| {kind} | {faults[kind]} | {_median([s for k, s in times if k == kind])} |")
    lines.append(f"| **all** | {sum(faults.values())} | {_median([s for _, s in times])} |")
    good = sum(result.good for result in results)
    wrong, leaks, duplicates = (
        sum(len(getattr(result, what)) for result in results) for what in ("wrong", "leaks", "duplicates")
    )
    hubs, leaks = sum(result.hubs for result in results), leaks + len(left)
    lines += [
        "",
        f"{good}/{len(results)} runs finished with the right result and account, on {hubs} hubs; "
        f"{wrong} wrong, {leaks} leaks, {duplicates} duplicates",
    ]
    return "\n".join(lines)


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} ({max(seconds):.1f})" if seconds else "-"


if __name__ == "__main__":
    os.environ.pop("HARCHOS_DATABASE_URL", None)
    sys.exit(main())
