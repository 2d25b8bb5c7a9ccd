"""The catalogue that a workload is planned with on this machine."""

from __future__ import annotations

from harchos_infra.catalog import Catalog
from harchos_infra.errors import HarchosError
from harchos_infra.workload.document import Workload


def catalog_for(workload: Workload) -> Catalog:
    """Return the built-in catalogue, with this machine if the workload may run on it."""
    catalog = Catalog.builtin()
    if "local" not in workload.spec.placement.providers:
        return catalog
    from harchos_infra.catalog.machine import add_this_machine
    from harchos_infra.settings import Settings

    settings = Settings.load()
    if settings.local_zone is None:
        raise HarchosError(
            "this machine's grid zone is not known: local.zone is not set",
            hint="harchos config set local.zone DE (`harchos carbon ZONE` shows whether a zone is known)",
        )
    return add_this_machine(
        catalog,
        zone=settings.local_zone,
        pue=settings.local_pue,
        price_usd_hour=settings.local_price_usd_hour,
    )
