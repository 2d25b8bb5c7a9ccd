"""One workload of a fleet: its own plan, and every other way it could run, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.estimate import Estimates, estimate
from harchos_infra.planner.fit import fit
from harchos_infra.planner.horizon import LIMIT_S
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.objective import BALANCED_CARBON_PRICE_USD_PER_T, Objective
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.rank import limits
from harchos_infra.planner.request import Request
from harchos_infra.planner.schedule import schedule
from harchos_infra.planner.window import TIE, window_means
from harchos_infra.workload.document import Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harchos_infra.policy.loader import LoadedPolicy

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class Member:
    """A workload, the catalogue it was planned with, and its plan: what it would do without the others."""

    workload: Workload
    catalog: Catalog
    plan: Plan
    measured: Calibration | None = None
    """What earlier runs took, as its own plan had it."""
    policy: LoadedPolicy | None = None
    """What its own plan kept to."""
    hubs: int = 1
    """Of a queue: so many hubs, each placed by itself; `workload` is what one of them does, `plan` of all."""

    @property
    def name(self) -> str:
        """The workload's name: unique in a fleet."""
        return self.workload.metadata.name

    @property
    def weights(self) -> tuple[float, float]:
        """USD per USD and per gCO2e of the workload's score.

        `greenest` weighs carbon alone: at the price that `balanced` takes, so that scores can be added up.
        Its own order of candidates is the same at any price.
        """
        objective = Objective.of(self.workload.spec)
        if objective.usd_weight == 0.0:
            return 0.0, BALANCED_CARBON_PRICE_USD_PER_T / 1e6
        return objective.usd_weight, objective.usd_per_g

    @property
    def counts_embodied(self) -> bool:
        """Whether the workload's candidates are compared with embodied carbon."""
        return "embodied" in self.plan.inputs["objective"]["carbon"]

    def counted_g(self, chosen: Schedule) -> float:
        """Return the carbon that counts in the workload's score, gCO2e."""
        parts = chosen.breakdown
        embodied = parts["embodiedGco2e"] if self.counts_embodied else 0.0
        return parts["operationalGco2e"] + parts["transferGco2e"] + embodied

    def score(self, chosen: Schedule) -> float:
        """Return the score of a schedule, USD."""
        per_usd, per_g = self.weights
        return per_usd * chosen.cost_usd + per_g * self.counted_g(chosen)


@dataclass(frozen=True, slots=True)
class Ways:
    """The offers on which a member can run, each from any start between `earliest_s` and `latest_s`.

    Arrays have an entry a feasible candidate, `index` being its place in `estimates`; times are seconds from
    the beginning of the member's own horizon.
    """

    member: Member
    estimates: Estimates
    index: Ints
    latest_s: Ints
    fixed: Floats
    slope: Floats
    most_mean: Floats

    @classmethod
    def of(cls, member: Member, signal: Signal) -> Ways:
        """Estimate a member once more, as its own plan did."""
        request = Request.of(member.workload, member.catalog, member.plan.now, member.measured, member.policy)
        verdicts = fit(request, member.catalog)
        fitting = [o for o, misses in zip(member.catalog.offers, verdicts, strict=True) if not misses]
        estimates, _ = estimate(request, member.catalog, signal, sorted(fitting, key=lambda o: o.key))
        broken = limits(request, estimates)
        index = np.array([i for i, misses in enumerate(broken) if not misses], dtype=np.int64)
        per_usd, per_g = member.weights
        embodied_g = np.nan_to_num(estimates.embodied_g[index])
        counted_g = estimates.transfer_g[index] + (embodied_g if member.counts_embodied else 0.0)
        return cls(
            member=member,
            estimates=estimates,
            index=index,
            latest_s=_latest_s(estimates, index),
            fixed=per_usd * estimates.cost_usd[index] + per_g * counted_g,
            slope=per_g * estimates.energy_kwh[index],
            most_mean=_most_mean(request, estimates, index, embodied_g),
        )

    @property
    def alternative(self) -> float:
        """Score of the member's own plan (of a hub's part of it) where that beats any window: with pauses."""
        own = self.member.plan.chosen
        if own is None:
            return inf
        windows = self.fixed + self.slope * self.estimates.best_mean[self.index]
        score, least = self.member.score(own) / self.member.hubs, float(windows.min(initial=inf))
        return score if score < least - TIE * abs(least) else inf

    @property
    def offers(self) -> Iterator[Offer]:
        """The offers of the candidates."""
        return (self.estimates.offers[i] for i in self.index.tolist())

    def mean(self, candidate: int, start_s: int) -> float:
        """Return the mean intensity of one candidate's window, g/kWh."""
        found = self.estimates
        index = int(self.index[candidate])
        zone = found.regions[index].zone or ""
        row = found.horizon.intensity[found.horizon.rows[zone]][None, :]
        duration_s, step_s = int(found.duration_s[index]), found.horizon.step_s
        return float(window_means(row, np.array([start_s]), duration_s, step_s)[0, 0])

    def at(self, candidate: int, start_s: int) -> Estimates:
        """Return the estimates with one candidate's window moved to `start_s`."""
        index = int(self.index[candidate])
        starts, means = self.estimates.best_start_s.copy(), self.estimates.best_mean.copy()
        starts[index], means[index] = start_s, self.mean(candidate, start_s)
        return replace(self.estimates, best_start_s=starts, best_mean=means)

    def schedule(self, candidate: int, start_s: int) -> Schedule:
        """Return the schedule of a candidate that starts at `start_s`."""
        return schedule(self.at(candidate, start_s), int(self.index[candidate]))

    def moment(self, start_s: int) -> datetime:
        """Return the time `start_s` seconds from the horizon's beginning."""
        return self.estimates.horizon.moment(start_s)


def _latest_s(estimates: Estimates, index: Ints) -> Ints:
    horizon = estimates.horizon
    if horizon.deadline_s is None:
        return np.full(len(index), horizon.earliest_s)
    return np.minimum(horizon.deadline_s - estimates.duration_s[index], horizon.earliest_s + LIMIT_S)


def _most_mean(request: Request, estimates: Estimates, index: Ints, embodied_g: Floats) -> Floats:
    """Return the mean intensity at which the carbon budget or the policy's limit is reached; inf: none."""
    rule = request.policy.rules.max_intensity_gco2_per_kwh if request.policy else None
    limit = np.inf if rule is None else rule
    kwh = estimates.energy_kwh[index]
    if request.max_carbon_g == np.inf:
        return np.full(len(index), limit)
    left_g = request.max_carbon_g - estimates.transfer_g[index] - embodied_g
    rows = [estimates.horizon.rows[estimates.regions[i].zone or ""] for i in index.tolist()]
    highest = estimates.horizon.intensity.max(axis=1, initial=0.0)[rows]
    spent = np.where(kwh * highest <= left_g, np.inf, left_g / np.maximum(kwh, 1e-300) * (1 + _NOISE))
    return np.minimum(spent, limit)
