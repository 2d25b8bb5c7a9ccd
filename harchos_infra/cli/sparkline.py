"""A row of block characters that draws a series in a table cell."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """Return one block a value, between `low` and `high` or the values' own; a flat series stays low."""
    if not values:
        return ""
    least = min(values) if low is None else low
    span = (max(values) if high is None else high) - least
    if span <= 0:
        return _BLOCKS[0] * len(values)
    return "".join(
        _BLOCKS[min(max(int((value - least) / span * len(_BLOCKS)), 0), len(_BLOCKS) - 1)] for value in values
    )
