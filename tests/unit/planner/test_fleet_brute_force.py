"""A fleet's placement is what exhaustive search finds on thousands of small fleets; each quota is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest

from harchos_infra.planner.fleet.pricing import Pricing
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
        (range(1000), 5, 3, [H, 2 * H], H),
        (range(1000, 1100), 4, 4, [H, 2 * H, 3 * H], H),
        (range(1100, 1250), 3, 3, [1200, 2400, H], 1200),
        (range(1250, 1370), 3, 2, [1800, 5400, 2700], 900),
    ],
    ids=["whole hours", "four jobs", "thirds of hours", "quarters of hours"],
)
def test_the_plan_is_what_an_exhaustive_search_finds(
    seeds: range, hours: int, jobs: int, durations: list[int], step: int
) -> None:
    unplaced = scarce = 0
    for seed in seeds:
        fleet = random_fleet(Random(seed), hours=hours, jobs=jobs, durations=durations)
        best = search(fleet, step)
        found = solve(fleet.problem())
        assert check(fleet, found) == (best[0], pytest.approx(best[1], rel=1e-6, abs=1e-9)), seed
        assert found.exact, seed
        unplaced += best[0] > 0
        scarce += bool(found.prices.any())
    assert unplaced
    assert scarce


def test_the_bound_is_below_the_optimum_and_the_decomposition_above_it() -> None:
    gaps = []
    for seed in range(300):
        fleet = random_fleet(Random(seed), hours=5, jobs=4, durations=[H, 2 * H])
        missing, least = search(fleet, H)
        found = solve(fleet.problem(), branching=False)
        placed, total = check(fleet, found)
        assert placed >= missing
        if placed == missing == 0:
            assert found.bound <= least * (1 + 1e-9) + 1e-12
            assert total >= least * (1 - 1e-9)
            gaps.append(found.gap)
    assert len(gaps) > 50
    assert max(gaps) > 0, "no fleet here needs more than prices"


def test_no_start_between_the_marks_is_better() -> None:
    for seed in range(60):
        random = Random(seed)
        intensity = (tuple(random.choice([50.0, 100.0, 400.0]) for _ in range(3)),)
        ways = tuple(
            Way(job, 0, 900, 3 * H - duration - random.choice([0, 300]), duration, 0.0, 0.01, ((0, 1.0),))
            for job, duration in enumerate(random.choices([1200, 2400, H], k=3))
        )
        fleet = Fleet(intensity, (random.choice([1.0, 2.0]),), ways, 3)
        found = solve(fleet.problem())
        missing, total = check(fleet, found)
        finer = search(fleet, 300)
        assert (missing, total) == (finer[0], pytest.approx(finer[1], rel=1e-6)), seed
        assert found.exact


def test_a_carbon_budget_of_a_jobs_own_is_kept() -> None:
    for seed in range(200):
        random = Random(seed)
        fleet = random_fleet(random, hours=5, jobs=3, durations=[H, 2 * H])
        ways = tuple(replace(way, most_mean=random.choice([60.0, 120.0, 1000.0])) for way in fleet.ways)
        fleet = replace(fleet, ways=ways)
        found = solve(fleet.problem())
        best = search(fleet, H)
        assert check(fleet, found) == (best[0], pytest.approx(best[1], rel=1e-6, abs=1e-9)), seed


def test_options_in_hand_give_the_bound_that_all_options_give(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(40):
        random = Random(seed)
        fleet = random_fleet(random, hours=12, jobs=30, durations=[H, 2 * H, 3 * H])
        more = tuple(
            replace(way, fixed=random.uniform(0, 3), zone=random.randrange(len(fleet.intensity)))
            for way in fleet.ways
            if way.latest >= way.earliest
            for _ in range(8)
        )
        problem = replace(fleet, ways=more, capacity=tuple(5.0 for _ in fleet.capacity)).problem()
        prices = np.array([[random.choice([0.0, 0.2, 1.0]) for _ in range(12)] for _ in fleet.capacity])
        everything = Pricing(problem).price(prices).value
        with monkeypatch.context() as patch:
            patch.setattr("harchos_infra.planner.fleet.pricing.FEW_OPTIONS", 0)
            few = Pricing(problem)
        some = few.price(prices)
        assert (some.value <= everything + 1e-9).all()
        while (capped := few.capped(some)).any():
            few.widen(capped)
            some = few.price(prices)
        assert some.value == pytest.approx(everything)


def test_every_quota_holds_at_every_second_of_a_crowded_fleet() -> None:
    for seed in range(5):
        random = Random(seed)
        ways = tuple(
            Way(job, random.randrange(2), random.randrange(5) * H, random.randrange(10, 20) * H,
                random.choice([1200, H, 5000, 3 * H]), random.random(), 0.01, ((random.randrange(3), 1.0),))
            for job in range(80) for _ in range(2)
        )  # fmt: skip
        intensity = tuple(tuple(random.uniform(20, 500) for _ in range(24)) for _ in range(2))
        fleet = Fleet(intensity, (2.0, 3.0, 4.0), ways, 80)
        found = solve(fleet.problem(), branching=False)
        missing, _ = check(fleet, found)
        assert missing < 40
        assert found.gap < 0.2


def test_equal_jobs_queue_up_in_order_and_without_a_gap() -> None:
    ways = tuple(Way(job, 0, 0, 6 * H, 2 * H, 1.0, 0.01, ((0, 1.0),)) for job in range(4))
    found = solve(Fleet(((100.0,) * 8,), (1.0,), ways, 4).problem())
    assert sorted(found.placement.start_s.tolist()) == [0, 2 * H, 4 * H, 6 * H]
    assert found.exact


def test_an_empty_quota_leaves_no_place_and_the_others_theirs() -> None:
    shut, free = Way(0, 0, 0, H, H, 1.0, 0.0, ((0, 1.0),)), Way(1, 0, 0, H, H, 2.0, 0.0, ())
    found = solve(Fleet(((1.0, 1.0),), (0.0,), (shut, free), 2).problem())
    assert found.placement.candidate.tolist() == [NOWHERE, 1]
    assert (found.score, found.bound, found.exact) == (2.0, 2.0, True)


def test_a_deadline_shorter_than_the_job_leaves_no_place() -> None:
    found = solve(
        Fleet(((1.0, 1.0),), (1.0,), (Way(0, 0, 0, -H, 2 * H, 1.0, 0.0, ((0, 1.0),)),), 1).problem()
    )
    assert found.placement.candidate.tolist() == [NOWHERE]
    assert found.score == 0.0


def test_the_dearer_job_gives_way() -> None:
    """Both want the one GPU now; elsewhere costs the first 5 more, the second 1 more."""
    ways = (
        Way(0, 0, 0, 0, H, 1.0, 0.0, ((0, 1.0),)), Way(0, 0, 0, 0, H, 6.0, 0.0, ()),
        Way(1, 0, 0, 0, H, 1.0, 0.0, ((0, 1.0),)), Way(1, 0, 0, 0, H, 2.0, 0.0, ()),
    )  # fmt: skip
    found = solve(Fleet(((1.0,),), (1.0,), ways, 2).problem())
    assert found.placement.candidate.tolist() == [0, 3]
    assert found.prices.sum() >= 1.0 - 1e-6, "the GPU is worth what the second would pay for it"


def test_what_a_job_could_do_besides_lowers_the_bound_alone() -> None:
    ways = tuple(Way(job, 0, 0, 0, H, 3.0, 0.0, ((0, 1.0),)) for job in range(2))
    problem = replace(Fleet(((1.0,),), (2.0,), ways, 2).problem(), alternative=np.array([1.0, np.inf]))
    found = solve(problem)
    assert found.placement.candidate.tolist() == [0, 1]
    assert (found.score, found.bound) == (6.0, 4.0)
