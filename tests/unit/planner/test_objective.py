"""Scores, ties and the Pareto front equal an enumeration of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harchos_infra.planner.objective import Objective, best, dominated, pareto_front
from harchos_infra.workload.document import Spec

FIGURE = st.one_of(st.integers(0, 4).map(float), st.floats(0, 100).map(lambda figure: round(figure, 6)))
"""Equal, or further apart than what counts as a tie."""
POINTS = st.lists(st.tuples(FIGURE, FIGURE), min_size=1, max_size=25)


def beats(p: tuple[float, float], q: tuple[float, float]) -> bool:
    """p is no worse than q in both and better in one, beyond rounding."""
    no_worse = all(a <= b * (1 + 1e-9) for a, b in zip(p, q, strict=True))
    return no_worse and any(a < b * (1 - 1e-9) for a, b in zip(p, q, strict=True))


@settings(max_examples=300, deadline=None)
@given(POINTS)
def test_the_front_is_what_no_pair_comparison_removes(points: list[tuple[float, float]]) -> None:
    usd, gco2e = np.array(points).T
    expected = {p for p in points if not any(beats(q, p) for q in points)}
    front = pareto_front(usd, gco2e)
    assert {points[i] for i in front} == expected
    assert len(front) == len(expected), "equal points stand once"
    assert [usd[i] for i in front] == sorted(usd[i] for i in front)


@settings(max_examples=300, deadline=None)
@given(POINTS)
def test_dominated_means_that_some_other_beats_it(points: list[tuple[float, float]]) -> None:
    usd, gco2e = np.array(points).T
    assert dominated(usd, gco2e, pareto_front(usd, gco2e)).tolist() == [
        any(beats(q, p) for q in points) for p in points
    ]


@given(POINTS, st.sampled_from(["greenest", "balanced", "cheapest", 0.0, 35.0]))
def test_the_best_by_any_objective_lies_on_the_front(
    points: list[tuple[float, float]], wanted: str | float
) -> None:
    usd, gco2e = np.array(points).T
    spec = (
        Spec(type="batch", objective=wanted)
        if isinstance(wanted, str)
        else Spec(type="batch", carbon_price_usd_per_t=wanted)
    )
    chosen = best([Objective.of(spec).score(usd, gco2e), gco2e, usd])
    assert (
        points[chosen] in {points[i] for i in pareto_front(usd, gco2e)}
        or not dominated(usd, gco2e, pareto_front(usd, gco2e))[chosen]
    )


def test_greenest_settles_equal_carbon_by_price_and_cheapest_equal_price_by_carbon() -> None:
    usd, gco2e = np.array([3.0, 2.0, 1.0, 1.0]), np.array([5.0, 5.0, 9.0, 8.0])
    greenest, cheapest = (Objective.of(Spec(type="batch", objective=o)) for o in ("greenest", "cheapest"))
    assert best([greenest.score(usd, gco2e), gco2e, usd]) == 1
    assert best([cheapest.score(usd, gco2e), gco2e, usd]) == 3


def test_the_default_is_dollars_plus_the_social_cost_of_carbon() -> None:
    objective = Objective.of(Spec(type="batch"))
    assert objective.name == "balanced"
    assert objective.score(np.array([1.0]), np.array([1e6])) == pytest.approx([191.0])
    assert "EPA" in (objective.carbon_price_source or "")


def test_a_carbon_price_of_ones_own_takes_precedence() -> None:
    objective = Objective.of(Spec(type="batch", objective="greenest", carbon_price_usd_per_t=50))
    assert objective.score(np.array([1.0]), np.array([1e6])) == pytest.approx([51.0])
