"""Azure as a cloud: hubs are virtual machines and what belongs to them, in one subscription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.clouds.azure_session import SUBSCRIPTIONS, AzureSession, is_physical
from harchos_infra.clouds.cloud import Finding, Resource

if TYPE_CHECKING:
    from harchos_infra.clouds.azure_prices import Size


class AzureCloud:
    """One subscription of Azure, by azure-mgmt-compute, -network, -resource and, beside them, plain REST.

    The subscription is that of the setting `azure.subscription`, else AZURE_SUBSCRIPTION_ID; the credential
    is azure-identity's DefaultAzureCredential.
    """

    name = "azure"

    def __init__(self, subscription: str | None = None) -> None:
        self._session = AzureSession(subscription)
        self._gpu_sizes: dict[str, Sequence[Size]] = {}

    def identity(self) -> str:
        """Return `SUBSCRIPTION tenant TENANT`."""
        subscription = self._session.get(f"/subscriptions/{self._session.subscription}", SUBSCRIPTIONS)
        return f"{self._session.subscription} tenant {subscription['tenantId']}"

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        """Return what carries our marks in every region, in the order in which to delete it."""
        from harchos_infra.clouds.azure_resources import list_resources

        return list_resources(self._session, run=run, hub=hub)

    def delete(self, resource: Resource) -> None:
        """Delete one resource and wait until Azure says that it is done."""
        from harchos_infra.clouds.azure_resources import delete_resource

        delete_resource(self._session, resource)

    def regions(self) -> Sequence[str]:
        """Return the regions that the subscription may use, by name."""
        path = f"/subscriptions/{self._session.subscription}/locations"
        found = self._session.pages(path, SUBSCRIPTIONS)
        return sorted(region["name"] for region in found if is_physical(region))

    def offers(self, region: str) -> Sequence[LiveOffer]:
        """Return GPU sizes with today's prices."""
        from harchos_infra.clouds.azure_prices import offers

        return offers(self._sizes(region), region)

    def quotas(self, region: str) -> Sequence[Quota]:
        """Return the quotas of a region that limit GPU sizes."""
        from harchos_infra.clouds.azure_quotas import quotas

        return quotas(self._session, self._sizes(region), region)

    def check(self) -> Sequence[Finding]:
        """Return what hubs here need and whether it is there."""
        from harchos_infra.clouds.azure_check import check

        return check(self._session)

    def _sizes(self, region: str) -> Sequence[Size]:
        """Return the GPU sizes of a region, read once: the list is long, and offers and quotas need it."""
        from harchos_infra.clouds.azure_prices import gpu_sizes

        if region not in self._gpu_sizes:
            self._gpu_sizes[region] = gpu_sizes(self._session, region)
        return self._gpu_sizes[region]
