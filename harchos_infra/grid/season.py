"""A historic year's same season, weekday and hour.

An hour of calendar year Y stands for the hour a whole number of weeks away in the reference year, so that
weekday and hour of day agree. The number is one for each Y: the nearest to the distance of the two years.
What then lies up to three days outside the reference year wraps round by 52 weeks.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

YEAR_H = 8760
_WEEK_H = 168
_WRAP_H = 52 * _WEEK_H


def hours_since_epoch(moment: datetime) -> int:
    """Return the number of whole hours from 1970 to an aware time."""
    return int(moment.timestamp() // 3600)


def same_season(start: int, hours: int, reference: int) -> NDArray[np.int64]:
    """Return the places (0 to 8759) in the year from `reference` that stand for `hours` hours from `start`.

    Times are hours since 1970. A reference year need not start in January.
    """
    wanted = np.arange(start, start + hours, dtype=np.int64)
    offset = reference - _new_year(np.array(reference))
    weeks = np.rint((_new_year(wanted - offset) + offset - reference) / _WEEK_H).astype(np.int64)
    place = wanted - weeks * _WEEK_H - reference
    place = np.where(place < 0, place + _WRAP_H, place)
    return np.where(place >= YEAR_H, place - _WRAP_H, place)


def _new_year(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    return hours.astype("M8[h]").astype("M8[Y]").astype("M8[h]").astype(np.int64)
