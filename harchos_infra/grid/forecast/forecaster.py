"""What a forecaster is, and which of them have a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harchos_infra.errors import HarchosError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

NAMES = ("blend", "ridge", "persistence", "seasonal-naive")


class Forecaster(Protocol):
    """Forecasts hours from the hours before them: a pure function, alike for every zone and unit.

    A row is one zone at one time of issue; rows do not touch each other.
    """

    @property
    def name(self) -> str:
        """Short name shown with every figure: `blend`."""
        ...

    @property
    def history_h(self) -> int:
        """Hours of history that a forecast reads, a whole number of weeks."""
        ...

    def forecast(self, history: Floats, first_hour: Ints, hours: int) -> Floats:
        """Return `hours` hourly values from `first_hour` on, of shape (rows, hours), none negative.

        `history` has shape (rows, history_h) and ends with the hour before `first_hour` (rows,), which counts
        from 1970. Raises ValueError where an hour is missing (NaN) or the shape is another.
        """
        ...


def forecaster(name: str) -> Forecaster:
    """Return the forecaster of that name; raise HarchosError for any other."""
    from harchos_infra.grid.forecast.blend import Blend
    from harchos_infra.grid.forecast.naive import Persistence, SeasonalNaive
    from harchos_infra.grid.forecast.ridge import Ridge

    every: tuple[Forecaster, ...] = (Blend(), Ridge(), Persistence(), SeasonalNaive())
    known = {one.name: one for one in every}
    if name not in known:
        raise HarchosError(f"unknown forecast {name!r}", hint=f"one of {', '.join(known)}")
    return known[name]


def check_history(history: Floats, history_h: int) -> None:
    """Raise ValueError unless `history` has `history_h` columns and no missing hour."""
    import numpy as np

    if history.ndim != 2 or history.shape[1] != history_h:
        raise ValueError(f"history of shape {history.shape} where (rows, {history_h}) is needed")
    if not np.isfinite(history).all():
        raise ValueError("an hour of the history is missing")
