"""Figures in words."""

from __future__ import annotations

from math import ceil, floor, log10


def duration(seconds: float) -> str:
    """Return a time span to the minute: `3 h`, `2 h 30 min`, `45 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(ceil(seconds / 60), 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join(parts)


def at_least(value: float) -> str:
    """Return a number of three significant digits that is not less than `value`."""
    if value <= 0:
        return "0"
    unit = 10.0 ** (floor(log10(value)) - 2)
    return f"{ceil(value / unit - 1e-9) * unit:.6g}"
