"""Time cut into slots, for schedules of several segments: work begins on marks that divide the UTC day.

The slot is the longest of 60, 30, 15 and 5 minutes that is no longer than the signal's step and of which the
run time leaves at most 1 % of itself unused in the last one, which ends when the work does. Where that gives
too many states, slots of several hours are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.horizon import STEPS_S, Horizon
from harchos_infra.planner.window import HOUR_S, integrals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WASTE = 0.01
_STATES = 500_000
_COARSE_S = tuple(hours * HOUR_S for hours in (2, 3, 4, 6, 8, 12, 24))


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` slots of `step_s` from `first_s` on; a run takes `work` of them, of the last a share."""

    horizon: Horizon
    step_s: int
    first_s: int
    count: int
    work: int
    last_share: float

    @classmethod
    def of(cls, horizon: Horizon, duration_s: int) -> Slots:
        """Cut the time up to the deadline for a run of `duration_s`."""
        assert horizon.deadline_s is not None
        end_s = min(horizon.deadline_s, horizon.latest_s(duration_s) + duration_s)
        step_s = _step_s(horizon, duration_s, end_s - horizon.earliest_s)
        offset_s = horizon.base.hour * HOUR_S % step_s
        first_s = -(-(horizon.earliest_s + offset_s) // step_s) * step_s - offset_s
        work = -(-duration_s // step_s)
        return cls(
            horizon=horizon,
            step_s=step_s,
            first_s=first_s,
            count=max((end_s - first_s) // step_s, 0),
            work=work,
            last_share=(duration_s - (work - 1) * step_s) / step_s,
        )

    @property
    def hours(self) -> float:
        """Length of a slot."""
        return self.step_s / HOUR_S

    def start_s(self, slot: int) -> int:
        """Return the beginning of a slot, the end of the one before."""
        return self.first_s + slot * self.step_s

    def running(self, rows: Ints) -> Floats:
        """Return the grams of each slot for each kW, by zone and slot: (g/kWh) x h."""
        return self._grams(rows, 0, self.step_s)

    def saving(self, rows: Ints, save_s: int) -> Floats:
        """Return the grams for each kW of `save_s` after each slot."""
        return self._grams(rows, self.step_s, self.step_s + save_s)

    def restarting(self, rows: Ints, restart_s: int) -> Floats:
        """Return the grams for each kW of `restart_s` before each slot."""
        return self._grams(rows, -restart_s, 0)

    def _grams(self, rows: Ints, from_s: int, to_s: int) -> Floats:
        marks, end_s = self.first_s + self.step_s * np.arange(self.count), self.horizon.hours * HOUR_S
        starts, ends = (np.tile(np.clip(marks + s, 0, end_s), len(rows)) for s in (from_s, to_s))
        each = np.repeat(rows, self.count)
        grams = integrals(self.horizon.intensity, each, starts, ends, self.horizon.step_s)
        return grams.reshape(len(rows), self.count)

    def gap(self, pause_s: int) -> int:
        """Return how many slots a pause of at least `pause_s` takes."""
        return max(-(-pause_s // self.step_s), 1)


def _step_s(horizon: Horizon, duration_s: int, span_s: int) -> int:
    fine = [s for s in reversed(STEPS_S) if s <= horizon.step_s]
    step_s = next((s for s in fine if -duration_s % s <= _WASTE * duration_s), STEPS_S[0])
    steps = [s for s in (*STEPS_S, *_COARSE_S) if s >= step_s]
    return next((s for s in steps if (span_s // s) * -(-duration_s // s) <= _STATES), steps[-1])
