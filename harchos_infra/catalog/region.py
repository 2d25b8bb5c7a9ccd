"""A cloud region: where it is, which grid feeds it, how much its buildings draw on top of the machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """One region of one provider. Coordinates in degrees, approximate: a city, never a building."""

    provider: str
    name: str
    display_name: str
    country: str
    """ISO 3166-1 alpha-2."""
    latitude: float
    longitude: float
    zone: str | None
    """Grid zone; None where nobody has named one, so that no intensity can be given."""
    pue: float
    """Power usage effectiveness: energy of the building over energy of the machines."""
    pue_basis: str
    zone_source: str = ""

    @property
    def id(self) -> str:
        """`provider/name`, unique over all providers."""
        return f"{self.provider}/{self.name}"
