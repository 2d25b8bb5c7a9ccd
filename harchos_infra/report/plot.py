"""Small SVG plots: scales, ticks and a canvas with axes. Colours are classes that the page themes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil, floor, log10
from typing import Literal

from harchos_infra.report.markup import Markup, tag

Anchor = Literal["start", "middle", "end"]

STEPS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
)  # fmt: skip
"""Distances between time ticks that a reader counts in."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a value linearly onto pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px)


@dataclass(frozen=True, slots=True)
class LogScale:
    """Maps the logarithm of a positive value linearly onto pixels."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        part = log10(value / self.low) / log10(self.high / self.low)
        return self.start_px + part * (self.end_px - self.start_px)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return round values that cover `low` to `high` in about `count` steps of 1, 2, 2.5 or 5 x 10^n."""
    if high <= low:
        low, high = (0.5 * low, 1.5 * low) if low > 0 else (low, low + 1.0)
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= rough * 0.999999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Return values of 1, 2, 5 x 10^n that cover positive `low` to `high`; between the ends 10^n if many."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max(index for index, value in enumerate(values) if value <= low * (1 + 1e-9))
    last = min(index for index, value in enumerate(values) if value >= high * (1 - 1e-9))
    last = max(last, first + 1)
    step = 1 if last - first <= 1.5 * count else 3
    inner = [index for index in range(first + 1, last) if index % step == 0]
    return [values[index] for index in (first, *inner, last)]


def time_ticks(start: datetime, end: datetime, count: int) -> list[tuple[datetime, str]]:
    """Return at most `count` round UTC times from `start` to `end` with labels; midnight carries the date."""
    span = (end - start).total_seconds()
    step = next((s for s in STEPS_S if span / s <= count), STEPS_S[-1] * ceil(span / STEPS_S[-1] / count))
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    n = ceil((start - midnight).total_seconds() / step)
    found = []
    while (at := midnight + timedelta(seconds=n * step)) <= end:
        form = "%-d %b" if at.hour == at.minute == at.second == 0 else "%H:%M:%S" if step < 60 else "%H:%M"
        found.append((at, at.strftime(form)))
        n += 1
    return found


@dataclass(slots=True)
class Canvas:
    """An SVG of a fixed size with a plot area inside margins; the y scale grows upwards."""

    width: float
    height: float
    left: float = 52
    right: float = 16
    top: float = 14
    bottom: float = 40
    parts: list[Markup] = field(default_factory=list)

    @property
    def x_end(self) -> float:
        """Right edge of the plot area."""
        return self.width - self.right

    @property
    def y_end(self) -> float:
        """Lower edge of the plot area."""
        return self.height - self.bottom

    def add(self, name: str, *children: str, **attributes: object) -> None:
        """Add an element."""
        self.parts.append(tag(name, *children, **attributes))

    def text(self, x: float, y: float, words: str, anchor: Anchor = "start", class_: str = "tick") -> None:
        """Add words at a point."""
        self.add("text", words, x=x, y=y, text_anchor=anchor, class_=class_)

    def names(self, points: list[tuple[float, float, str, str]]) -> None:
        """Name points `(x, y, name, class)` on their right, or left where there is no room.

        A lower name makes way for a higher one.
        """
        free = {"start": 0.0, "end": 0.0}
        for x, y, name, class_ in sorted(points, key=lambda point: point[1]):
            side: Anchor = "end" if x > self.x_end - 8 * len(name) else "start"
            height = max(y, free[side])
            self.text(x - 10 if side == "end" else x + 10, height, name, side, f"label {class_}")
            free[side] = height + 15

    def y_axis(
        self, low: float, high: float, unit: str, *, count: int = 4, log: bool = False
    ) -> Scale | LogScale:
        """Draw horizontal grid lines with values and the unit on top; returns the scale."""
        values = log_ticks(low, high, count) if log else ticks(low, high, count)
        kind = LogScale if log else Scale
        scale = kind(values[0], values[-1], self.y_end, self.top + 14)
        for value in values:
            y = scale(value)
            edge = "axis" if value == values[0] else "grid"
            self.add("line", x1=self.left, x2=self.x_end, y1=y, y2=y, class_=edge)
            self.text(self.left - 8, y + 4, f"{value:,.10g}", "end")
        self.text(0, self.top, unit, class_="unit")
        return scale

    def x_axis(
        self, low: float, high: float, unit: str, *, count: int = 5, log: bool = False
    ) -> Scale | LogScale:
        """Draw values below the plot area and the unit under them; returns the scale."""
        values = log_ticks(low, high, count) if log else ticks(low, high, count)
        kind = LogScale if log else Scale
        scale = kind(values[0], values[-1], self.left, self.x_end)
        for value in values:
            self._tick(scale(value), f"{value:,.10g}")
        self.text(self.x_end, self.height - 4, unit, "end", "unit")
        return scale

    def time_axis(self, start: datetime, end: datetime, unit: str) -> Scale:
        """Draw UTC times below the plot area; the scale takes Unix seconds."""
        scale = Scale(start.timestamp(), end.timestamp(), self.left, self.x_end)
        for at, label in time_ticks(start, end, max(3, int((self.x_end - self.left) / 76))):
            self._tick(scale(at.timestamp()), label)
        self.text(self.x_end, self.height - 4, unit, "end", "unit")
        return scale

    def _tick(self, x: float, label: str) -> None:
        self.add("line", x1=x, x2=x, y1=self.y_end, y2=self.y_end + 5, class_="axis")
        self.text(x, self.y_end + 18, label, "middle")

    def render(self, title: str, description: str, key: str) -> Markup:
        """Return the SVG; `key` makes its ids unique on the page."""
        return tag(
            "svg",
            tag("title", title, id=f"{key}-t"),
            tag("desc", description, id=f"{key}-d"),
            *self.parts,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_labelledby=f"{key}-t {key}-d",
            class_="plot",
        )


def step_path(points: Sequence[tuple[float, float, float]], *, base: float | None = None) -> str:
    """Return the path of steps `(x0, x1, y)`; a step that does not start where the last ended begins anew.

    With `base` the path encloses the area between the steps and that height.
    """
    path, reached = "", None
    for x0, x1, y in points:
        if reached is not None and abs(x0 - reached) < 0.01:
            path += f"V{y:.1f}H{x1:.1f}"
        else:
            close = f"V{base:.1f}Z" if path and base is not None else ""
            start = f"M{x0:.1f} {y:.1f}" if base is None else f"M{x0:.1f} {base:.1f}V{y:.1f}"
            path += f"{close}{start}H{x1:.1f}"
        reached = x1
    return f"{path}V{base:.1f}Z" if path and base is not None else path
