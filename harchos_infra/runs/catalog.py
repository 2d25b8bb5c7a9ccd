"""The catalogue as this home has it, and the one that a workload is planned with on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.catalog import Catalog
from harchos_infra.catalog.availability import Availability
from harchos_infra.catalog.refreshed import read_refreshed
from harchos_infra.errors import HarchosError
from harchos_infra.settings import Settings, home

if TYPE_CHECKING:
    from harchos_infra.workload.document import Workload


def refreshed_folder() -> Path:
    """Return where `harchos catalog refresh` leaves what clouds said."""
    return home() / "catalog"


def current_catalog() -> Catalog:
    """Return the built-in catalogue, at the prices and within the quotas that clouds said, if asked.

    HarchosError where what they said cannot be read.
    """
    said = read_refreshed(refreshed_folder())
    return Catalog.builtin().with_availability(Availability(said)) if said else Catalog.builtin()


def catalog_for(workload: Workload) -> Catalog:
    """Return the current catalogue, with this machine if the workload may run on it."""
    catalog = current_catalog()
    if "local" not in workload.spec.placement.providers:
        return catalog
    from harchos_infra.catalog.machine import add_this_machine

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
