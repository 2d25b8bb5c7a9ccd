"""A schedule as it lies on a map of zones and hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a schedule is for a while; of no length, it is a point, such as where and when a job arrived."""

    zone: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Route:
    """A schedule on the map. `class_` is `plan`, `baseline` or `sample`, which is not named.

    `words` are its tooltip.
    """

    name: str
    class_: str
    stretches: tuple[Stretch, ...]
    words: str
