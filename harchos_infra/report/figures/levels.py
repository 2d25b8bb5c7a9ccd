"""Intensities as levels of colour.

The bounds of the levels have cube roots that are equally far apart: a compromise of equal differences, which
would hide the hours of clean zones, and equal ratios, which would hide how dirty the others are. Where
figures lie close together there are fewer levels, not smaller ones.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import floor, log

from harchos_infra.report.figures.colours import ramp

COLOURS = ramp(10)
LEAST_RATIO = 1.05
"""Two levels differ by this factor at least."""


@dataclass(frozen=True, slots=True)
class Levels:
    """`bounds` are where one level ends and the next begins, in g/kWh. Few levels take the middle colours."""

    bounds: tuple[float, ...]

    @classmethod
    def between(cls, low: float, high: float) -> Levels:
        """Return levels that cover `low` to `high`; a single one where they are about equal."""
        if high <= low:
            return cls(())
        most = floor(log(high / low) / log(LEAST_RATIO)) if low > 0 else len(COLOURS)
        count = min(len(COLOURS), most)
        first, last = low ** (1 / 3), high ** (1 / 3)
        rough = ((first + (last - first) * n / count) ** 3 for n in range(1, count))
        return cls(tuple(sorted({float(f"{bound:.{2 if bound < 100 else 3}g}") for bound in rough})))

    @property
    def colours(self) -> tuple[str, ...]:
        """One colour a level, the cleanest first."""
        return COLOURS[self._first : self._first + len(self.bounds) + 1]

    def of(self, value: float) -> int:
        """Return the place of a value's colour in COLOURS."""
        return self._first + bisect_right(self.bounds, value)

    @property
    def _first(self) -> int:
        return (len(COLOURS) - len(self.bounds) - 1) // 2
