"""How many vCPUs of GPU sizes an Azure subscription may rent in a region."""

from __future__ import annotations

from collections.abc import Sequence

from harchos_infra.clouds.azure_prices import Size, gpu_sizes
from harchos_infra.clouds.azure_session import AzureSession
from harchos_infra.clouds.cloud import Quota

SPOT = "lowPriorityCores"
ALL = "cores"


def quotas(session: AzureSession, region: str) -> list[Quota]:
    """Return what limits GPU machines in a region: vCPUs of each family, of all, and on the spot market.

    Azure counts vCPUs, not GPUs; spot machines of all families share one quota.
    """
    sizes = gpu_sizes(session, region)
    names = tuple(size.name for size in sizes)
    found = []
    for usage in session.all(lambda: session.compute.usage.list(region)):
        code = usage.name.value
        covers = names if code in (ALL, SPOT) else _of_family(sizes, code)
        if covers:
            found.append(
                Quota(
                    region=region,
                    name=usage.name.localized_value,
                    code=code,
                    covers=covers,
                    market="spot" if code == SPOT else "on-demand",
                    unit="vcpu",
                    limit=usage.limit,
                    used=usage.current_value,
                )
            )
    return found


def _of_family(sizes: Sequence[Size], code: str) -> tuple[str, ...]:
    return tuple(size.name for size in sizes if size.family.lower() == code.lower())
