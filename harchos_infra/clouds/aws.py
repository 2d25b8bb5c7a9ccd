"""AWS as a cloud: its account, its regions, what is ours there, what it offers and what it allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.clouds.aws_checks import check
from harchos_infra.clouds.aws_listing import list_resources
from harchos_infra.clouds.aws_prices import live_offers
from harchos_infra.clouds.aws_quotas import gpu_quotas
from harchos_infra.clouds.aws_removal import Patience, Removal
from harchos_infra.clouds.aws_session import AwsSession
from harchos_infra.clouds.cloud import Finding, Resource


class AwsCloud:
    """Speaks to AWS with the credentials of the environment; `AWS_ENDPOINT_URL` leads elsewhere."""

    name = "aws"

    def __init__(self, *, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()

    @cached_property
    def _session(self) -> AwsSession:
        return AwsSession()

    def identity(self) -> str:
        """Return the account's number and the ARN of the user or role (`sts:GetCallerIdentity`)."""
        answer = self._session.call("sts", self._session.home_region, "get_caller_identity")
        return f"{answer['Account']} {answer['Arn']}"

    def regions(self) -> Sequence[str]:
        """Return the regions that are enabled for the account; one that is not opted into is none."""
        answer = self._session.call("ec2", self._session.home_region, "describe_regions", AllRegions=True)
        return sorted(
            region["RegionName"]
            for region in answer["Regions"]
            if region.get("OptInStatus", "opt-in-not-required") != "not-opted-in"
        )

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        """Return what carries our tags in every enabled region and in IAM, in the order of deletion.

        A machine's price is the catalogue's. Raises HarchosError where any region refuses.
        """
        return list_resources(self._session, self.regions(), run=run, hub=hub)

    def delete(self, resource: Resource) -> None:
        """Delete one resource; of an instance, wait until it is terminated."""
        Removal(self._session, self._patience).delete(resource)

    def offers(self, region: str) -> Sequence[LiveOffer]:
        """Return the GPU machines of a region with today's prices."""
        return live_offers(self._session, region)

    def quotas(self, region: str) -> Sequence[Quota]:
        """Return the quotas that limit GPU hubs in a region, with what is used."""
        return gpu_quotas(self._session, region)

    def check(self) -> Sequence[Finding]:
        """Return what hubs on AWS need, and whether it is there."""
        return check(self._session, self.identity, self.regions)
