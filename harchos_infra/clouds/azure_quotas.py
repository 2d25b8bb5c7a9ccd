"""How many GPU machines an Azure subscription may rent in a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harchos_infra.catalog.live import Quota, QuotaUnit
from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.azure_prices import Size
from harchos_infra.clouds.azure_session import AzureSession

_SPOT = "lowPriorityCores"
_ALL = "cores"
_NETWORK_UNITS: Mapping[str, QuotaUnit] = {
    "VirtualNetworks": "hub",
    "PublicIPAddresses": "instance",
    "StandardSkuPublicIpAddresses": "instance",
}
"""What of a region's network quotas a hub takes: one of its own, or one for each machine."""


def quotas(session: AzureSession, sizes: Sequence[Size], region: str) -> list[Quota]:
    """Return what limits GPU machines in a region.

    Of compute: vCPUs of each family, of all, and on the spot market. Azure counts vCPUs, not GPUs; spot
    machines of all families share one quota. Of the network: what each hub or machine takes one of.
    """
    names = tuple(size.name for size in sizes)
    if not names:
        return []
    compute = session.all(lambda: session.compute.usage.list(region))
    network = session.all(lambda: session.network.usages.list(region))
    found = []
    for usage in compute:
        code = usage.name.value
        covers = names if code in (_ALL, _SPOT) else _of_family(sizes, code)
        if covers:
            found.append(_quota(usage, region, covers, "spot" if code == _SPOT else "on-demand", "vcpu"))
    for usage in network:
        if unit := _NETWORK_UNITS.get(usage.name.value):
            found.append(_quota(usage, region, names, None, unit))
    return found


def _quota(usage: Any, region: str, covers: tuple[str, ...], market: Market | None, unit: QuotaUnit) -> Quota:
    return Quota(
        region=region,
        name=usage.name.localized_value or usage.name.value,
        code=usage.name.value,
        covers=covers,
        market=market,
        unit=unit,
        limit=usage.limit,
        used=usage.current_value,
    )


def _of_family(sizes: Sequence[Size], code: str) -> tuple[str, ...]:
    return tuple(size.name for size in sizes if size.family.lower() == code.lower())
