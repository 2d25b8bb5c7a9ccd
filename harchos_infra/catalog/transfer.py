"""Moving data between regions: what it costs, what it draws and how long it takes."""

from __future__ import annotations

from functools import cache

from harchos_infra.catalog.region import Region
from harchos_infra.catalog.table import read_matrix

GB_PER_GIB = 1024**3 / 1e9
"""Traffic is priced and metered in GB, data is measured in GiB."""
ENERGY_KWH_PER_GB = (0.001, 0.06)
"""From traffic between data centres (Cloud Carbon Footprint) to the whole internet (Aslan et al. 2017)."""


def egress_usd_per_gb(source: Region, target: Region) -> float | None:
    """Return the list price of a GB from `source` to `target`; None where no price is known.

    Nothing within a region and out of one's own machine; else the listed price of the pair; else the source's
    list price to the internet, which is what a pair without a price of its own pays.
    """
    if source.id == target.id or source.provider == "local":
        return 0.0
    prices = _prices()
    listed = prices.get((source.id, target.id))
    return prices.get((source.id, "internet")) if listed is None else listed


def throughput_gbps(source: Region, target: Region) -> float | None:
    """Return the measured Gbit/s from one VM to another; None where nobody measured that pair."""
    return _throughput().get((source.id, target.id))


@cache
def _throughput() -> dict[tuple[str, str], float]:
    return read_matrix("throughput.csv")


@cache
def _prices() -> dict[tuple[str, str], float]:
    return read_matrix("egress.csv")
