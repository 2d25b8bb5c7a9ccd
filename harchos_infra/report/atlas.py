"""Carbon intensity of the grid zones that a plan chose among, over the hours that it looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.signal import NoIntensity, Signal, hour_of
from harchos_infra.planner.plan import Plan, Rejection, moment

if TYPE_CHECKING:
    from harchos_infra.catalog import Region

COMPARED = frozenset({"dominated", "ranked-lower"})
"""Reasons of candidates that are feasible."""
_TOO_MUCH = frozenset({"deadline", "budget-cost", "budget-carbon"})
"""Reasons of candidates that are of the right kind in the right place, but not within time and budget."""


@dataclass(frozen=True, slots=True)
class ZoneHours:
    """A grid zone with the regions in it, and its hourly intensity in gCO2e/kWh."""

    zone: str
    regions: tuple[str, ...]
    gco2_per_kwh: tuple[float, ...]
    method: str
    flat: bool
    """The figure does not vary from hour to hour: a yearly average, or a source that has nothing else."""

    @property
    def mean(self) -> float:
        """Mean over all hours, in gCO2e/kWh."""
        return sum(self.gco2_per_kwh) / len(self.gco2_per_kwh)


@dataclass(frozen=True, slots=True)
class Atlas:
    """`zones`, cleanest first, from the hour `start`; `missing` says of a region why it has no figure."""

    start: datetime
    zones: tuple[ZoneHours, ...]
    missing: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan, regions: Mapping[tuple[str, str], Region], signal: Signal) -> Atlas:
        """Read the zones of a plan's feasible candidates and baselines from the signal that it was made on.

        Where no candidate is feasible, those that only time or budget ruled out stand in for them.
        """
        horizon = plan.inputs["horizon"]
        start, hours = hour_of(moment(horizon["earliestStart"])), int(horizon["hours"])
        by_zone: dict[str, list[str]] = {}
        for place in sorted(set(_places(plan))):
            region = regions.get(place)
            if region is not None and region.zone is not None:
                by_zone.setdefault(region.zone, []).append(region.id)
        zones: list[ZoneHours] = []
        missing = dict(_without_figure(plan.rejected))
        for zone, names in by_zone.items():
            try:
                zones.append(_zone_hours(zone, tuple(names), signal, start, hours))
            except NoIntensity as error:
                missing |= dict.fromkeys(names, error.what)
        return cls(start, tuple(sorted(zones, key=lambda z: (z.mean, z.zone))), missing)


def _places(plan: Plan) -> Iterator[tuple[str, str]]:
    schedules = (plan.chosen, *plan.frontier, *plan.baselines.values())
    yield from ((s.provider, s.region) for schedule in schedules if schedule for s in schedule.segments)
    reasons = COMPARED if plan.chosen is not None else _TOO_MUCH
    yield from ((lost.provider, lost.region) for lost in plan.rejected if lost.reason in reasons)


def _without_figure(rejected: Iterable[Rejection]) -> Iterator[tuple[str, str]]:
    for lost in rejected:
        if lost.reason in ("no-zone", "no-intensity"):
            yield f"{lost.provider}/{lost.region}", lost.detail


def _zone_hours(
    zone: str, regions: tuple[str, ...], signal: Signal, start: datetime, hours: int
) -> ZoneHours:
    found = signal.intensity(zone, start, hours)
    hourly = np.asarray(found.gco2_per_kwh, dtype=float).reshape(hours, -1).mean(axis=1)
    flat = found.basis.flat or (hours >= 24 and bool(np.ptp(hourly) == 0))
    return ZoneHours(zone, regions, tuple(hourly.tolist()), found.basis.method, flat)
