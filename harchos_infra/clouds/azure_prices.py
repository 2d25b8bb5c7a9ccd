"""What GPU machines are offered in an Azure region and what they cost today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harchos_infra.catalog.live import LiveOffer
from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.azure_error import AzureError
from harchos_infra.clouds.azure_session import AzureSession, endpoint

SOURCE = "prices.azure.com:retail"
_ANSWER_S = 60.0
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Size:
    """A size with GPUs that the subscription may rent in a region."""

    name: str
    family: str
    """What its quota is called: `standardNCASv3_T4Family`."""
    gpus: float
    spot: bool
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Price:
    usd_hour: float
    since: datetime


def offers(sizes: Sequence[Size], region: str) -> list[LiveOffer]:
    """Return the GPU sizes of a region on each market they are sold on, with today's prices."""
    asked = datetime.now(UTC)
    prices = _prices(region)
    return [
        LiveOffer(
            region=region,
            instance_type=size.name,
            market=market,
            price_usd_hour=price.usd_hour if (price := prices.get((size.name, market))) else None,
            availability_zones=size.zones,
            as_of=asked,
            source=SOURCE,
        )
        for size in sizes
        for market in _markets(size)
    ]


def gpu_sizes(session: AzureSession, region: str) -> list[Size]:
    """Return the sizes with GPUs that the subscription may rent in a region, by name.

    A size that Azure withholds from the subscription in the whole region is not among them; in a zone, the
    zone is left out.
    """
    skus = session.all(lambda: session.compute.resource_skus.list(filter=f"location eq '{region}'"))
    sizes = (_size(sku) for sku in skus if sku.resource_type == "virtualMachines")
    return sorted((size for size in sizes if size is not None), key=lambda size: size.name)


def price_list_answers() -> None:
    """Ask for one price; raises HarchosError where the price list cannot be reached."""
    next(iter(_items("armRegionName eq 'westeurope' and armSkuName eq 'Standard_NC4as_T4_v3'")), None)


def _markets(size: Size) -> Iterable[Market]:
    return ("on-demand", "spot") if size.spot else ("on-demand",)


def _size(sku: Any) -> Size | None:
    able = {c.name: c.value for c in sku.capabilities or ()}
    gpus = float(able.get("GPUs") or 0)
    if not gpus:
        return None
    zones = {zone for place in sku.location_info or () for zone in place.zones or ()}
    for restriction in sku.restrictions or ():
        if restriction.type == "Location":
            return None
        zones -= set(restriction.restriction_info.zones or ())
    spot = able.get("LowPriorityCapable") == "True"
    return Size(sku.name, sku.family, gpus, spot, tuple(sorted(zones)))


def _prices(region: str) -> Mapping[tuple[str, Market], _Price]:
    """Return today's prices of Linux machines in a region, by size and market.

    Where the price list has several entries of one size, the one in force last counts.
    """
    wanted = (
        f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and priceType eq 'Consumption'"
    )
    found: dict[tuple[str, Market], _Price] = {}
    now = datetime.now(UTC)
    for item in _items(wanted):
        if not _is_linux_machine(item):
            continue
        price = _Price(float(item["retailPrice"]), _time(item["effectiveStartDate"]))
        market: Market = "spot" if "Spot" in item["meterName"] else "on-demand"
        before = found.get((item["armSkuName"], market))
        if price.since <= now and (before is None or before.since <= price.since):
            found[(item["armSkuName"], market)] = price
    return found


def _is_linux_machine(item: Mapping[str, Any]) -> bool:
    words = f"{item['meterName']} {item['productName']}"
    return (
        item["type"] == "Consumption"
        and item["unitOfMeasure"] == "1 Hour"
        and bool(item.get("armSkuName"))
        and not any(word in words for word in ("Low Priority", "Windows", "Dedicated", "CloudServices"))
    )


def _items(query: str) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of Azure Retail Prices, over all its pages; it asks for no key."""
    import httpx

    url = f"{endpoint('AZURE_RETAIL_PRICES_ENDPOINT', 'https://prices.azure.com')}/api/retail/prices"
    following: str | None = str(httpx.URL(url, params={"currencyCode": "USD", "$filter": query}))
    with httpx.Client(timeout=_ANSWER_S) as client:
        while following:
            page = _page(client, following)
            yield from page["Items"]
            following = page.get("NextPageLink")


def _page(client: Any, url: str) -> Mapping[str, Any]:
    import httpx
    from tenacity import RetryError, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    from harchos_infra.clouds.azure_session import BACKOFF_S

    def read() -> Mapping[str, Any]:
        page: Mapping[str, Any] = client.get(url).raise_for_status().json()
        return page

    attempts = Retrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=BACKOFF_S),
        reraise=True,
    )
    try:
        return attempts(read)
    except (httpx.HTTPError, RetryError, ValueError) as error:
        raise AzureError(f"Azure's price list does not answer: {error}", hint="try again later") from error


def _passes(error: BaseException) -> bool:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.partition(".")[0].rstrip("Z") + "+00:00")
