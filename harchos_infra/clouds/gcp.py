"""Google Cloud as a cloud: hubs are instances and what belongs to them, in one project."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.clouds.cloud import Finding, Resource
from harchos_infra.clouds.gcp_session import GcpSession

if TYPE_CHECKING:
    from harchos_infra.clouds.gcp_prices import PartPrices


class GcpCloud:
    """One project of Google Cloud, by google-cloud-compute and, where that has no client, plain REST.

    The project is that of the setting `gcp.project`, else of the Application Default Credentials.
    """

    name = "gcp"

    def __init__(self, project: str | None = None) -> None:
        self._session = GcpSession(project)
        self._price_list: PartPrices | None = None
        self._reading = Lock()

    def identity(self) -> str:
        """Return `PROJECT PRINCIPAL`."""
        return f"{self._session.project} {self._session.principal}"

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        """Return what carries our marks in every region, in the order in which to delete it."""
        from harchos_infra.clouds.gcp_resources import list_resources

        return list_resources(self._session, run=run, hub=hub)

    def delete(self, resource: Resource) -> None:
        """Delete one resource and wait until Google says that it is done."""
        from harchos_infra.clouds.gcp_resources import delete_resource

        delete_resource(self._session, resource)

    def regions(self) -> Sequence[str]:
        """Return the regions that are up, by name."""
        pages = self._session.compute_pages("RegionsClient", "list", {"max_results": 500})
        return sorted(region.name for page in pages for region in page.items if region.status == "UP")

    def offers(self, region: str) -> Sequence[LiveOffer]:
        """Return GPU machine types with today's prices; the price list is read once."""
        from harchos_infra.clouds.gcp_prices import offers

        return offers(self._session, region, self._part_prices())

    def quotas(self, region: str) -> Sequence[Quota]:
        """Return the GPU quotas of a region and of the project."""
        from harchos_infra.clouds.gcp_quotas import quotas

        return quotas(self._session, region)

    def check(self) -> Sequence[Finding]:
        """Return what hubs here need and whether it is there."""
        from harchos_infra.clouds.gcp_check import check

        return check(self._session)

    def _part_prices(self) -> PartPrices:
        """Return the price list; threads that ask for it at once wait for one reading."""
        from harchos_infra.clouds.gcp_prices import part_prices

        with self._reading:
            if self._price_list is None:
                self._price_list = part_prices(self._session)
            return self._price_list
