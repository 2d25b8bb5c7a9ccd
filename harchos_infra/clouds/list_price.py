"""What an hour of a machine costs by the built-in price list: shown beside what is still running."""

from __future__ import annotations

from functools import cache

from harchos_infra.catalog.offer import Market


def list_price_usd_hour(provider: str, region: str, instance_type: str, market: Market) -> float | None:
    """Return USD per hour of one node; None: the price list does not have it."""
    return _prices().get((provider, region, instance_type, market))


@cache
def _prices() -> dict[tuple[str, str, str, str], float]:
    from harchos_infra.catalog.catalog import Catalog

    return {offer.key: offer.price_usd_hour for offer in Catalog.builtin().offers}
