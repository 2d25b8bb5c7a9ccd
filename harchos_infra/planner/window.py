"""When one uninterrupted job should run: exact, for any region, start and duration in whole seconds.

Problem. Intensity I(t) is piecewise constant with a step of an hour or less. A job of d seconds that starts
at s in [earliest, latest] draws constant power, so its carbon is proportional to the mean

    M(s) = (P(s + d) - P(s)) / d,    P(t) = integral of I from 0 to t.

P is piecewise linear with breakpoints at the steps, so M is piecewise linear with breakpoints where s or
s + d is on a step. A linear function on a closed interval has its minimum at an end: the optimum is therefore
the earliest or the latest start, a start on a step, or a start whose *end* is on a step. Those are all the
starts that need testing: at most two a step, whatever the resolution of time.

Cost. O(zones x steps): one prefix sum, then two look-ups a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR_S = 3600
TIE = 1e-9
"""Two figures within this share of each other are equal: the earlier or first named of them wins."""


def breakpoint_starts(
    earliest_s: int, latest_s: int, duration_s: int, step_s: int = HOUR_S
) -> NDArray[np.int64]:
    """Return every start, in seconds and rising, that can be optimal in [earliest_s, latest_s].

    Steps begin at multiples of `step_s`. Raises ValueError where latest_s < earliest_s.
    """
    if latest_s < earliest_s:
        raise ValueError(f"no start between {earliest_s} and {latest_s}")
    steps = np.arange(-(-earliest_s // step_s), latest_s // step_s + 1) * step_s
    first_end = -(-(earliest_s + duration_s) // step_s)
    ends = np.arange(first_end, (latest_s + duration_s) // step_s + 1) * step_s
    starts: NDArray[np.int64] = np.sort(np.concatenate([[earliest_s], steps, ends - duration_s, [latest_s]]))
    return starts[np.diff(starts, prepend=earliest_s - 1) > 0]


def window_means(
    intensity: NDArray[np.float64],
    starts_s: NDArray[np.int64],
    duration_s: int | NDArray[np.int64],
    step_s: int = HOUR_S,
) -> NDArray[np.float64]:
    """Return the mean intensity of each zone over [start, start + duration): shape (zones, starts), g/kWh.

    `intensity` has shape (zones, steps), its first step beginning at 0 s, and must cover every window. Prefix
    sums are taken of the deviation from each zone's mean, so that a long horizon costs no digits.
    """
    level, prefix = _level_and_prefix(intensity)
    gained = _integral(prefix, starts_s + duration_s, step_s) - _integral(prefix, starts_s, step_s)
    means: NDArray[np.float64] = level + gained * (step_s / duration_s)
    return means


def integrals(
    intensity: NDArray[np.float64],
    rows: NDArray[np.int64],
    starts_s: NDArray[np.int64],
    ends_s: NDArray[np.int64],
    step_s: int = HOUR_S,
) -> NDArray[np.float64]:
    """Return the integral of zone `rows[i]` from `starts_s[i]` to `ends_s[i]`: grams for each kW."""
    level, prefix = _level_and_prefix(intensity)
    gained = _integral_of(prefix, rows, ends_s, step_s) - _integral_of(prefix, rows, starts_s, step_s)
    sums: NDArray[np.float64] = (level[rows, 0] * (ends_s - starts_s) + gained * step_s) / HOUR_S
    return sums


def _level_and_prefix(intensity: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each row's mean, (rows, 1), and the prefix sums of what deviates from it, (rows, steps + 1)."""
    level = intensity.mean(axis=1, keepdims=True)
    prefix = np.zeros((intensity.shape[0], intensity.shape[1] + 1))
    np.cumsum(intensity - level, axis=1, out=prefix[:, 1:])
    return level, prefix


def _integral_of(
    prefix: NDArray[np.float64], rows: NDArray[np.int64], at_s: NDArray[np.int64], step_s: int
) -> NDArray[np.float64]:
    step, second = np.divmod(at_s, step_s)
    following = np.minimum(step + 1, prefix.shape[1] - 1)
    integral: NDArray[np.float64] = prefix[rows, step]
    integral += (prefix[rows, following] - prefix[rows, step]) * (second / step_s)
    return integral


def _integral(prefix: NDArray[np.float64], at_s: NDArray[np.int64], step_s: int) -> NDArray[np.float64]:
    step, second = np.divmod(at_s, step_s)
    integral: NDArray[np.float64] = np.take(prefix, step, axis=1)
    if second.any():
        rise = np.take(prefix, np.minimum(step + 1, prefix.shape[1] - 1), axis=1)
        rise -= integral
        rise *= second / step_s
        integral += rise
    return integral


def earliest_least(means: NDArray[np.float64], intensity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return, for each zone, the first start with the least mean, up to TIE of the zone's highest step."""
    slack = TIE * intensity.max(axis=1, keepdims=True)
    first: NDArray[np.int64] = np.argmax(means <= means.min(axis=1, keepdims=True) + slack, axis=1)
    return first
