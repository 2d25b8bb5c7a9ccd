"""Asks a cloud in many regions at once what it offers, at which price, and how much of it may be rented."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.catalog.refreshed import Refreshed
from harchos_infra.clouds.cloud import RentedCloud
from harchos_infra.errors import HarchosError

_IN_PARALLEL = 8
_Said = tuple[list[LiveOffer], list[Quota]]


def refresh(adapter: RentedCloud, known: Collection[str]) -> tuple[Refreshed, dict[str, HarchosError]]:
    """Ask in every region that the account may use and the catalogue knows (`known`).

    Returns what was said, and the error of each region that refused: of those nothing is known then.
    """
    at = datetime.now(UTC)
    regions = sorted(set(adapter.regions()) & set(known))
    account = adapter.identity()
    with ThreadPoolExecutor(_IN_PARALLEL) as pool:
        answers = dict(zip(regions, pool.map(lambda region: _ask(adapter, region), regions), strict=True))
    refused = {region: said for region, said in answers.items() if isinstance(said, HarchosError)}
    told = {region: said for region, said in answers.items() if not isinstance(said, HarchosError)}
    offers = tuple(offer for said in told.values() for offer in said[0])
    quotas = tuple(quota for said in told.values() for quota in said[1])
    return Refreshed(adapter.name, account, at, tuple(told), offers, quotas), refused


def _ask(adapter: RentedCloud, region: str) -> _Said | HarchosError:
    try:
        return list(adapter.offers(region)), list(adapter.quotas(region))
    except HarchosError as error:
        return error
