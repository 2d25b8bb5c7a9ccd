"""What every figure is: a drawing, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass

from harchos_infra.report.markup import Markup


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its caption and the same data as a table."""

    drawing: Markup
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    """Indices of the table's right-aligned columns."""
