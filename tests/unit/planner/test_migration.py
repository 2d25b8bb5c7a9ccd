"""Places, pauses and moves are the best there are: held to every path on thousands of small instances."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from harchos_infra.planner.interruptible import interruptible
from harchos_infra.planner.migration import NOWHERE, migrating


def total_of(path, cost, save, restart, start, gap, move, length, share):
    """Return what a path (the place of each slot, or NOWHERE) costs; infinite where it is not allowed."""
    slots = [t for t, place in enumerate(path) if place != NOWHERE]
    total = start[path[slots[0]]] + sum(cost[path[t]][t] for t in slots[:-1])
    total += share * cost[path[slots[-1]]][slots[-1]]
    for before, after in pairwise(slots):
        a, b, between = path[before], path[after], after - before - 1
        if a == b and between == 0:
            continue
        needed = max(gap, 1) if a == b else length[a][b]
        if between < needed:
            return np.inf
        total += save[a][before] + restart[b][after] + (0.0 if a == b else move[a][b])
    return total


def least_by_hand(work, cost, *rest):
    places, slots = cost.shape
    paths = product(range(NOWHERE, places), repeat=slots)
    return min(
        (total_of(p, cost, *rest) for p in paths if sum(place != NOWHERE for place in p) == work),
        default=np.inf,
    )


def instance(rng):
    places = int(rng.integers(1, 4))
    slots = int(rng.integers(1, 6 if places == 3 else 7))
    levels = [np.array([1.0]), np.array([0.0, 1.0, 5.0]), rng.uniform(0, 9, 30)]
    cost = rng.choice(levels[rng.integers(3)], size=(places, slots))
    if rng.random() < 0.2:
        cost[rng.random(cost.shape) < 0.2] = np.inf
    save, restart = (rng.choice([0.0, 0.3, 2.0]) * rng.random(cost.shape) for _ in range(2))
    start = rng.choice([0.0, 1.0, 4.0], size=places)
    return cost, save, restart, start, int(rng.integers(0, 3))


def check(work, cost, save, restart, start, gap, move, length, share, given, given_length):
    total, where = migrating(
        cost, work, move_cost=given, move_slots=given_length, start_cost=start, save_cost=save,
        restart_cost=restart, gap_slots=gap, last_share=share,
    )  # fmt: skip
    rest = save, restart, start, gap, move, length, share
    least = least_by_hand(work, cost, *rest)
    assert total == pytest.approx(least, abs=1e-12)
    if np.isfinite(least):
        assert (where != NOWHERE).sum() == work
        assert total_of(where.tolist(), cost, *rest) == pytest.approx(least, abs=1e-12)
    else:
        assert (where == NOWHERE).all()


def test_any_matrix_of_moves_with_places_that_nothing_leads_to() -> None:
    rng = np.random.default_rng(8)
    for _ in range(1500):
        cost, save, restart, start, gap = instance(rng)
        places = len(cost)
        move = rng.choice([0.0, 0.5, 3.0], size=(places, places))
        move[rng.random(move.shape) < 0.3] = np.inf
        length = rng.integers(0, 4, move.shape)
        work, share = int(rng.integers(1, 5)), float(rng.choice([1.0, 1.0, 0.3]))
        check(work, cost, save, restart, start, gap, move, length, share, move, length)


def test_moves_that_cost_so_much_to_leave_and_so_much_to_enter() -> None:
    rng = np.random.default_rng(9)
    for _ in range(1500):
        cost, save, restart, start, gap = instance(rng)
        leave, enter = (rng.choice([0.0, 0.5, 3.0], size=len(cost)) for _ in range(2))
        length = max(gap, int(rng.integers(1, 4)))
        move, work = leave[:, None] + enter, int(rng.integers(1, 5))
        check(
            work,
            cost,
            save,
            restart,
            start,
            gap,
            move,
            np.full(move.shape, length),
            1.0,
            (leave, enter),
            length,
        )


def test_places_that_nothing_connects_are_each_solved_alone() -> None:
    rng = np.random.default_rng(10)
    for _ in range(50):
        cost = rng.uniform(0, 9, (6, 24))
        nothing = np.full((6, 6), np.inf)
        total, where = migrating(
            cost, 7, move_cost=nothing, save_cost=0.2, restart_cost=0.3 * cost, gap_slots=2
        )
        alone, running = interruptible(cost, 7, save_cost=0.2, restart_cost=0.3 * cost, gap_slots=2)
        best = int(alone.argmin())
        assert total == pytest.approx(alone[best])
        assert ((where == best) == running[best]).all()


def test_both_forms_of_the_same_moves_agree_on_a_larger_instance() -> None:
    rng = np.random.default_rng(11)
    cost, leave, enter = rng.uniform(1, 9, (12, 60)), rng.uniform(0, 2, 12), rng.uniform(0, 2, 12)
    overheads = {"save_cost": 0.1, "restart_cost": 0.2 * cost, "start_cost": rng.uniform(0, 9, 12)}
    one, _ = migrating(cost, 20, move_cost=(leave, enter), move_slots=2, gap_slots=2, **overheads)
    other, _ = migrating(cost, 20, move_cost=leave[:, None] + enter, move_slots=2, gap_slots=2, **overheads)
    assert one == pytest.approx(other)


def test_a_move_that_gains_less_than_it_costs_is_not_made() -> None:
    cost = np.array([[1.0, 9.0, 9.0, 9.0], [5.0, 5.0, 1.0, 1.0]])
    assert migrating(cost, 3, move_cost=np.full((2, 2), 1.0))[1].tolist() == [0, -1, 1, 1]
    assert migrating(cost, 3, move_cost=np.full((2, 2), 4.1))[1].tolist() == [-1, 1, 1, 1]


def test_data_far_away_keeps_a_job_from_starting_there() -> None:
    cost = np.array([[3.0, 3.0], [1.0, 1.0]])
    moves = np.full((2, 2), 100.0)
    assert migrating(cost, 2, move_cost=moves, start_cost=[0.0, 3.9])[1].tolist() == [1, 1]
    assert migrating(cost, 2, move_cost=moves, start_cost=[0.0, 4.1])[1].tolist() == [0, 0]


def test_no_place_no_room_and_no_work() -> None:
    assert migrating(np.zeros((0, 3)), 1, move_cost=np.zeros((0, 0)))[0] == np.inf
    assert migrating(np.zeros((1, 3)), 4, move_cost=np.zeros((1, 1)))[1].tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="at least one slot"):
        migrating(np.zeros((1, 3)), 0, move_cost=np.zeros((1, 1)))
