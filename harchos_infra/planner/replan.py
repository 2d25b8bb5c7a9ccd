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
is counted in either schedule. So switching takes nothing (WAITING). Of a job that has begun, the rest is
planned: its checkpoint and its data lie where it ran last, so that either schedule counts their
transfer. Leaving a hub on which it runs takes saving there and restarting where it goes on (`leaving`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.course import Course, Leg
from harchos_infra.planner.estimate import Estimates, estimate
from harchos_infra.planner.fit import Miss
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.moving import Moves
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.plan import Schedule, Segment
from harchos_infra.planner.planner import plan
from harchos_infra.planner.rank import limits
from harchos_infra.planner.request import Request
from harchos_infra.planner.schedule import schedule
from harchos_infra.planner.variants import extended
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
    held: Sequence[Segment],
    *,
    catalog: Catalog,
    signal: Signal,
    now: datetime,
    measured: Calibration | None = None,
    policy: LoadedPolicy | None = None,
    runs: bool = False,
) -> Stay | Move:
    """Plan the workload again at `now` and decide between the segments it holds and the new best.

    A relative deadline would count from `now`: the workload must name a time. `policy` is the one that its
    plan was made under (`recorded_policy`). `runs`: the job is under way in the first of the segments, which
    goes on from `now`.
    """
    again = plan(workload, catalog=catalog, signal=signal, now=now, measured=measured, policy=policy)
    request = Request.of(workload, catalog, now, measured, policy)
    kept = price(held, request, catalog, signal)
    if isinstance(kept, Miss) and kept.reason not in _NO_LONGER_FITS:
        return Stay(f"it cannot be priced now: {kept.detail}", confirmed=False)
    if again.chosen is None:
        lost = f"{kept.detail}; " if isinstance(kept, Miss) else ""
        return Stay(f"nothing fits any more: {lost}{again.nearest_miss}", confirmed=False)
    switching = leaving(held[0], again.chosen.segments[0], request) if runs else WAITING
    return decide(Objective.of(workload.spec), kept, again.chosen, switching)


def leaving(held: Segment, first: Segment, request: Request) -> SwitchingCost:
    """Return what it takes to save a running job and to restart it in `first`; nothing if it just goes on."""
    if goes_on(held, first, request.now):
        return WAITING
    saved, restarted = _overhead(held, request.save_s), _overhead(first, request.restart_s)
    return SwitchingCost(saved.usd + restarted.usd, saved.gco2e + restarted.gco2e)


def goes_on(held: Segment, first: Segment, now: datetime) -> bool:
    """Tell whether a schedule that begins with `first` lets a job in `held` run on."""
    return (held.offer, held.nodes) == (first.offer, first.nodes) and first.start <= now


def _overhead(segment: Segment, seconds: int) -> SwitchingCost:
    hours = segment.nodes * seconds / 3600
    kwh = segment.power_watts * segment.pue / 1000 * hours
    embodied = (segment.embodied_gco2e_hour or 0.0) * hours
    return SwitchingCost(segment.price_usd_hour * hours, kwh * segment.mean_gco2_per_kwh + embodied)


def price(held: Sequence[Segment], request: Request, catalog: Catalog, signal: Signal) -> Schedule | Miss:
    """Return the held segments with their figures on new data, or what they fail by now.

    A single one takes as long as the workload is estimated to take now. Several end when they end, and so
    does one with another node count than the estimate is of.
    """
    offered = {offer.key: offer for offer in catalog.offers}
    wanted = dict.fromkeys(segment.offer for segment in held)
    gone = [key for key in wanted if key not in offered]
    if gone:
        return Miss("offer", f"{' '.join(gone[0])} is not offered any more")
    estimates, missed = estimate(request, catalog, signal, [offered[key] for key in wanted])
    if missed:
        return missed[0][1]
    if len(held) == 1 and held[0].nodes == request.nodes:
        return _window(held[0], request, estimates)
    return _course(held, request, catalog, estimates)


def _late(end_s: int, deadline_s: int | None) -> Miss | None:
    if deadline_s is None or end_s <= deadline_s:
        return None
    return Miss("deadline", f"it would finish {duration(end_s - deadline_s)} after the deadline")


def _course(
    held: Sequence[Segment], request: Request, catalog: Catalog, estimates: Estimates
) -> Schedule | Miss:
    base = estimates.horizon.base
    places = [
        next(i for i, offer in enumerate(estimates.offers) if offer.key == s.offer and not estimates.modes[i])
        for s in held
    ]
    legs = tuple(
        Leg(
            place,
            round((s.start - base).total_seconds()),
            round((s.end - base).total_seconds()),
            s.nodes,
            s.restart_s,
            s.save_s,
        )
        for place, s in zip(places, held, strict=True)
    )
    late = _late(legs[-1].end_s, estimates.horizon.deadline_s)
    if late:
        return late
    checkpoint = request.spec.checkpoint
    size_gib = checkpoint.size_gib if checkpoint else None
    moves = Moves(request, catalog, estimates, size_gib) if size_gib else None
    there = extended(estimates, [Course(legs)], moves)
    entry = len(there.offers) - 1
    broken = limits(request, there)[entry]
    return broken[0] if broken else schedule(there, entry, moves=moves)


def _window(held: Segment, request: Request, estimates: Estimates) -> Schedule | Miss:
    horizon, duration_s = estimates.horizon, int(estimates.duration_s[0])
    start_s = round((held.start - horizon.base).total_seconds())
    late = _late(start_s + duration_s, horizon.deadline_s)
    if late:
        return late
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
