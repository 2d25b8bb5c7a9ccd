"""Which offers satisfy what a workload asks of a place and a machine, and which of its wishes each fails.

Verdicts on a region and on an instance type are reached once and shared by all offers that have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harchos_infra.catalog import Catalog, Offer, Region
from harchos_infra.catalog.gpu import matches
from harchos_infra.planner.request import Request
from harchos_infra.policy.breach import REASONS as POLICY_REASONS


class Miss(NamedTuple):
    """A constraint that a candidate fails: its reason code, and the numbers."""

    reason: str
    detail: str


Misses = tuple[Miss, ...]

PLACE_REASONS = POLICY_REASONS | {"provider", "region", "country", "latency", "latency-unknown"}
"""Constraints on where; the home baseline is not held to them, and to no policy."""


def fit(request: Request, catalog: Catalog) -> list[Misses]:
    """Return what each of the catalogue's offers fails, machine before market before place before policy.

    In the catalogue's order.
    """
    places: dict[tuple[str, str], Misses] = {}
    machines: dict[tuple[str, str], Misses] = {}
    unknown_data = tuple(Miss(name, sentence) for name, sentence in request.unknown if name == "data-region")
    markets = {market: tuple(_market(request, market)) for market in ("on-demand", "spot")}
    verdicts: list[Misses] = []
    for offer in catalog.offers:
        there = offer.provider, offer.region
        if there not in places:
            places[there] = tuple(_place(request, catalog, catalog.regions[there]))
        machine = offer.provider, offer.instance_type
        if machine not in machines:
            machines[machine] = tuple(_machine(request, offer))
        now = tuple(_available(request, catalog, offer)) if catalog.availability else ()
        verdicts.append(unknown_data + machines[machine] + markets[offer.market] + places[there] + now)
    if request.policy is None:
        return verdicts
    from harchos_infra.planner.policing import of_offers

    refused = of_offers(request.policy, catalog)
    return [misses + request.refused + more for misses, more in zip(verdicts, refused, strict=True)]


def _available(request: Request, catalog: Catalog, offer: Offer) -> Iterator[Miss]:
    """Yield what the cloud itself said against an offer when it was asked."""
    availability = catalog.availability
    if availability.is_offered(offer) is False:
        yield Miss(
            "not-offered", f"not in {offer.region} when {offer.provider} was asked{_day(catalog, offer)}"
        )
        return
    nodes = request.nodes // request.hubs
    quota = availability.short_of(offer, nodes, request.hubs)
    if quota is not None:
        need = request.hubs * quota.need(offer, nodes)
        yield Miss(
            "quota", f"{quota.name}: {quota.limit:g} {quota.unit}, {need:g} needed{_day(catalog, offer)}"
        )


def _day(catalog: Catalog, offer: Offer) -> str:
    asked_at = catalog.availability.asked_at(offer)
    return f" ({asked_at:%Y-%m-%d})" if asked_at else ""


def _market(request: Request, market: str) -> Iterator[Miss]:
    if market not in request.markets:
        yield Miss("market", f"{market}; placement.market is {request.spec.placement.market}")


def _machine(request: Request, offer: Offer) -> Iterator[Miss]:
    wants = request.spec.resources
    if wants.gpu is not None:
        if offer.gpu_model is None:
            yield Miss("gpu-model", "no GPU")
        else:
            yield from _gpu(request, offer, offer.gpu_model)
    if wants.cpu is not None and (offer.vcpus is None or offer.vcpus < wants.cpu):
        yield Miss("cpu", f"{_number(offer.vcpus)} vCPUs, {wants.cpu:g} asked for")
    if wants.memory_gib is not None and (offer.memory_gib is None or offer.memory_gib < wants.memory_gib):
        yield Miss("memory", f"{_number(offer.memory_gib)} GiB, {wants.memory_gib:g} asked for")


def _gpu(request: Request, offer: Offer, model: str) -> Iterator[Miss]:
    wants = request.spec.resources.gpu
    if wants is None:
        return
    if wants.type and not any(matches(name, model) for name in wants.type):
        yield Miss("gpu-model", f"{model}; {', '.join(wants.type)} asked for")
    if offer.gpu_count < wants.count:
        yield Miss("gpu-count", f"{offer.gpu_count:g} {model}, {wants.count} asked for")
    if wants.memory_gib is not None and (offer.gpu_memory_gib or 0.0) < wants.memory_gib:
        yield Miss("gpu-memory", f"{_number(offer.gpu_memory_gib)} GiB a GPU, {wants.memory_gib:g} asked for")


def _place(request: Request, catalog: Catalog, region: Region) -> Iterator[Miss]:
    place = request.spec.placement
    if region.provider not in request.providers:
        yield Miss("provider", f"{region.provider}; allowed: {', '.join(sorted(request.providers))}")
    if request.region_ids is not None and region.id not in request.region_ids:
        yield Miss("region", f"{region.id}; allowed: {', '.join(place.regions)}")
    if place.countries and region.country not in place.countries:
        yield Miss("country", f"in {region.country}; allowed: {', '.join(place.countries)}")
    if place.max_latency_ms is not None:
        yield from _latency(request, catalog, region, place.max_latency_ms)


def _latency(request: Request, catalog: Catalog, region: Region, limit_ms: float) -> Iterator[Miss]:
    source = request.latency_from
    measured = catalog.latency_ms(source, region) if source is not None else None
    if measured is None:
        yield Miss("latency-unknown", f"nobody measured {request.spec.placement.latency_from} to {region.id}")
    elif measured > limit_ms:
        yield Miss("latency", f"{measured:.0f} ms, placement.maxLatencyMs is {limit_ms:g}")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"
