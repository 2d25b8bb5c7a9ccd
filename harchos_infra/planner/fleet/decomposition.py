"""Prices of the pools that lead the jobs apart, and the lower bound that comes with them.

Relaxation. Capacity is asked of each pool on average over each step of the signal only, which every plan that
keeps it at every second does. With a price p_{q,t} >= 0 on each of those constraints (multipliers of
Lagrange),

    L(p) = sum over jobs of min over options [score + units x integral of p] - sum p_{q,t} x capacity_q

is for every p at most the least sum of scores of all plans that place every job: the bound. It holds for
starts at any second, because the inner minimum is taken over all of them (`problem`).

L is concave; what is taken beyond capacity is a supergradient of it. The ascent follows their running average
by Polyak's step towards the best plan known, from the best prices so far, and repairs the jobs' choices to a
plan every so often (`repair`). No randomness, no clock: the same fleet gives the same prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.fleet.pricing import Priced, Pricing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_STEPS, MOST_STEPS = 80, 600
_WORK = 100_000_000
"""Options priced altogether, between the fewest and the most steps."""
REPAIR_EVERY = 40
CLOSE = 1e-9
"""Bound and plan this near each other, as a share, are the same."""
_PATIENCE = 3, 48
"""Steps without a better bound before the pace is slowed: this many, or this share of all steps."""
_MEMORY = 3.3, 36
"""Steps that the average looks back on: this many, or this share of all steps."""
_LEAST_PACE = 1e-4
_FIRST_REPAIR = 24
_FIRST_AIM = 0.03
_WIDEN_AT = (4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320)


@dataclass(frozen=True, slots=True)
class Ascent:
    """The best bound met, and the prices (pools, steps) that gave it."""

    bound: float
    prices: Floats


def ascend(pricing: Pricing, repair: Callable[[Priced, bool], float]) -> Ascent:
    """Raise the bound; `repair` makes a plan of what the jobs choose and returns its sum of scores.

    Its second argument asks for a thorough one: the last time, and always for a small fleet. It returns inf
    where a job found no place; the ascent then aims above the bound it has.
    """
    capacity = pricing.problem.capacity[:, None]
    prices = np.zeros((len(capacity), pricing.problem.steps))
    best, best_prices = -np.inf, prices
    average = np.zeros_like(prices)
    target, pace, waited = np.inf, 0.3, 0
    steps = min(max(_WORK // max(len(pricing.found), 1), FEWEST_STEPS), MOST_STEPS)
    kept = 1 - 1 / max(_MEMORY[0], steps / _MEMORY[1])
    for step in range(steps + 1):
        priced = pricing.price(prices)
        bound = float(priced.value.sum() - (prices * capacity).sum())
        if bound > best:
            best, best_prices, waited = bound, prices, 0
        elif (waited := waited + 1) >= max(_PATIENCE[0], steps // _PATIENCE[1]):
            pace, waited = pace * 0.7, 0
        is_last = step == steps or pace < _LEAST_PACE
        if step % REPAIR_EVERY == _FIRST_REPAIR or is_last:
            last = priced if bound == best else pricing.price(best_prices)
            target = min(target, repair(last, is_last or steps > 2 * FEWEST_STEPS))
        if step in _WIDEN_AT and (capped := pricing.capped(priced)).any():
            pricing.widen(capped)
        if is_last or (np.isfinite(target) and target - best <= CLOSE * abs(target)):
            break
        excess = pricing.taken(priced.choice) - capacity
        average = kept * average + (1 - kept) * excess
        slope = np.where((best_prices <= 0) & (average < 0), 0.0, average)
        length = float((slope**2).sum())
        if length == 0.0:
            continue
        aim = target if np.isfinite(target) else best + _FIRST_AIM * abs(best)
        prices = np.maximum(best_prices + pace * (aim - best) / length * slope, 0.0)
    return Ascent(best, best_prices)
