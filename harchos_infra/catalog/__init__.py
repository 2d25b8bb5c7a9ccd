"""What can be rented where, for how much, drawing how many watts."""

from harchos_infra.catalog.catalog import Catalog
from harchos_infra.catalog.offer import Offer
from harchos_infra.catalog.power import Estimate, GpuWatts, HostWatts, PowerModel
from harchos_infra.catalog.region import Region

__all__ = ["Catalog", "Estimate", "GpuWatts", "HostWatts", "Offer", "PowerModel", "Region"]
