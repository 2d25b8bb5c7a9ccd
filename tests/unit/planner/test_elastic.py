"""Node counts are the best there are: held to every count in every slot, on thousands of small instances."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harchos_infra.planner.elastic import elastic


def allowed(counts, low, may_pause):
    """Tell whether a job may have these nodes; `low` are the fewest of any part of each slot."""
    running = [t for t, n in enumerate(counts) if n > 0]
    if may_pause or not running:
        return True
    first, last = running[0], running[-1]
    return all(low[t] > 0 for t in range(first, last))


def least_by_hand(cost, work, curve, min_nodes, may_pause):
    """Try every count in every slot, and in one slot each pair of counts, with the share that is needed.

    A linear programme with one constraint beside `one count a slot` has such a best solution.
    """
    done = {0: 0.0, **{min_nodes + i: f for i, f in enumerate(curve)}}
    best, cost = np.inf, np.minimum(cost, 1e12)
    for counts in product(done, repeat=len(cost)):
        work_done = sum(done[n] for n in counts)
        spent = sum(n * c for n, c in zip(counts, cost, strict=True) if n)
        if abs(work_done - work) < 1e-9 and allowed(counts, counts, may_pause):
            best = min(best, spent)
        for slot, more in product(range(len(cost)), done):
            gained = done[more] - done[counts[slot]]
            share = (work - work_done) / gained if gained > 0 else -1.0
            if 0 < share < 1:
                high = [more if t == slot else n for t, n in enumerate(counts)]
                if allowed(high, counts, may_pause):
                    best = min(best, spent + share * (more - counts[slot]) * cost[slot])
    return best if best < 1e9 else np.inf


def schedule_of(found, row, slots):
    """Return (nodes, share of a slot) by slot."""
    spans = [[(int(n), 1.0)] for n in found.nodes[row]]
    slot = int(found.mixed_slot[row])
    if slot >= 0:
        share = float(found.mixed_share[row])
        spans[slot] = [(int(found.mixed_nodes[row]), share), (int(found.nodes[row, slot]), 1 - share)]
    return spans


@pytest.mark.parametrize("may_pause", [True, False])
def test_hundreds_of_random_jobs_have_the_nodes_that_a_plain_search_gives_them(may_pause: bool) -> None:
    rng = np.random.default_rng(12)
    for _ in range(300):
        slots, counts, min_nodes = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
        levels = [np.array([2.0]), np.array([0.0, 1.0, 5.0]), rng.uniform(0.1, 9, 30)]
        cost = rng.choice(levels[rng.integers(3)], size=(3, slots))
        if rng.random() < 0.2:
            cost[rng.random(cost.shape) < 0.2] = np.inf
        curves = [np.arange(1, counts + 1), np.sqrt(np.arange(1, counts + 1)), rng.uniform(0.2, 3, counts)]
        curve = curves[rng.integers(3)].astype(float)
        work = float(rng.choice([rng.uniform(0.1, 6), 1.0, 2.0, 3.0]))
        found = elastic(cost, work, curve, min_nodes=min_nodes, may_pause=may_pause)
        done = {0: 0.0, **{min_nodes + i: f for i, f in enumerate(curve)}}
        for row in range(3):
            least = least_by_hand(cost[row], work, curve, min_nodes, may_pause)
            assert found.total[row] == pytest.approx(least, rel=1e-9, abs=1e-9)
            spans = schedule_of(found, row, slots)
            if np.isfinite(least):
                assert sum(done[n] * share for slot in spans for n, share in slot) == pytest.approx(work)
                spent = sum(
                    n * share * c for slot, c in zip(spans, cost[row], strict=True) for n, share in slot if n
                )
                assert spent == pytest.approx(least, rel=1e-9, abs=1e-9)
            else:
                assert not found.nodes[row].any()


def test_more_nodes_run_when_the_grid_is_clean_and_the_fewest_when_it_is_not() -> None:
    found = elastic(np.array([[9.0, 1.0, 9.0]]), 4.0, [1.0, 1.9], min_nodes=1, may_pause=False)
    assert found.nodes[0].tolist() == [1, 2, 1]
    assert (found.mixed_slot[0], found.mixed_nodes[0]) == (0, 2)
    assert found.mixed_share[0] == pytest.approx(0.1 / 0.9)


def test_a_curve_that_is_not_concave_skips_the_counts_below_its_hull() -> None:
    cost = np.array([[1.0, 2.0, 3.0, 4.0]])
    found = elastic(cost, 6.0, [1.0, 1.2, 4.5], min_nodes=1, may_pause=True)
    assert set(found.nodes[0].tolist()) <= {0, 3}
    assert found.mixed_nodes[0] == 3


def test_counts_that_slow_the_job_down_are_never_used() -> None:
    found = elastic(np.array([[1.0, 50.0]]), 2.0, [1.0, 1.5, 0.9], min_nodes=1, may_pause=True)
    assert found.nodes[0].tolist() == [2, 0]
    assert (found.mixed_slot[0], found.mixed_nodes[0], found.mixed_share[0]) == (1, 1, pytest.approx(0.5))


def test_a_flat_grid_and_a_linear_curve_end_the_job_as_early_as_can_be() -> None:
    found = elastic(np.full((1, 6), 2.0), 4.0, [1.0, 2.0], min_nodes=1, may_pause=False)
    assert found.nodes[0].tolist() == [2, 2, 0, 0, 0, 0]


def test_work_that_does_not_fit_is_infinite() -> None:
    for may_pause in (True, False):
        found = elastic(np.ones((2, 3)), 6.1, [1.0, 2.0], min_nodes=1, may_pause=may_pause)
        assert found.total.tolist() == [np.inf, np.inf]
    with pytest.raises(ValueError, match="positive"):
        elastic(np.ones((1, 3)), 0.0, [1.0], min_nodes=1, may_pause=True)
