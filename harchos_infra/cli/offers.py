"""`harchos offers`: what can be rented where, at which price of which day, and what it draws."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.catalog.catalog import Catalog
    from harchos_infra.catalog.live import Quota
    from harchos_infra.catalog.offer import Offer


class MarketChoice(StrEnum):
    """Market of an offer."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


def offers(
    gpu: str | None = typer.Option(None, "--gpu", "-g", help="GPU model or family: H100, A100-80GB, L4."),
    provider: str | None = typer.Option(None, "--provider", "-p", help="Only this cloud: aws, gcp, azure."),
    region: str | None = typer.Option(None, "--region", "-r", help="Only this region: aws/eu-west-1."),
    market: MarketChoice | None = typer.Option(None, "--market", "-m", help="Only this market."),
    max_price: float | None = typer.Option(
        None, "--max-price", min=0, help="At most this many USD per hour."
    ),
    format: Format = FormatOption,
) -> None:
    """List GPU offers with price, age of the price and power, cheapest per GPU first."""
    from harchos_infra.catalog.gpu import matches
    from harchos_infra.cli.choice import check_choice
    from harchos_infra.runs.catalog import current_catalog

    catalog = current_catalog()
    check_choice("provider", provider, {known for known, _ in catalog.regions})
    place = catalog.region(region) if region else None
    if gpu is not None:
        _check_gpu(gpu)
    found = [
        offer
        for offer in catalog.offers
        if (gpu is None or matches(gpu, offer.gpu_model or ""))
        and provider in (None, offer.provider)
        and (place is None or (place.provider, place.name) == (offer.provider, offer.region))
        and market in (None, offer.market)
        and (max_price is None or offer.price_usd_hour <= max_price)
    ]
    found.sort(key=lambda o: (o.price_usd_hour / o.gpu_count, o.provider, o.region, o.instance_type))
    if format is Format.JSON:
        documents = [_document(catalog, offer) for offer in found]
        print_json({"schema": "harchos.offers/1", "offers": documents, "priceAges": catalog.ages()})
        return
    _print(catalog, found)


def _check_gpu(gpu: str) -> None:
    from harchos_infra.catalog.gpu import known_models, matches, suggest
    from harchos_infra.errors import HarchosError

    if not any(matches(gpu, model) for model in known_models()):
        near = suggest(gpu)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known_models())}"
        raise HarchosError(f"no offer has a GPU {gpu!r}", hint=hint)


def _print(catalog: Catalog, found: list[Offer]) -> None:
    if not found:
        note("no offer matches")
        return
    headers = ["region", "instance", "GPUs", "market", "$/h", "$/GPU-h", "price of", "watts"]
    rows = [
        [
            f"{offer.provider}/{offer.region}",
            offer.instance_type,
            f"{offer.gpu_count:g} {offer.gpu_model}",
            offer.market,
            f"{offer.price_usd_hour:.3f}",
            f"{offer.price_usd_hour / offer.gpu_count:.3f}",
            offer.price_as_of,
            _watts(catalog, offer),
        ]
        for offer in found
    ]
    if catalog.availability:
        headers.append("had now")
        rows = [[*row, _had(catalog, offer)] for row, offer in zip(rows, found, strict=True)]
    print_table(headers, rows, right=(4, 5, 7))
    note(
        f"{len(found)} of {len(catalog.offers)} offers, list prices of the day shown. "
        "watts: modelled at full load before PUE; -: no published power, so no plan takes it."
    )
    for what, age in catalog.availability.ages().items():
        note(f"had now: {what}, asked {_ago(age['asOf'])}; -: not asked there")


def _had(catalog: Catalog, offer: Offer) -> str:
    """Say what the cloud said: offered or not, and how much of the tightest quota one node takes."""
    availability = catalog.availability
    is_offered = availability.is_offered(offer)
    if not is_offered:
        return "-" if is_offered is None else "not offered"
    quota = _tightest(catalog, offer)
    if quota is None:
        return "yes"
    free = quota.limit - (quota.used or 0.0)
    need = quota.need(offer, 1)
    verdict = "no quota" if quota.limit < need else "quota taken" if free < need else "yes"
    return f"{verdict}: takes {need:g}, {free:g} of {quota.limit:g} {quota.unit} free"


def _tightest(catalog: Catalog, offer: Offer) -> Quota | None:
    """Return the quota that leaves the fewest hubs of one node."""
    quotas = [q for q in catalog.availability.quotas(offer) if q.need(offer, 1) > 0]
    return min(quotas, key=lambda q: (q.limit - (q.used or 0.0)) / q.need(offer, 1), default=None)


def _ago(at: str) -> str:
    from datetime import UTC, datetime

    hours, seconds = divmod((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds(), 3600)
    return f"{at} ({hours:.0f} h {seconds / 60:.0f} min ago)"


def _watts(catalog: Catalog, offer: Offer) -> str:
    estimate = catalog.power.node_watts(offer, offer.gpu_count, 1.0, 1.0)
    return f"{estimate.watts:.0f}" if estimate else "-"


def _document(catalog: Catalog, offer: Offer) -> dict[str, Any]:
    estimate = catalog.power.node_watts(offer, offer.gpu_count, 1.0, 1.0)
    embodied = catalog.embodied_gco2e_hour(offer)
    return {
        "provider": offer.provider,
        "region": offer.region,
        "instanceType": offer.instance_type,
        "market": offer.market,
        "gpuModel": offer.gpu_model,
        "gpuCount": offer.gpu_count,
        "gpuMemoryGib": offer.gpu_memory_gib,
        "vcpus": offer.vcpus,
        "memoryGib": offer.memory_gib,
        "priceUsdHour": offer.price_usd_hour,
        "priceAsOf": offer.price_as_of,
        "priceSource": offer.price_source,
        "maxWatts": round(estimate.watts, 1) if estimate else None,
        "maxWattsBasis": estimate.basis if estimate else catalog.power.missing(offer),
        "embodiedGco2eHour": embodied[0] if embodied else None,
        "embodiedBasis": embodied[1] if embodied else "nobody has published a figure",
        "offered": catalog.availability.is_offered(offer),
        "quota": _quota_document(catalog, offer),
    }


def _quota_document(catalog: Catalog, offer: Offer) -> dict[str, Any] | None:
    quota = _tightest(catalog, offer)
    if quota is None:
        return None
    return {
        "name": quota.name,
        "code": quota.code,
        "unit": quota.unit,
        "limit": quota.limit,
        "used": quota.used,
        "needed": quota.need(offer, 1),
    }
