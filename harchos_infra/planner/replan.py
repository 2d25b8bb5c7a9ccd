"""Whether a schedule that was decided on should be left for a better one, now that more is known.

Problem. A run holds a schedule; on new data (intensities, prices, measurements) the planner finds another.
With S the objective's score, both schedules priced on the same new data, and C what switching itself takes,

    gain = S(held) - S(best) - S(C),    move if and only if  gain >= max(LEAST_SHARE x S(held), least)

where `least` is LEAST_USD, or LEAST_G where carbon alone counts. The margin is the hysteresis: figures that
waver by less move nothing, so that a run does not go back and forth between schedules that are as good. A
schedule that no longer fits (past its deadline, over a budget, not offered) is left for any that does. One
whose figures cannot be had, because a source is silent about its zone, is kept: not to know is no reason to
move.

A waiting run has nothing anywhere: its job lies in the mailbox, and data is moved when its hub starts, which
is counted in either schedule. So switching takes nothing (WAITING). The rule is the same for a running one,
whose C is the restart, the checkpoint's transfer and the data's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.estimate import estimate
from harchos_infra.planner.fit import Miss
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Schedule, Segment
from harchos_infra.planner.planner import plan
from harchos_infra.planner.rank import limits
from harchos_infra.planner.request import Request
from harchos_infra.planner.schedule import schedule
from harchos_infra.planner.window import window_means
from harchos_infra.planner.wording import duration
from harchos_infra.policy.breach import REASONS as POLICY_REASONS
from harchos_infra.workload.document import Workload

if TYPE_CHECKING:
    from harchos_infra.policy.loader import LoadedPolicy

LEAST_SHARE = 0.05
"""Gain below this share of the held schedule's score moves nothing; `drift` tolerates as much."""
LEAST_USD = 0.001
LEAST_G = 5.0
"""About what LEAST_USD is at the planner's own carbon price of 190 USD/t."""


_NO_LONGER_FITS = POLICY_REASONS | {"offer", "deadline", "budget-cost", "budget-carbon"}


@dataclass(frozen=True, slots=True)
class SwitchingCost:
    """What leaving the held schedule takes by itself."""

    usd: float
    gco2e: float


WAITING = SwitchingCost(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stay:
    """The schedule is kept, and why.

    `confirmed` is False where new data do not say that it is good: nothing fits any more, or no figures.
    """

    why: str
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """The schedule to take instead, why, and by how much USD and gCO2e are expected to change (- is less)."""

    to: Schedule
    why: str
    usd: float | None
    gco2e: float | None
    """None where the held schedule has no figures to compare with."""

    @property
    def expected(self) -> str:
        """Return `expected -0.31 kgCO2e, +0.02 USD`, the switching cost included."""
        if self.usd is None or self.gco2e is None:
            return f"expected {self.to.gco2e / 1000:.3g} kgCO2e, {self.to.cost_usd:.3g} USD"
        return f"expected {self.gco2e / 1000:+.3g} kgCO2e, {self.usd:+.3g} USD"


def reconsider(
    workload: Workload,
    held: Segment,
    *,
    catalog: Catalog,
    signal: Signal,
    now: datetime,
    measured: Calibration | None = None,
    switching: SwitchingCost = WAITING,
    policy: LoadedPolicy | None = None,
) -> Stay | Move:
    """Plan the workload again at `now` and decide between the segment it holds and the new best.

    A relative deadline would count from `now`: the workload must name a time. `policy` is the one that its
    plan was made under (`recorded_policy`).
    """
    again = plan(workload, catalog=catalog, signal=signal, now=now, measured=measured, policy=policy)
    request = Request.of(workload, catalog, now, measured, policy)
    kept = price(held, request, catalog, signal)
    if isinstance(kept, Miss) and kept.reason not in _NO_LONGER_FITS:
        return Stay(f"it cannot be priced now: {kept.detail}", confirmed=False)
    if again.chosen is None:
        lost = f"{kept.detail}; " if isinstance(kept, Miss) else ""
        return Stay(f"nothing fits any more: {lost}{again.nearest_miss}", confirmed=False)
    return decide(Objective.of(workload.spec), kept, again.chosen, switching)


def price(held: Segment, request: Request, catalog: Catalog, signal: Signal) -> Schedule | Miss:
    """Return the held segment with its figures on new data, or what it fails by now."""
    offers = [o for o in catalog.offers if o.key == held.offer]
    if not offers:
        return Miss("offer", f"{' '.join(held.offer)} is not offered any more")
    estimates, missed = estimate(request, catalog, signal, offers[:1])
    if missed:
        return missed[0][1]
    horizon, duration_s = estimates.horizon, int(estimates.duration_s[0])
    start_s = round((held.start - horizon.base).total_seconds())
    if horizon.deadline_s is not None and start_s + duration_s > horizon.deadline_s:
        late_s = start_s + duration_s - horizon.deadline_s
        return Miss("deadline", f"it would finish {duration(late_s)} after the deadline")
    row = horizon.intensity[horizon.rows[estimates.regions[0].zone or ""]][None, :]
    best_start_s, best_mean = estimates.best_start_s.copy(), estimates.best_mean.copy()
    best_start_s[0] = start_s
    best_mean[0] = window_means(row, best_start_s[:1], duration_s, horizon.step_s)[0, 0]
    there = replace(estimates, best_start_s=best_start_s, best_mean=best_mean)
    broken = limits(request, there)[0]
    return broken[0] if broken else schedule(there, 0)


def decide(
    objective: Objective, held: Schedule | Miss, best: Schedule, switching: SwitchingCost
) -> Stay | Move:
    """Return whether `best` is worth leaving `held` for; both are priced on the same data."""
    if isinstance(held, Miss):
        return Move(best, f"the schedule no longer fits: {held.detail}", None, None)
    if _where_and_when(held) == _where_and_when(best):
        return Stay("it is still the best")
    usd = best.cost_usd + switching.usd - held.cost_usd
    gco2e = _counted(best, held) + switching.gco2e - _counted(held, best)
    before = _score(objective, held.cost_usd, _counted(held, best))
    gain = -_score(objective, usd, gco2e)
    least = LEAST_USD if objective.usd_weight else LEAST_G
    needed = max(LEAST_SHARE * before, least)
    unit = "USD" if objective.usd_weight else "gCO2e"
    weighed = f"gains {gain:.3g} {unit} by the objective {objective.name}, at least {needed:.3g} needed"
    if gain < needed:
        return Stay(f"another schedule {weighed}")
    return Move(best, weighed, usd, gco2e)


def _where_and_when(schedule: Schedule) -> list[tuple[object, ...]]:
    return [(s.offer, s.nodes, s.start, s.end) for s in schedule.segments]


def _counted(schedule: Schedule, other: Schedule) -> float:
    """Return a schedule's carbon: without its embodied share where the other's is not published too."""
    known = all(s.embodied_gco2e_hour is not None for s in (*schedule.segments, *other.segments))
    return schedule.gco2e if known else schedule.gco2e - schedule.breakdown["embodiedGco2e"]


def _score(objective: Objective, usd: float, gco2e: float) -> float:
    return float(objective.score(np.asarray(usd), np.asarray(gco2e)))
