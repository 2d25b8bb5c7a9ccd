"""The hours a plan looks at, and the carbon intensity of each zone in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.issues import Forecasting
from harchos_infra.grid.signal import Basis, NoIntensity, Signal, check_same_factors, hour_of
from harchos_infra.planner.gate import Verdict, Wish, judge, trusted
from harchos_infra.planner.request import Request
from harchos_infra.planner.window import HOUR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_S = 366 * 24 * HOUR_S
"""Starts later than this after the earliest one are not looked at."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Hours from the UTC hour of the earliest start. Offsets `…_s` are seconds from its beginning.

    `rows` maps a zone to its row of `intensity`, of shape (zones, hours) in g/kWh; `unknown` says of a zone
    why there is no figure. Where they are a forecast that the job may wait on, `verdicts` say of each zone
    how far it is trusted, and `intensity` is what that leaves of it.
    """

    base: datetime
    earliest_s: int
    deadline_s: int | None
    hours: int
    rows: dict[str, int]
    intensity: NDArray[np.float64]
    bases: tuple[Basis, ...]
    unknown: dict[str, str] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    @classmethod
    def of(cls, request: Request, signal: Signal, zones: Iterable[str], longest_s: int) -> Horizon:
        """Read every zone from `signal` for all windows of up to `longest_s` seconds."""
        base = hour_of(request.earliest)
        earliest_s = _seconds(request.earliest - base)
        deadline_s = None if request.deadline is None else _seconds(request.deadline - base)
        end_s = earliest_s + longest_s
        if deadline_s is not None:
            end_s = max(end_s, min(deadline_s, end_s + LIMIT_S))
        hours = -(-end_s // HOUR_S)
        rows: dict[str, int] = {}
        series: list[NDArray[np.float64]] = []
        bases: list[Basis] = []
        unknown: dict[str, str] = {}
        for zone in sorted(set(zones)):
            try:
                intensity = signal.intensity(zone, base, hours)
            except NoIntensity as error:
                unknown[zone] = error.what
                continue
            if intensity.step_s != HOUR_S:
                raise HarchosError(f"signal {signal.name}: zone {zone} is not hourly")
            rows[zone] = len(series)
            series.append(intensity.gco2_per_kwh)
            bases.append(intensity.basis)
        check_same_factors(bases)
        matrix = np.array(series) if series else np.zeros((0, hours))
        horizon = cls(base, earliest_s, deadline_s, hours, rows, matrix, tuple(bases), unknown)
        if not isinstance(signal, Forecasting) or not rows:
            return horizon
        return horizon._judged(signal, {longest_s, *request.durations_s()})

    def _judged(self, forecast: Forecasting, durations_s: set[int]) -> Horizon:
        """Return the horizon with its forecast as far as it is trusted; as it is where nothing can wait."""
        waiting = [length for length in durations_s if self.latest_s(length) > self.earliest_s]
        if not waiting:
            return self
        wish = Wish(self.base, self.earliest_s, self.latest_s(max(waiting)), max(waiting))
        verdicts = [judge(forecast, zone, wish) for zone in self.rows]
        intensity, bases = trusted(self.intensity, list(self.bases), verdicts, wish)
        return replace(self, intensity=intensity, bases=tuple(bases), verdicts=tuple(verdicts))

    def latest_s(self, duration_s: int) -> int:
        """Return the latest start that is looked at; before `earliest_s` where the deadline is too near."""
        if self.deadline_s is None:
            return self.earliest_s
        return min(self.deadline_s - duration_s, self.earliest_s + LIMIT_S)

    def moment(self, offset_s: int) -> datetime:
        """Return the time `offset_s` seconds from the beginning."""
        return self.base + timedelta(seconds=offset_s)

    def mean(self, zone: str) -> float:
        """Return a zone's mean intensity over all hours, g/kWh."""
        return float(self.intensity[self.rows[zone]].mean())

    def slice(self, zone: str, start_s: int, end_s: int) -> tuple[float, ...]:
        """Return the hourly values of the hours that [start_s, end_s) touches."""
        row = self.intensity[self.rows[zone]]
        return tuple(row[start_s // HOUR_S : -(-end_s // HOUR_S)].tolist())


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
