"""A figure that is only known within bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def is_point(self) -> bool:
        """Whether the bounds agree."""
        return self.low == self.high

    def plus(self, amount: float) -> Interval:
        """Return the interval shifted by `amount`."""
        return Interval(self.low + amount, self.high + amount)

    def minus(self, other: Interval) -> Interval:
        """Return this minus `other` where one unknown factor sets the place within both.

        Low meets low and high meets high, since both transfers use the same energy per gigabyte.
        """
        ends = (self.low - other.low, self.high - other.high)
        return Interval(min(ends), max(ends))
