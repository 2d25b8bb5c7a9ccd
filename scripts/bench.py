"""Measure what docs/benchmarks.md shows: start-up, planning, and what `apply` adds to the job itself.

make bench                      # prints the table
.venv/bin/python scripts/bench.py --write    # and replaces the one in docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HARCHOS = ROOT / ".venv" / "bin" / "harchos"
WORKLOAD = """
apiVersion: harchos.dev/v1
kind: Workload
metadata: {name: bench}
spec:
  type: batch
  command: "true"
  resources: {gpu: {count: 1}}
  duration: 6h
  deadline: 168h
  placement: {market: any}
"""
SLEEP_S = 10
LOCAL = f"""
apiVersion: harchos.dev/v1
kind: Workload
metadata: {{name: bench-local}}
spec:
  type: batch
  command: [sleep, "{SLEEP_S}"]
  duration: 1m
  placement: {{providers: [local]}}
"""


def wall_s(command: list[str], environ: dict[str, str], runs: int) -> list[float]:
    """Return the wall seconds of each run, after one that warms the file cache."""
    times = []
    for index in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run(
            command, env=environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if index:
            times.append(time.perf_counter() - begin)
    return times


def peak_mib(command: list[str], environ: dict[str, str]) -> float:
    """Return the peak resident memory of a command in MiB."""
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=environ,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) / 1024


def planner_ms(runs: int) -> list[float]:
    """Return the milliseconds of the planner alone: every offer, 168 h, everything loaded."""
    from harchos_infra.catalog.catalog import Catalog
    from harchos_infra.grid.parse import parse_signal
    from harchos_infra.planner.planner import plan
    from harchos_infra.workload.loader import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(WORKLOAD)
        workload = load(path).workload
    catalog, signal = Catalog.builtin(), parse_signal(None)
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    times = []
    for index in range(runs + 1):
        begin = time.perf_counter()
        plan(workload, catalog=catalog, signal=signal, now=now + timedelta(hours=index))
        if index:
            times.append((time.perf_counter() - begin) * 1000)
    return times


def overhead_s(home: Path, environ: dict[str, str], runs: int) -> list[float]:
    """Return what `apply` takes beyond a job that sleeps: planning, Terraform, agent, teardown."""
    path = home / "local.yaml"
    path.write_text(LOCAL)
    for key, value in (("local.zone", "DE"), ("local.engine", "none")):
        subprocess.run([HARCHOS, "config", "set", key, value], env=environ, check=True)
    return [t - SLEEP_S for t in wall_s([str(HARCHOS), "apply", str(path), "--yes"], environ, runs)]


def row(name: str, values: list[float], unit: str, aim: str) -> str:
    """Return a table row: median, least and most."""
    shown = f"{statistics.median(values):.3g} {unit} | {min(values):.3g} – {max(values):.3g}"
    return f"| {name} | {shown} | {aim} |"


def measure(home: Path) -> list[str]:
    """Return the rows of the table."""
    environ = {**os.environ, "HARCHOS_HOME": str(home), "NO_COLOR": "1"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    plan = home / "bench.yaml"
    plan.write_text(WORKLOAD)
    help_, planning = [str(HARCHOS), "--help"], [str(HARCHOS), "plan", str(plan)]
    libraries = [sys.executable, "-c", "import typer._adapters, pydantic, numpy, yaml"]
    return [
        row(
            "for scale: Python importing typer, pydantic, numpy, yaml",
            wall_s(libraries, environ, 20),
            "s",
            "-",
        ),
        row("`harchos --help`, wall", wall_s(help_, environ, 20), "s", "< 0.2 s"),
        row("`harchos --help`, peak memory", [peak_mib(help_, environ)], "MiB", "< 60 MiB"),
        row("`harchos plan`, all offers, 168 h, wall", wall_s(planning, environ, 20), "s", "< 0.4 s"),
        row("`harchos plan`, peak memory", [peak_mib(planning, environ)], "MiB", "-"),
        row("planner alone, all offers, 168 h", planner_ms(30), "ms", "< 20 ms"),
        row(
            f"`harchos apply` beyond a {SLEEP_S} s job, local hub", overhead_s(home, environ, 3), "s", "< 5 s"
        ),
    ]


def machine() -> str:
    """Return cores, processor, memory, kernel and Python, in words."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def table(rows: list[str]) -> str:
    """Return the whole section, with machine, date and command."""
    return "\n".join(
        [
            f"`make bench` on {datetime.now(UTC):%Y-%m-%d}: {machine()}. A shared machine: medians, with "
            "least and most beside them.",
            "",
            "| what | median | least – most | aim |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def write_section(mark: str, text: str) -> None:
    """Replace what stands between the marks `<!-- MARK -->` and `<!-- /MARK -->` of docs/benchmarks.md."""
    page = ROOT / "docs" / "benchmarks.md"
    marks = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    page.write_text(re.sub(marks, lambda m: m[1] + text + "\n" + m[2], page.read_text(), flags=re.S))


def main(section: Callable[[], str]) -> None:
    """Print the section; with --write, put it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace the table in docs/benchmarks.md")
    write = parser.parse_args().write
    text = section()
    print(text)
    if write:
        write_section("bench", text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(lambda: table(measure(Path(folder))))
