"""What would be done without a planner: the counterfactuals that a saving is counted against.

Both start at once. They are held to what the job needs and to its deadline, but to no budget: a budget is
what one has a planner for. The home region is held to no constraint on place either, because it is where the
job runs today.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.estimate import Estimates, estimate
from harchos_infra.planner.fit import PLACE_REASONS, Misses
from harchos_infra.planner.objective import best
from harchos_infra.planner.plan import Schedule
from harchos_infra.planner.request import Request
from harchos_infra.planner.schedule import schedule


def baselines(
    request: Request, catalog: Catalog, signal: Signal, estimates: Estimates, verdicts: Sequence[Misses]
) -> dict[str, Schedule | None]:
    """Return `runNowCheapest` and `runNowHome`; None where nothing fits, or no home region is known."""
    return {
        "runNowCheapest": _cheapest_now(estimates),
        "runNowHome": _home(request, catalog, signal, verdicts),
    }


def _home(request: Request, catalog: Catalog, signal: Signal, verdicts: Sequence[Misses]) -> Schedule | None:
    home = request.home
    if home is None:
        return None
    there = [
        offer
        for offer, misses in zip(catalog.offers, verdicts, strict=True)
        if (offer.provider, offer.region) == (home.provider, home.name)
        and all(miss.reason in PLACE_REASONS for miss in misses)
    ]
    estimates, _ = estimate(request, catalog, signal, there)
    return _cheapest_now(estimates)


def _cheapest_now(estimates: Estimates) -> Schedule | None:
    """Return the schedule with the least USD, then carbon, of those that start now and are in time.

    At full power and with the fewest nodes: the rest is what one has a planner for.
    """
    members = np.flatnonzero((estimates.late_s <= 0) & estimates.is_first)
    if not len(members):
        return None
    gco2e = estimates.gco2e(estimates.now_mean)
    return schedule(
        estimates, int(members[best([estimates.cost_usd[members], gco2e[members]])]), at_once=True
    )
