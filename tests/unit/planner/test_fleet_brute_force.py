"""The fleet's placement equals an exhaustive search on thousands of small random fleets, and keeps each quota."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from harchos_infra.planner.fleet.problem import NO_POOL, Candidates, Problem
from harchos_infra.planner.fleet.repair import NOWHERE
from harchos_infra.planner.fleet.solve import Solution, solve

H = 3600


@dataclass(frozen=True)
class Way:
    """One candidate as the search reads it; times in seconds."""

    job: int
    zone: int
    earliest: int
    latest: int
    duration: int
    fixed: float
    slope: float
    pools: tuple[tuple[int, float], ...]
    most_mean: float = float("inf")


@dataclass(frozen=True)
class Fleet:
    intensity: tuple[tuple[float, ...], ...]
    capacity: tuple[float, ...]
    ways: tuple[Way, ...]
    jobs: int

    def problem(self) -> Problem:
        width = max([len(w.pools) for w in self.ways] + [1])
        pools = np.full((len(self.ways), width), NO_POOL)
        units = np.zeros((len(self.ways), width))
        for row, way in enumerate(self.ways):
            for column, (pool, amount) in enumerate(way.pools):
                pools[row, column], units[row, column] = pool, amount

        def ints(name: str) -> np.ndarray:
            return np.array([getattr(w, name) for w in self.ways], dtype=np.int64)

        def floats(name: str) -> np.ndarray:
            return np.array([getattr(w, name) for w in self.ways], dtype=float)

        candidates = Candidates(
            ints("job"), ints("zone"), ints("earliest"), ints("latest"), ints("duration"),
            floats("fixed"), floats("slope"), floats("most_mean"), pools, units,
        )  # fmt: skip
        alone = np.full(self.jobs, np.inf)
        return Problem(self.jobs, candidates, np.array(self.intensity), np.array(self.capacity), alone)

    def mean(self, way: Way, start: int) -> float:
        values = self.intensity[way.zone]
        end = start + way.duration
        total = sum(v * max(0, min(end, (h + 1) * H) - max(start, h * H)) for h, v in enumerate(values))
        return total / way.duration

    def score(self, way: Way, start: int) -> float:
        return way.fixed + way.slope * self.mean(way, start)


def random_fleet(random: Random, *, hours: int, jobs: int, durations: list[int]) -> Fleet:
    levels = random.choice([(100.0,), (100.0, 200.0), (20.0, 333.3, 480.1, 77.0)])
    zones = random.choice([1, 2])
    intensity = tuple(tuple(random.choice(levels) for _ in range(hours)) for _ in range(zones))
    pools = random.choice([1, 1, 2])
    capacity = tuple(random.choice([0.0, 1.0, 1.0, 2.0, 4.0]) for _ in range(pools))
    ways = []
    for job in range(jobs):
        slope = random.choice([0.01, 0.01, 0.02])
        for _ in range(random.choice([1, 1, 2])):
            duration = random.choice(durations)
            earliest = random.choice([0, 0, H, 1800 if H not in durations else H])
            deadline = random.choice([hours * H, hours * H, 3 * H, 2 * H])
            belongs = tuple(
                (p, random.choice([1.0, 1.0, 2.0])) for p in range(pools) if random.random() < 0.8
            )
            ways.append(
                Way(job, random.randrange(zones), earliest, deadline - duration, duration,
                    random.choice([0.0, 1.0, 1.5]), slope, belongs)
            )  # fmt: skip
    return Fleet(intensity, capacity, tuple(ways), jobs)


def search(fleet: Fleet, step: int) -> tuple[int, float]:
    """Return (jobs without a place, least score) over every start that is a multiple of `step`."""
    best = (fleet.jobs + 1, float("inf"))
    placed: list[tuple[Way, int]] = []
    starts = {
        w: [(s, fleet.score(w, s)) for s in range(w.earliest, w.latest + 1, step)
            if fleet.mean(w, s) <= w.most_mean]
        for w in fleet.ways
    }  # fmt: skip
    least = [
        min((score for w in fleet.ways if w.job == job for _, score in starts[w]), default=0.0)
        for job in range(fleet.jobs)
    ]

    def go(job: int, missing: int, total: float) -> None:
        nonlocal best
        if (missing, total + sum(least[job:])) >= (best[0], best[1] + 1e-12) and missing >= best[0]:
            return
        if job == fleet.jobs:
            best = min(best, (missing, total))
            return
        for way in fleet.ways:
            if way.job != job:
                continue
            for start, score in starts[way]:
                if fits(fleet, placed, way, start):
                    placed.append((way, start))
                    go(job + 1, missing, total + score)
                    placed.pop()
        go(job + 1, missing + 1, total)

    go(0, 0, 0.0)
    return best


def fits(fleet: Fleet, placed: list[tuple[Way, int]], way: Way, start: int) -> bool:
    """Look at every second at which a window begins: use of a pool rises at no other."""
    windows = [*placed, (way, start)]
    for _, moment in windows:
        running = [w for w, s in windows if s <= moment < s + w.duration]
        for pool, capacity in enumerate(fleet.capacity):
            if sum(u for w in running for p, u in w.pools if p == pool) > capacity:
                return False
    return True


def check(fleet: Fleet, found: Solution) -> tuple[int, float]:
    """Hold a solution to the problem itself; return what it claims."""
    placed: list[tuple[Way, int]] = []
    total = 0.0
    for job in range(fleet.jobs):
        place = int(found.placement.candidate[job])
        if place == NOWHERE:
            continue
        way, start = fleet.ways[place], int(found.placement.start_s[job])
        assert way.job == job
        assert way.earliest <= start <= way.latest
        assert fleet.mean(way, start) <= way.most_mean * (1 + 1e-9)
        assert fits(fleet, placed, way, start)
        assert found.placement.score[job] == pytest.approx(fleet.score(way, start))
        placed.append((way, start))
        total += fleet.score(way, start)
    assert found.score == pytest.approx(total)
    assert found.bound <= found.score
    return fleet.jobs - len(placed), total


@pytest.mark.parametrize(
    ("seeds", "hours", "jobs", "durations", "step"),
    [
        (range(150), 5, 3, [H, 2 * H], H),
        (range(1500, 1530), 4, 4, [H, 2 * H, 3 * H], H),
        (range(1800, 1850), 3, 3, [1200, 2400, H], 1200),
        (range(2300, 2330), 3, 2, [1800, 5400, 2700], 900),
    ],
)
def test_the_plan_is_what_an_exhaustive_search_finds(
    seeds: range, hours: int, jobs: int, durations: list[int], step: int
) -> None:
    unplaced = binding = 0
    for seed in seeds:
        fleet = random_fleet(Random(seed), hours=hours, jobs=jobs, durations=durations)
        problem = fleet.problem()
        best = search(fleet, step)
        exact, plain = solve(problem), solve(problem, branching=False)
        assert check(fleet, exact) == (best[0], pytest.approx(best[1], rel=1e-6, abs=1e-9)), seed
        assert exact.exact or best[0], seed
        missing, total = check(fleet, plain)
        assert missing >= best[0]
        if missing == best[0] == 0:
            assert plain.bound <= best[1] * (1 + 1e-9) + 1e-12
            assert total >= best[1] * (1 - 1e-9)
        unplaced += best[0] > 0
        binding += exact.prices.any()
    assert unplaced and binding
