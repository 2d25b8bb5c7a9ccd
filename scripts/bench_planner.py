"""Reproduce published figures of carbon-aware planning with this repository's own solvers and commands.

make bench-planner                                          # prints the section, and the planner's others
.venv/bin/python scripts/bench_planner.py [DATA] --write    # and puts it into docs/benchmarks.md

DATA is the folder with `carbon/` and `jobs/` (default: ../shared/data beside the checkout).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from bench import ROOT, machine, planner_ms, write_section

from harchos_infra.planner.interruptible import interruptible
from harchos_infra.planner.migration import migrating
from harchos_infra.planner.window import HOUR_S, window_means
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Perfect
from harchos_infra.simulation.policy_window import by_window
from harchos_infra.simulation.series import Series, read_series
from harchos_infra.simulation.world import World

HARCHOS = Path(sys.executable).with_name("harchos")
YEAR_H, SLACK_H = 8760, 24

BOUNDS = {
    1: (57.38, 0.0),
    6: (46.47, 0.8),
    12: (31.37, 2.7),
    24: (13.28, 5.0),
    48: (8.63, 3.6),
    96: (4.95, 2.6),
    168: (2.91, 1.9),
}
"""Hours of the job: grams saved by deferral, and percentage points that interruption adds (EuroSys'24)."""

GAIA_START_H, SHORT_H = 7000, 2.0
GAIA = {
    "lowest slot": ("wait-window", "slot", 0.780),
    "lowest window": ("wait-window", "window", 0.684),
    "non-interruptible oracle": ("wait-window", "", 0.612),
    "interruptible optimum": ("wait-interruptible", "", 0.546),
}
"""Policy of `harchos simulate`, what it expects of a job's length, carbon published (ASPLOS'24)."""

GROUPS = {
    "US-12": (
        24,
        "US-MIDA-PJM US-CAL-CISO US-NW-PACW US-TEX-ERCO US-MIDW-MISO US-SE-SOCO US-NY-NYIS US-NE-ISNE "
        "US-NW-PSCO US-CAR-DUK US-CENT-SWPP US-NW-NEVP",
    ),
    "EU-10": (72, "DE IE GB ES IT-NO NL PL DK-DK1 PT GR"),
}
"""Hours of slack, and the home zones in turn."""
STARTS = range(700, 8592, 53)
RIDGE_STARTS = range(4410, 8592, 53)
"""Starts of the first that have the half year behind them that the ridge is fitted on."""
JOB_H, JOB_KW, STATE_GIB = 24, 6.5, 100
RESTART_KWH = JOB_KW * 5 / 60


def bounds(data: Path) -> Iterator[str]:
    """Yield the upper bounds of 'On the Limitations of Carbon-Aware Temporal and Spatial Workload "
    "Shifting'."""
    actual = read_series([data / "carbon" / "em_lifecycle_2022"]).gco2_per_kwh
    begin = time.perf_counter()
    rows, worst = [], 0.0
    for length, (published_g, published_points) in BOUNDS.items():
        wrapped = np.concatenate([actual, actual[:, : length + SLACK_H]], axis=1)
        means = window_means(wrapped, np.arange(YEAR_H + SLACK_H) * HOUR_S, length * HOUR_S)
        best = np.lib.stride_tricks.sliding_window_view(means, SLACK_H + 1, axis=1).min(axis=2)
        now = means[:, :YEAR_H].mean()
        paused = np.mean([_cheapest_hours(row, length) for row in wrapped])
        deferred_g, points = now - best.mean(), (best.mean() - paused) / actual.mean() * 100
        off = deferred_g / published_g - 1
        worst = max(worst, abs(off))
        rows.append(
            f"| {length} | {deferred_g:.2f} | {published_g:.2f} | {off:+.2%} | {points:.2f} | "
            f"{published_points} |"
        )
    seconds = time.perf_counter() - begin
    cleanest = 1 - actual.mean(axis=1).min() / actual.mean()
    roaming = 1 - actual.min(axis=0).mean() / actual.mean()
    yield "### Upper bounds on 123 zones (EuroSys'24)"
    yield ""
    yield (
        "Perfect foresight, starts up to 24 h late, the year 2022 wrapped around, mean over 123 zones and "
        f"8,760 start hours; grams saved against running now of {actual.mean():.1f} g/kWh, and the "
        "percentage points that pausing adds. Data: `carbon/em_lifecycle_2022`. Solvers: `planner.window`, "
        f"`planner.interruptible`. Aim: within 0.6 %, in less than 10 s. Here: {worst:.2%} at most, in "
        f"{seconds:.1f} s."
    )
    yield ""
    yield "| job, h | deferral, g | published | off | pausing adds, points | published |"
    yield "|--:|--:|--:|--:|--:|--:|"
    yield from rows
    yield ""
    yield (
        f"Always in the cleanest zone: {cleanest:.1%} saved (published 95.7 %); moving freely every hour "
        f"{(roaming - cleanest) * 100:.1f} points more (published 0.3)."
    )


def _cheapest_hours(row: np.ndarray, length: int) -> float:
    starts = np.lib.stride_tricks.sliding_window_view(row, length + SLACK_H)[:YEAR_H]
    total, _ = interruptible(starts, length)
    return float(total.mean() / length)


def gaia(data: Path, work: Path) -> Iterator[str]:
    """Yield GAIA's policies, each a run of `harchos simulate`."""
    with (data / "jobs" / "pai_1k.csv").open() as stream:
        trace = [
            (float(r["arrival_time"]) / HOUR_S, float(r["length"]) / HOUR_S, r["cpus"])
            for r in csv.DictReader(stream)
        ]
    signal = data / "carbon" / "em_lifecycle_2022" / "AU-SA.csv.gz"
    yield "### GAIA's policies on its own trace (ASPLOS'24)"
    yield ""
    yield (
        "Carbon relative to running now of 1,000 jobs of Alibaba's PAI trace (`jobs/pai_1k.csv`, MIT), "
        "AU-SA 2022 from hour 7000 (`carbon/em_lifecycle_2022`), perfect foresight of the grid, waits of up "
        "to 6 h for jobs of up to 2 h, else 24 h, one kW a CPU. `harchos simulate --forecast perfect` on a "
        "jobs file made of the trace: lowest window expects each job to take the mean length of its queue "
        "(`expected_h`), lowest slot a second. GAIA's carbon-time (.725) is no policy of ours. Aim: within "
        ".002."
    )
    yield ""
    yield "| GAIA's name | policy | carbon | published |"
    yield "|---|---|--:|--:|"
    for name, (policy, expects, published) in GAIA.items():
        jobs = _trace_as_jobs(work / "pai.csv", trace, expects, pausable=policy == "wait-interruptible")
        found = simulate(jobs, [signal], policy, "--forecast", "perfect")["totals"]
        relative = found["realised"]["gco2"] / found["runNow"]["gco2"]
        yield f"| {name} | `{policy}` | {relative:.4f} | {published:.3f} |"


def _trace_as_jobs(
    path: Path, trace: list[tuple[float, float, str]], expects: str, *, pausable: bool
) -> Path:
    short, long = ([d for _, d, _ in trace if (d <= SHORT_H) is is_short] for is_short in (True, False))
    lines = ["id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone,expected_h"]
    for number, (arrival, length, cpus) in enumerate(trace):
        queue, wait_h = (short, 6) if length <= SHORT_H else (long, 24)
        expected = {"slot": 1 / HOUR_S, "window": sum(queue) / len(queue)}.get(expects, "")
        at = GAIA_START_H + arrival
        lines.append(
            f"{number},{at},{length},{at + length + wait_h},1,{cpus},{str(pausable).lower()},AU-SA,{expected}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def realised(data: Path, work: Path) -> Iterator[str]:
    """Yield what policies save that only know the past."""
    yield "### Realised savings, 24-hour jobs in 2022"
    yield ""
    yield (
        f"One job every 53 h from hour 700 ({len(STARTS)} jobs), home zones in turn, every zone of the group "
        "open to all; US-12 with 24 h of slack, EU-10 with 72 h. A decision in an hour knows the hours "
        "before it. Saving against running now at home, in actual grams (`carbon/em_lifecycle_2022`). The "
        "reference (planning notes, 2026-11-23; data already everywhere): greenest now 47.1 / 54.5 %, "
        "region and start by a blended forecast 48.9 / 58.0 %, oracle 53.8 / 68.8 %. Aim: beat the "
        "forecast's, and never be below greenest-now."
    )
    yield ""
    yield (
        f"Jobs draw {JOB_KW} kW. `{STATE_GIB} GiB`: that much lies at home and is moved with each change of "
        "zone, counted at 0.001 kWh/GB; in brackets the saving if it took 0.06. `restart`: "
        f"{RESTART_KWH:.2f} kWh at each resume (five minutes of work). `pausable`: an easier problem than "
        "the reference's, with an oracle of its own."
    )
    yield ""
    yield "| group | jobs | policy | saving | against greenest-now | share of oracle | mean delay, h |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for group, (slack_h, zones) in GROUPS.items():
        folder = data / "carbon" / "em_lifecycle_2022"
        yield from _group(group, slack_h, zones.split(), folder, work)
        yield from _with_the_ridge(group, slack_h, zones.split(), folder, work)


def _group(group: str, slack_h: int, zones: list[str], folder: Path, work: Path) -> Iterator[str]:
    again = ("--forecast", "blend", "--replan", "1h")
    kinds: dict[str, dict[str, float]] = {
        "fixed": {},
        f"fixed, {STATE_GIB} GiB": {"checkpoint_gib": STATE_GIB},
        "pausable": {},
        f"pausable, restart, {STATE_GIB} GiB": {"restart_kwh": RESTART_KWH, "checkpoint_gib": STATE_GIB},
    }
    for kind, costs in kinds.items():
        jobs = _every_53_h(
            work / "starts.csv", slack_h, zones, pausable=kind.startswith("pausable"), costs=costs
        )
        policies: list[tuple[str, ...]] = [("greenest-now",)]
        if kind.startswith("fixed"):
            policies += [("region-window", "--forecast", "blend"), ("region-window", *again)]
        else:
            policies += [("region-interruptible", *again)]
            policies += [] if costs else [("migrate", *again)]
        for policy in (*policies, ("oracle",)):
            found = simulate(jobs, [folder / f"{zone}.csv.gz" for zone in zones], *policy)
            yield f"| {group} | {kind} | `{' '.join(policy)}` | {_savings(found, moves=bool(costs))} |"


def _with_the_ridge(group: str, slack_h: int, zones: list[str], folder: Path, work: Path) -> Iterator[str]:
    jobs = _every_53_h(work / "starts.csv", slack_h, zones, pausable=False, costs={}, starts=RIDGE_STARTS)
    for policy in (
        ("greenest-now",),
        ("region-window", "--forecast", "blend", "--replan", "1h"),
        ("region-window", "--forecast", "ridge", "--replan", "1h"),
        ("oracle",),
    ):
        found = simulate(jobs, [folder / f"{zone}.csv.gz" for zone in zones], *policy)
        kind = f"fixed, {len(RIDGE_STARTS)} of them from July on"
        yield f"| {group} | {kind} | `{' '.join(policy)}` | {_savings(found, moves=False)} |"


def _every_53_h(
    path: Path,
    slack_h: int,
    zones: list[str],
    *,
    pausable: bool,
    costs: dict[str, float],
    starts: range = STARTS,
) -> Path:
    names = ["id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone", *costs]
    lines = [",".join(names)]
    for start in starts:
        number = STARTS.index(start)
        cells = [number, start, JOB_H, start + JOB_H + slack_h, 1, JOB_KW, str(pausable).lower()]
        lines.append(",".join(str(cell) for cell in (*cells, zones[number % len(zones)], *costs.values())))
    path.write_text("\n".join(lines) + "\n")
    return path


def _savings(found: dict[str, Any], *, moves: bool) -> str:
    totals, saving = found["totals"], found["saving"]
    run_now, own = totals["runNow"]["gco2"], totals["realised"]
    high = own["gco2"] - own["transferGco2"]["low"] + own["transferGco2"]["high"]
    bracket = f" ({1 - high / run_now:.1%})" if moves and high > own["gco2"] else ""
    against = saving["gco2AgainstGreenestNow"] / totals["greenestNow"]["gco2"]
    return (
        f"{saving['shareOfRunNow']:.1%}{bracket} | {against:+.1%} | {saving['shareOfOracle']:.1%} "
        f"| {own['delayHoursMean']:.1f}"
    )


def simulate(jobs: Path, signal: list[Path], policy: str, *options: str) -> dict[str, Any]:
    """Run `harchos simulate` and return its JSON."""
    command = [str(HARCHOS), "simulate", "--json", "--jobs", str(jobs), "--policy", policy, *options]
    for path in signal:
        command += ["--signal", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def speed(data: Path, work: Path) -> Iterator[str]:
    """Yield times, each taken in a process of its own, and the peak memory of that process."""
    yield "### Speed"
    yield ""
    yield (
        "Each row in a process of its own: the time of the solver alone (median of the runs), and the peak "
        "memory of the whole process, Python and libraries included. Rows with `harchos` are the whole "
        "command's wall time. Zones are those of `carbon/em_lifecycle_2022`; 130 are its 123 and seven of "
        "them again."
    )
    yield ""
    yield "| what | time | peak memory | aim |"
    yield "|---|--:|--:|---|"
    for name, (what, aim, _) in CASES.items():
        seconds, peak_mib = _in_a_child([sys.executable, __file__, str(data), "--case", name])
        yield f"| {what} | {_shown(seconds)} | {peak_mib:.0f} MiB | {aim} |"
    jobs = _ten_thousand(
        work / "year.csv", sorted(read_series([data / "carbon" / "em_lifecycle_2022"]).zones)
    )
    for policy in (
        ("wait-window", "--forecast", "perfect"),
        ("region-window", "--forecast", "perfect"),
        ("region-window", "--forecast", "blend"),
        ("region-window", "--forecast", "blend", "--replan", "1h"),
    ):
        command = [str(HARCHOS), "simulate", "--json", "--jobs", str(jobs), "--policy", *policy]
        command += ["--signal", str(data / "carbon" / "em_lifecycle_2022")]
        seconds, peak_mib = _in_a_child([sys.executable, "-c", _TIMED, *command])
        yield (
            f"| `harchos simulate --policy {' '.join(policy)}`: 10,000 jobs x 123 zones x a year "
            f"| {_shown(seconds)} | {peak_mib:.0f} MiB | minutes |"
        )


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


_TIMED = """
import resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
"""A small process that starts the command: a child's peak begins with that of the process it was made of."""


def _peak_mib() -> float:
    """Return the peak memory of this process since its program was loaded."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _in_a_child(command: list[str]) -> tuple[float, float]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak_mib = done.stdout.split()[-2:]
    return float(seconds), float(peak_mib)


def _ten_thousand(path: Path, zones: list[str]) -> Path:
    draw = np.random.default_rng(53)
    lines = ["id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone"]
    for number, arrival in enumerate(np.sort(draw.integers(600, 8600, 10_000)).tolist()):
        length = int(draw.choice([1, 2, 4, 6, 12, 24, 48]))
        home = zones[draw.integers(len(zones))]
        lines.append(f"{number},{arrival},{length},{arrival + length + 24},1,1,false,{home}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _of_130_zones(data: Path) -> Series:
    of = read_series([data / "carbon" / "em_lifecycle_2022"])
    rows = np.resize(np.arange(len(of.zones)), 130)
    return Series(
        tuple(f"{row}" for row in range(130)), of.first, of.gco2_per_kwh[rows], of.source, of.quantity
    )


def _median(runs: int, once: Callable[[], object]) -> float:
    once()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        once()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _case_plan(data: Path) -> float:
    return float(np.median(planner_ms(30))) / 1000


def _case_windows(data: Path) -> float:
    of, count, draw = _of_130_zones(data), 10_000, np.random.default_rng(1)
    arrival = np.sort(draw.integers(0, 8600, count)) * HOUR_S
    duration = draw.choice([1, 2, 4, 6, 12, 24, 48], count) * HOUR_S
    jobs = Jobs(
        ids=tuple(str(job) for job in range(count)),
        lines=np.arange(count),
        arrival_s=arrival,
        duration_s=duration,
        deadline_s=arrival + duration + SLACK_H * HOUR_S,
        nodes=np.ones(count, dtype=np.int64),
        kw=np.full(count, 6.5),
        interruptible=np.zeros(count, dtype=bool),
        home=draw.integers(0, 130, count),
        restart_kwh=np.zeros(count),
        state_gib=np.full(count, 20.0),
        expected_s=duration,
    )
    return _median(3, lambda: by_window(jobs, World(of, Perfect(of)), anywhere=True))


def _case_pauses(data: Path) -> float:
    row = _of_130_zones(data).gco2_per_kwh[0]
    starts = np.random.default_rng(1).integers(0, 8600, 10_000)
    cost = np.lib.stride_tricks.sliding_window_view(row, 96)[starts]
    return _median(3, lambda: interruptible(cost, 24, restart_cost=50.0))


def _case_moves(data: Path, *, dense: bool) -> float:
    of = _of_130_zones(data)
    cost = of.gco2_per_kwh[:, 4000:4168]
    leave = of.gco2_per_kwh.mean(axis=1) * 0.05
    move = leave[:, None] + leave[None, :] if dense else (leave, leave)
    return _median(1, lambda: migrating(cost, 96, move_cost=move, restart_cost=20.0))


CASES: dict[str, tuple[str, str, Callable[[Path], float]]] = {
    "plan": ("one workload x all offers x 168 h: `planner.plan`, everything loaded", "< 20 ms", _case_plan),
    "windows": (
        "10,000 jobs x 130 zones, best window within 24 h of slack, a transfer cost for each job and zone",
        "< 2 s",
        _case_windows,
    ),
    "pauses": ("10,000 interruptible jobs with restart cost, 24 h in 96 h, one zone", "-", _case_pauses),
    "moves": (
        "migration, 130 zones x 168 h, a 96-hour job, cost of leaving plus cost of entering",
        "< 1 s",
        lambda data: _case_moves(data, dense=False),
    ),
    "moves-matrix": (
        "the same with a full matrix of costs between zones",
        "-",
        lambda data: _case_moves(data, dense=True),
    ),
}


def section(data: Path) -> Iterator[str]:
    """Yield the whole section of docs/benchmarks.md."""
    yield (
        f"`make bench-planner` on {datetime.now(UTC):%Y-%m-%d}: {machine()}. A shared machine. Data: the "
        "project's own collection, described in its README; what each table reads is named with it."
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for part in (bounds(data), gaia(data, work), realised(data, work), speed(data, work)):
            yield ""
            yield from part


def missing(data: Path) -> list[str]:
    """Return what the section needs and the data folder lacks."""
    wanted = ("carbon/em_lifecycle_2022", "jobs/pai_1k.csv")
    return [name for name in wanted if not (data / name).exists()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--write", action="store_true", help="replace the section in docs/benchmarks.md")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        seconds = CASES[arguments.case][2](arguments.data)
        print(seconds, _peak_mib())
        return
    absent = missing(arguments.data)
    if absent:
        sys.exit(f"{arguments.data}: lacks {', '.join(absent)}; give the data folder as the first argument")
    lines = []
    for line in section(arguments.data):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        write_section("bench-planner", "\n".join(lines))


if __name__ == "__main__":
    main()
