"""What a cloud says just now: what it offers, at which price, and how much of it an account may rent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from harchos_infra.catalog.offer import Market, Offer


@dataclass(frozen=True, slots=True)
class LiveOffer:
    """What a cloud said just now of an instance type in a region on a market."""

    region: str
    instance_type: str
    market: Market
    price_usd_hour: float | None
    """Of one node; on the spot market that of the cheapest zone. None: offered, but no price is told."""
    availability_zones: tuple[str, ...]
    """Zones in which it is offered; empty where the cloud names none."""
    as_of: datetime
    """When the cloud was asked."""
    source: str
    """The interface that told the price: `ec2:DescribeSpotPriceHistory`."""


QuotaUnit = Literal["vcpu", "gpu", "instance", "hub"]
"""What a quota counts; of `hub` one hub takes one, however many nodes it has (a network)."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of something an account may rent in a region, and how much of it is taken."""

    region: str
    name: str
    """As the cloud's console shows it."""
    code: str
    """What a request to raise it names: `L-417A185B`, `NVIDIA_A100_GPUS`."""
    covers: tuple[str, ...]
    """Beginnings of the names of the instance types that it limits: `p4d.`, `a2-highgpu-`."""
    market: Market | None
    """None: both markets count."""
    unit: QuotaUnit
    limit: float
    used: float | None
    """None: the cloud does not say."""
    everywhere: bool = False
    """Whether it is one quota of all regions together, told in each."""

    def limits(self, offer: Offer) -> bool:
        """Tell whether machines of an offer in its region count towards this quota."""
        return (
            offer.region == self.region
            and self.market in (None, offer.market)
            and offer.instance_type.startswith(self.covers)
        )

    def need(self, offer: Offer, nodes: int) -> float:
        """Return how much of the quota a hub of that many nodes takes; 0 where the machine is not known."""
        if self.unit == "hub":
            return 1.0
        per_node = {"vcpu": offer.vcpus or 0.0, "gpu": offer.gpu_count, "instance": 1.0}[self.unit]
        return per_node * nodes
