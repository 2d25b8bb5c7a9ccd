"""The non-interruptible window equals a search of every second (small) and of every breakpoint (large)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from harchos_infra.planner.window import HOUR_S, breakpoint_starts, earliest_least, window_means

INTENSITY = st.one_of(st.integers(0, 6).map(float), st.floats(0, 1000))


def mean_by_hand(hourly: list[float], start_s: int, duration_s: int) -> float:
    """Add up gram-seconds hour by hour."""
    total = 0.0
    for hour, value in enumerate(hourly):
        overlap = min(start_s + duration_s, (hour + 1) * HOUR_S) - max(start_s, hour * HOUR_S)
        total += value * max(overlap, 0)
    return total / duration_s


def best_start(hourly: ArrayLike, earliest_s: int, latest_s: int, duration_s: int) -> int:
    intensity = np.asarray(hourly)
    starts = breakpoint_starts(earliest_s, latest_s, duration_s)
    return int(starts[earliest_least(window_means(intensity, starts, duration_s), intensity)[0]])


@st.composite
def instances(draw: st.DrawFn) -> tuple[list[float], int, int, int]:
    hourly = draw(st.lists(INTENSITY, min_size=1, max_size=12))
    end = len(hourly) * HOUR_S
    earliest = draw(st.integers(0, min(HOUR_S - 1, end - 1)))
    duration = draw(st.one_of(st.integers(1, end - earliest), st.sampled_from([60, HOUR_S, 5400, 7200])))
    duration = min(duration, end - earliest)
    latest = draw(st.integers(earliest, end - duration))
    return hourly, earliest, latest, duration


@settings(max_examples=150, deadline=None)
@given(instances())
def test_no_start_on_a_grid_of_ten_minutes_beats_the_breakpoints(
    instance: tuple[list[float], int, int, int],
) -> None:
    hourly, earliest, latest, duration = instance
    starts = breakpoint_starts(earliest, latest, duration)
    least = float(window_means(np.array([hourly]), starts, duration).min())
    for start in range(earliest, latest + 1, 600):
        assert mean_by_hand(hourly, start, duration) >= least * (1 - 1e-9) - 1e-9


@settings(max_examples=150, deadline=None)
@given(instances())
def test_the_means_are_those_added_up_by_hand(instance: tuple[list[float], int, int, int]) -> None:
    hourly, earliest, latest, duration = instance
    starts = breakpoint_starts(earliest, latest, duration)
    means = window_means(np.array([hourly]), starts, duration)[0]
    by_hand = [mean_by_hand(hourly, int(s), duration) for s in starts]
    assert means == pytest.approx(by_hand, rel=1e-9, abs=1e-7)


def test_thousands_of_random_jobs_start_where_a_plain_search_starts_them() -> None:
    rng = np.random.default_rng(22)
    for _ in range(3000):
        hourly = rng.integers(0, 5, rng.integers(1, 9)).astype(float) * rng.choice([1.0, 77.7])
        end = len(hourly) * HOUR_S
        earliest = int(rng.integers(0, HOUR_S))
        duration = int(rng.choice([1, 600, HOUR_S, 5400, int(rng.integers(1, end + 1))]))
        duration = min(duration, end - earliest)
        latest = int(rng.integers(earliest, end - duration + 1))
        found = best_start([hourly], earliest, latest, duration)
        aligned = {s for h in range(0, end + 1, HOUR_S) for s in (h, h - duration) if earliest <= s <= latest}
        by_hand = {s: mean_by_hand(hourly.tolist(), s, duration) for s in {earliest, latest} | aligned}
        ties = [s for s, mean in by_hand.items() if mean <= min(by_hand.values()) + 1e-8]
        assert found == min(ties)


def test_every_second_of_a_small_horizon() -> None:
    hourly = [300.0, 120.0, 180.0, 60.0, 400.0]
    duration, earliest, latest = 5000, 1234, 5 * HOUR_S - 5000
    starts = breakpoint_starts(earliest, latest, duration)
    found = float(window_means(np.array([hourly]), starts, duration).min())
    everything = np.arange(earliest, latest + 1)
    assert found == pytest.approx(float(window_means(np.array([hourly]), everything, duration).min()))


def test_a_job_may_be_best_ended_on_the_hour() -> None:
    hourly = [100.0, 10.0, 500.0]
    assert best_start([hourly], 0, 90 * 60, 5400) == 1800, (
        "90 minutes that end with hour 2, not that begin with it"
    )


def test_the_starts_are_the_ends_the_hours_and_the_aligned_ends() -> None:
    assert breakpoint_starts(600, 9000, 1000).tolist() == [600, 2600, 3600, 6200, 7200, 9000]
    assert breakpoint_starts(600, 600, 99_999).tolist() == [600]
    with pytest.raises(ValueError, match="no start"):
        breakpoint_starts(601, 600, 10)


@given(st.floats(0, 1000), st.integers(1, 200), st.integers(1, 4 * HOUR_S))
def test_on_a_flat_grid_the_earliest_start_wins(level: float, hours: int, duration: int) -> None:
    duration = min(duration, hours * HOUR_S)
    assert best_start([[level] * hours], 0, hours * HOUR_S - duration, duration) == 0


def test_of_equal_windows_the_earliest_wins_whatever_the_rounding() -> None:
    hourly = np.tile([511.1, 0.3, 77.7, 300.9], 2190)[None, :]
    assert best_start(hourly, 0, 8700 * HOUR_S, HOUR_S) == HOUR_S


def test_a_short_job_on_a_year_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    hourly = rng.uniform(0, 900, (1, 8760))
    starts = np.arange(0, 8759) * HOUR_S
    assert window_means(hourly, starts, 1)[0] == pytest.approx(hourly[0, :8759], rel=1e-6)
