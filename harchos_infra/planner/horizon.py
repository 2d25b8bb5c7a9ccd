"""The hours a plan looks at, and the carbon intensity of each zone in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.issues import Forecasting
from harchos_infra.grid.signal import Basis, NoIntensity, Signal, check_same_factors, hour_of, prefetch
from harchos_infra.planner.gate import Verdict, Wish, judge, trusted
from harchos_infra.planner.request import Request
from harchos_infra.planner.window import HOUR_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_S = 366 * 24 * HOUR_S
"""Starts later than this after the earliest one are not looked at."""
SHOWN_H = 336
"""Hours of the chosen zone that a plan shows."""
STEPS_S = (300, 900, 1800, HOUR_S)
"""Steps of a signal that are read: each divides the next."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Hours from the UTC hour of the earliest start. Offsets `…_s` are seconds from its beginning.

    `rows` maps a zone to its row of `intensity`, of shape (zones, steps of `step_s`) in g/kWh; `unknown` says
    of a zone why there is no figure. The step is the finest that a zone has: values of coarser zones repeat.
    Where they are a forecast that the job may wait on, `verdicts` say of each zone how far it is trusted, and
    `intensity` is what that leaves of it.
    """

    base: datetime
    earliest_s: int
    deadline_s: int | None
    hours: int
    rows: dict[str, int]
    intensity: NDArray[np.float64]
    bases: tuple[Basis, ...]
    unknown: dict[str, str] = field(default_factory=dict)
    step_s: int = HOUR_S
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
        series: list[tuple[NDArray[np.float64], int]] = []
        bases: list[Basis] = []
        unknown: dict[str, str] = {}
        wanted = sorted(set(zones))
        prefetch(signal, wanted, base, hours)
        for zone in wanted:
            try:
                intensity = signal.intensity(zone, base, hours)
            except NoIntensity as error:
                unknown[zone] = error.what
                continue
            if intensity.step_s not in STEPS_S:
                raise HarchosError(
                    f"signal {signal.name}: zone {zone} has a step of {intensity.step_s} s",
                    hint="steps of 5, 15, 30 and 60 minutes are read",
                )
            rows[zone] = len(series)
            series.append((intensity.gco2_per_kwh, intensity.step_s))
            bases.append(intensity.basis)
        check_same_factors(bases)
        step_s = min((step for _, step in series), default=HOUR_S)
        matrix = np.zeros((len(series), hours * HOUR_S // step_s))
        for row, (values, step) in enumerate(series):
            matrix[row] = values if step == step_s else np.repeat(values, step // step_s)
        horizon = cls(base, earliest_s, deadline_s, hours, rows, matrix, tuple(bases), unknown, step_s)
        if not isinstance(signal, Forecasting) or not rows:
            return horizon
        return horizon._judged(signal, {longest_s, *request.durations_s()})

    def _judged(self, forecast: Forecasting, durations_s: set[int]) -> Horizon:
        """Return the horizon with its forecast as far as it is trusted; as it is where nothing can wait.

        Where no duration leaves slack, one on more nodes still may: half of the time there is stands for it.
        """
        time_s = self.latest_s(0) - self.earliest_s
        if time_s < 2:
            return self
        waiting = [length for length in durations_s if length < time_s]
        duration_s = max(waiting, default=time_s // 2)
        wish = Wish(self.base, self.earliest_s, self.latest_s(duration_s), duration_s)
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

    def shown(self, zone: str) -> dict[str, Any]:
        """Return a zone's figures as a plan shows them: SHOWN_H at most."""
        values = self.intensity[self.rows[zone]][: SHOWN_H * HOUR_S // self.step_s]
        step = {} if self.step_s == HOUR_S else {"stepS": self.step_s}
        return {"zone": zone, "start": self.base, **step, "gco2PerKwh": values.tolist()}

    def mean(self, zone: str) -> float:
        """Return a zone's mean intensity over all hours, g/kWh."""
        return float(self.intensity[self.rows[zone]].mean())

    def slice(self, zone: str, start_s: int, end_s: int) -> tuple[float, ...]:
        """Return the values of the steps that [start_s, end_s) touches."""
        row = self.intensity[self.rows[zone]]
        return tuple(row[start_s // self.step_s : -(-end_s // self.step_s)].tolist())


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
