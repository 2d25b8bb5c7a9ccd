"""An offer: an instance type in a region on a market, with its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Market = Literal["on-demand", "spot"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one node of an instance type has and costs. One offer a market: on-demand and spot are two."""

    provider: str
    region: str
    instance_type: str
    market: Market
    gpu_model: str | None
    gpu_count: float
    """A fraction where the cloud sells a slice of a GPU."""
    gpu_memory_gib: float | None
    """Per GPU, as marketed."""
    vcpus: float | None
    memory_gib: float | None
    price_usd_hour: float
    price_as_of: str
    """Day of the price list, `YYYY-MM-DD`."""
    price_source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Provider, region, instance type, market: offers are told apart and ordered by it."""
        return self.provider, self.region, self.instance_type, self.market
