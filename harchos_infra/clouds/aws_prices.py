"""What AWS offers and what it costs today: offerings by zone, on-demand list prices, spot prices."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harchos_infra.catalog.live import LiveOffer
from harchos_infra.clouds.aws_session import AwsSession

PRICING_REGION = "us-east-1"
"""The price list is served there for every region."""
_GPU_TYPE = re.compile(r"(g|gr|p)\d")
_HOURS_PER_MONTH = 730.0
"""As AWS's own calculator counts them."""
_LINUX = "Linux/UNIX"


def live_offers(session: AwsSession, region: str) -> list[LiveOffer]:
    """Return the GPU machines offered in a region: on-demand at list price, spot at the cheapest zone's."""
    now = datetime.now(UTC)
    zones = offered_zones(session, region)
    prices = _on_demand(session, region)
    spot = _spot(session, region, sorted(zones), now)
    found = [
        LiveOffer(region, name, "on-demand", prices.get(name), where, now, "pricing:GetProducts")
        for name, where in zones.items()
    ]
    for name, by_zone in spot.items():
        cheapest = min(by_zone.values())
        where = tuple(sorted(by_zone))
        found.append(LiveOffer(region, name, "spot", cheapest, where, now, "ec2:DescribeSpotPriceHistory"))
    return sorted(found, key=lambda offer: (offer.instance_type, offer.market))


def offered_zones(session: AwsSession, region: str) -> dict[str, tuple[str, ...]]:
    """Return the availability zones of each GPU instance type that the region offers."""
    zones: dict[str, set[str]] = defaultdict(set)
    for item in session.items(
        "ec2",
        region,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["g*", "p*"]}],
    ):
        if _GPU_TYPE.match(item["InstanceType"]):
            zones[item["InstanceType"]].add(item["Location"])
    return {name: tuple(sorted(where)) for name, where in sorted(zones.items())}


def volume_usd_hour(session: AwsSession, region: str, volume_type: str, gib: float) -> float | None:
    """Return the list price of a volume's storage; None where the price list has none."""
    products = _products(session, regionCode=region, productFamily="Storage", volumeApiName=volume_type)
    prices = [price for product in products for price in _usd(product, "GB-Mo")]
    return min(prices) * gib / _HOURS_PER_MONTH if prices else None


def _on_demand(session: AwsSession, region: str) -> dict[str, float]:
    prices: dict[str, float] = {}
    for product in _products(
        session,
        regionCode=region,
        instanceFamily="GPU instance",
        operatingSystem="Linux",
        preInstalledSw="NA",
        tenancy="Shared",
        capacitystatus="Used",
        marketoption="OnDemand",
    ):
        for price in _usd(product, "Hrs"):
            prices[product["product"]["attributes"]["instanceType"]] = price
    return prices


def _spot(session: AwsSession, region: str, names: list[str], now: datetime) -> dict[str, dict[str, float]]:
    """Return the price in force by instance type and zone."""
    newest: dict[tuple[str, str], tuple[datetime, float]] = {}
    if not names:
        return {}
    for item in session.items(
        "ec2",
        region,
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=names,
        ProductDescriptions=[_LINUX],
        StartTime=now,
    ):
        key = item["InstanceType"], item["AvailabilityZone"]
        said = item["Timestamp"], float(item["SpotPrice"])
        newest[key] = max(newest.get(key, said), said)
    prices: dict[str, dict[str, float]] = defaultdict(dict)
    for (name, zone), (_, price) in newest.items():
        prices[name][zone] = price
    return prices


def _products(session: AwsSession, **attributes: str) -> Iterator[Mapping[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in attributes.items()]
    for text in session.items(
        "pricing", PRICING_REGION, "get_products", "PriceList", ServiceCode="AmazonEC2", Filters=filters
    ):
        yield json.loads(text)


def _usd(product: Mapping[str, Any], unit: str) -> Iterator[float]:
    """Yield the on-demand prices of a product that are above nothing: free tiers are no price."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            price = float(dimension["pricePerUnit"].get("USD", 0.0))
            if dimension["unit"] == unit and price > 0.0:
                yield price
