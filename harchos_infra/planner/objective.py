"""What is minimised: dollars, carbon, or dollars plus a price on carbon; and the Pareto front of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import TIE
from harchos_infra.workload.document import Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

BALANCED_CARBON_PRICE_USD_PER_T = 190.0
BALANCED_CARBON_PRICE_SOURCE = (
    "US EPA, Report on the Social Cost of Greenhouse Gases (2023): CO2 emitted in 2020, "
    "2 % discount rate, 2020 dollars"
)


@dataclass(frozen=True, slots=True)
class Objective:
    """`usd_weight` x USD + `usd_per_g` x gCO2eq; equal scores are settled by carbon, then by USD.

    `greenest` weighs carbon alone and `cheapest` USD alone; `balanced` is USD plus the carbon at
    BALANCED_CARBON_PRICE; `carbonPrice` is USD plus the carbon at the workload's own price.
    """

    name: str
    usd_weight: float
    usd_per_g: float
    carbon_price_usd_per_t: float | None
    carbon_price_source: str | None

    @classmethod
    def of(cls, spec: Spec) -> Objective:
        """Read a workload's objective; its `carbonPrice` takes precedence over its `objective`."""
        price = spec.carbon_price_usd_per_t
        if price is not None:
            return cls("carbonPrice", 1.0, price / 1e6, price, "spec.carbonPrice")
        if spec.objective == "greenest":
            return cls("greenest", 0.0, 1.0, None, None)
        if spec.objective == "cheapest":
            return cls("cheapest", 1.0, 0.0, None, None)
        price = BALANCED_CARBON_PRICE_USD_PER_T
        return cls("balanced", 1.0, price / 1e6, price, BALANCED_CARBON_PRICE_SOURCE)

    def score(self, usd: NDArray[np.float64], gco2e: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the figure to minimise: in USD, for `greenest` in gCO2eq."""
        return self.usd_weight * usd + self.usd_per_g * gco2e


def best(keys: list[NDArray[np.float64]]) -> int:
    """Return the index that is least by the first key, ties (within TIE) by the next, then the first index.

    Keys are non-negative and of equal, non-zero length.
    """
    places = np.arange(len(keys[0]))
    for key in keys:
        values = key[places]
        places = places[values <= values.min() * (1 + TIE)]
    return int(places[0])


def pareto_front(usd: NDArray[np.float64], gco2e: NDArray[np.float64]) -> list[int]:
    """Return the indices that nothing else beats in both figures, cheapest first.

    Of equal members the first index stands for all. Sort by USD, then keep each that is cleaner than every
    cheaper one: O(n log n), exact to within TIE.
    """
    order = np.lexsort((np.arange(len(usd)), gco2e, usd))
    least = np.minimum.accumulate(gco2e[order])
    cleaner = order[np.concatenate([[True], gco2e[order][1:] < least[:-1]])]
    front: list[int] = []
    for index in cleaner.tolist():
        if not front:
            front.append(index)
        elif gco2e[index] < gco2e[front[-1]] * (1 - TIE):
            if usd[index] <= usd[front[-1]] * (1 + TIE):
                front.pop()
            front.append(index)
    return front


def dominated(usd: NDArray[np.float64], gco2e: NDArray[np.float64], front: list[int]) -> NDArray[np.bool_]:
    """Tell of each point whether another is no worse in both figures and better (beyond TIE) in one.

    Whatever beats a point is itself no better than a member of the `front`.
    """
    cheaper = usd[front] <= usd[:, None] * (1 + TIE)
    cleaner = gco2e[front] <= gco2e[:, None] * (1 + TIE)
    better = (usd[front] < usd[:, None] * (1 - TIE)) | (gco2e[front] < gco2e[:, None] * (1 - TIE))
    return np.asarray((cheaper & cleaner & better).any(axis=1))
