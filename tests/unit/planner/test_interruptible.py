"""The pauses chosen are the best there are: held to every choice of slots on thousands of instances."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from harchos_infra.planner.interruptible import interruptible, spans
from harchos_infra.planner.window import HOUR_S, breakpoint_starts, window_means


def total_of(slots, cost, save, restart, gap, share):
    """Return what a choice of slots costs; infinite where a pause in it is too short."""
    total = sum(cost[t] for t in slots[:-1]) + share * cost[slots[-1]]
    for before, after in pairwise(slots):
        if after > before + 1:
            if after - before - 1 < gap:
                return np.inf
            total += save[before] + restart[after]
    return total


def least_by_hand(cost, work, save, restart, gap, share=1.0):
    choices = combinations(range(len(cost)), work)
    return min((total_of(c, cost, save, restart, gap, share) for c in choices), default=np.inf)


def costs(rng, shape):
    """Costs with few or many levels, flat ones and gaps that are not available among them."""
    levels = [np.array([1.0]), np.array([0.0, 1.0]), np.array([3.0, 1.0, 100.0]), rng.uniform(0, 9, 50)]
    drawn = rng.choice(levels[rng.integers(len(levels))], size=shape)
    if rng.random() < 0.3:
        drawn[rng.random(shape) < 0.25] = np.inf
    return drawn


def test_thousands_of_random_jobs_are_paused_where_a_plain_search_pauses_them() -> None:
    rng = np.random.default_rng(3)
    for _ in range(400):
        shape = (8, int(rng.integers(1, 10)))
        cost = costs(rng, shape)
        work = rng.integers(1, shape[1] + 2, shape[0]) if rng.random() < 0.5 else int(rng.integers(1, 5))
        save, restart = (
            rng.choice([0.0, 0.1, 2.0]) * (rng.random(shape) if rng.random() < 0.5 else np.ones(shape))
            for _ in range(2)
        )
        gap, share = int(rng.integers(0, 4)), float(rng.choice([1.0, 1.0, 0.25]))
        total, running = interruptible(
            cost, work, save_cost=save, restart_cost=restart, gap_slots=gap, last_share=share
        )
        lengths = np.broadcast_to(work, shape[0])
        for row in range(shape[0]):
            known = cost[row], save[row], restart[row]
            least = least_by_hand(known[0], int(lengths[row]), *known[1:], gap, share)
            assert total[row] == pytest.approx(least, abs=1e-12)
            chosen = np.flatnonzero(running[row]).tolist()
            if np.isfinite(least):
                assert len(chosen) == lengths[row]
                assert total_of(chosen, *known, gap, share) == pytest.approx(least, abs=1e-12)
            else:
                assert not chosen


@pytest.mark.parametrize("overhead", [0.0, 0.5])
def test_a_flat_grid_pauses_nothing_and_starts_at_once(overhead: float) -> None:
    total, running = interruptible(np.full((1, 9), 2.0), 4, save_cost=overhead, restart_cost=overhead)
    assert total.tolist() == [8.0]
    assert spans(running[0]) == [(0, 4)]


def test_a_pause_that_gains_less_than_it_costs_is_not_made() -> None:
    cost = np.array([[1.0, 5.0, 1.0]])
    assert spans(interruptible(cost, 2, restart_cost=3.9)[1][0]) == [(0, 1), (2, 3)]
    assert spans(interruptible(cost, 2, restart_cost=4.1)[1][0]) == [(0, 2)]


def test_a_pause_is_as_long_as_saving_and_restarting_take() -> None:
    cost = np.array([[1.0, 9.0, 2.0, 3.0, 9.0]])
    assert spans(interruptible(cost, 2, gap_slots=1)[1][0]) == [(0, 1), (2, 3)]
    assert spans(interruptible(cost, 2, gap_slots=2)[1][0]) == [(0, 1), (3, 4)]
    assert spans(interruptible(cost, 2, gap_slots=3)[1][0]) == [(2, 4)]


def test_a_row_without_room_is_infinite_and_leaves_the_others_alone() -> None:
    cost = np.array([[1.0, np.inf, np.inf], [1.0, 2.0, 3.0]])
    total, running = interruptible(cost, 2, restart_cost=0.1)
    assert total.tolist() == [np.inf, 3.0]
    assert not running[0].any()
    total, _ = interruptible(cost, np.array([1, 4]), restart_cost=0.1)
    assert total.tolist() == [1.0, np.inf]
    assert interruptible(np.zeros((2, 0)), 1)[0].tolist() == [np.inf, np.inf]
    assert interruptible(np.zeros((0, 4)), 1)[0].shape == (0,)


def test_of_equal_slots_without_overhead_the_earliest_are_taken() -> None:
    cost = np.array([[2.0, 1.0, 2.0, 2.0, 1.0]])
    assert spans(interruptible(cost, 3)[1][0]) == [(0, 2), (4, 5)]


def test_only_a_share_of_the_last_slot_is_worked() -> None:
    cost = np.array([[1.0, 1.0, 40.0, 8.0]])
    total, running = interruptible(cost, 3, restart_cost=1.0, last_share=0.1)
    assert (total[0], spans(running[0])) == (pytest.approx(1 + 1 + 1 + 0.8), [(0, 2), (3, 4)])


def test_a_pause_that_costs_too_much_leaves_the_best_window() -> None:
    rng = np.random.default_rng(5)
    hourly = rng.uniform(20, 700, (40, 72))
    total, running = interruptible(hourly, 10, restart_cost=1e6)
    starts = breakpoint_starts(0, 62 * HOUR_S, 10 * HOUR_S)
    assert total == pytest.approx(10 * window_means(hourly, starts, 10 * HOUR_S).min(axis=1))
    assert all(len(spans(row)) == 1 for row in running)


def test_rows_solved_together_are_those_solved_alone() -> None:
    rng = np.random.default_rng(6)
    cost, work = rng.uniform(0, 9, (300, 30)), rng.integers(1, 32, 300)
    together = interruptible(cost, work, save_cost=0.3, restart_cost=0.4 * cost, gap_slots=2)
    for row in range(0, 300, 7):
        alone = interruptible(
            cost[row : row + 1], work[row], save_cost=0.3, restart_cost=0.4 * cost[row : row + 1], gap_slots=2
        )
        assert together[0][row] == alone[0][0]
        assert (together[1][row] == alone[1][0]).all()


def test_a_job_without_work_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        interruptible(np.ones((1, 3)), 0)
