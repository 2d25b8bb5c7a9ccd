"""Grams of CO2 equivalent by where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from harchos_infra.report.interval import Interval


@dataclass(frozen=True, slots=True)
class Carbon:
    """Location-based gCO2e of a schedule or of a run.

    `operational` is None where no energy was metered. `embodied` holds what is published;
    `embodied_unpublished` names the instance types for which nobody has published a figure.
    """

    operational: float | None
    embodied: float | None
    embodied_unpublished: tuple[str, ...]
    transfer: Interval

    def total(self, *, embodied: bool = True) -> Interval | None:
        """Return the sum of all parts (optionally without embodied), None without operational."""
        if self.operational is None:
            return None
        return self.transfer.plus(self.operational + ((self.embodied or 0.0) if embodied else 0.0))


@dataclass(frozen=True, slots=True)
class Cost:
    """USD of a schedule or of a run: price of the nodes, and of data leaving a region."""

    compute: float
    transfer: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.compute + self.transfer
