"""What GPU machines are offered in a Google Cloud region and what they cost today."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harchos_infra.catalog.live import LiveOffer
from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.gcp_session import GcpSession

SOURCE = "cloudbilling:services.skus.list"
_SKUS = "v1/services/6F81-5844-456A/skus"
"""The price list of Compute Engine."""
_MARKETS: Mapping[str, Market] = {"OnDemand": "on-demand", "Preemptible": "spot"}
_NOT_A_MACHINE = re.compile(
    r"custom|sole tenancy|reserv|premium|commitment|dws|calendar|upgrade", re.IGNORECASE
)
_HOST = re.compile(
    r"^(?:spot preemptible )?(\w+)(?: amd| arm)?(?: predefined)? instance (core|ram) running in",
    re.IGNORECASE,
)
_GPU = re.compile(r"^nvidia (.+?) gpu (?:running in|attached to spot preemptible vms)", re.IGNORECASE)
_SSD = re.compile(r"^ssd backed local storage", re.IGNORECASE)
_HOURS_A_MONTH = 730
_SSD_GIB = 375
_SERIES = {"a3-megagpu": "a3plus", "a3-ultragpu": "a3ultra"}
"""What the price list calls a part of a series; others are named by their series alone."""
_GPUS = {"nvidia-h100-mega-80gb": ("h100 80gb mega", "h100 80gb plus")}


PartPrices = Mapping[tuple[str, str, str], float]
"""USD per hour of one core, GiB or GPU, by region, market and part: `a2 core`, `a2 ram`, `gpu l4`, `ssd`."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """A GPU machine type with what it is billed by."""

    name: str
    cores: int
    memory_gib: float
    gpu: str
    gpus: int
    ssd_gib: int
    zones: tuple[str, ...]


def offers(session: GcpSession, region: str, prices: PartPrices) -> list[LiveOffer]:
    """Return the GPU machine types of a region on both markets, by name.

    A price is the sum of cores, memory, GPUs and built-in disks; None where the price list lacks one of them.
    """
    asked = datetime.now(UTC)
    return [
        LiveOffer(
            region=region,
            instance_type=machine.name,
            market=market,
            price_usd_hour=_price(machine, market, region, prices),
            availability_zones=machine.zones,
            as_of=asked,
            source=SOURCE,
        )
        for machine in _machines(session, region)
        for market in _MARKETS.values()
    ]


def part_prices(session: GcpSession) -> PartPrices:
    """Read Compute Engine's price list: with the API key in GOOGLE_API_KEY, else with the credentials."""
    skus = session.pages("cloudbilling", _SKUS, "skus", api_key=_key(), pageSize=5000, currencyCode="USD")
    return {(region, market, part): price for sku in skus for region, market, part, price in _read(sku)}


def price_list_answers(session: GcpSession) -> None:
    """Ask for one entry of the price list; raises HarchosError where it is refused."""
    session.call("GET", "cloudbilling", _SKUS, api_key=_key(), pageSize=1)


def _key() -> str | None:
    return os.environ.get("GOOGLE_API_KEY") or None


def _read(sku: Mapping[str, Any]) -> Iterator[tuple[str, Market, str, float]]:
    """Yield what an entry of the price list says of a part that GPU machines are made of."""
    market = _MARKETS.get(sku["category"].get("usageType", ""))
    part = _part(sku["description"])
    infos = sku.get("pricingInfo", ())
    if market is None or part is None or not infos:
        return
    rates = infos[0]["pricingExpression"].get("tieredRates", ())
    if not rates:
        return
    unit = rates[-1]["unitPrice"]
    usd = int(unit.get("units", 0)) + unit.get("nanos", 0) / 1e9
    if part == "ssd":
        usd /= _HOURS_A_MONTH
    for region in sku.get("serviceRegions", ()):
        yield region, market, part, usd


def _part(description: str) -> str | None:
    if _NOT_A_MACHINE.search(description):
        return None
    if host := _HOST.match(description):
        return f"{host[1]} {host[2]}".lower()
    if gpu := _GPU.match(description):
        return f"gpu {gpu[1]}".lower()
    return "ssd" if _SSD.match(description) else None


def _price(machine: _Machine, market: Market, region: str, prices: PartPrices) -> float | None:
    """Return USD per hour; None: the price list lacks a part of the machine."""
    series = _SERIES.get("-".join(machine.name.split("-")[:2]), machine.name.split("-")[0])
    gpus = [f"gpu {name}" for name in _gpu_names(machine.gpu)]
    gpu = next((g for g in gpus if (region, market, g) in prices), gpus[0])
    parts = [(f"{series} core", machine.cores), (f"{series} ram", machine.memory_gib), (gpu, machine.gpus)]
    if machine.ssd_gib:
        parts.append(("ssd", machine.ssd_gib))
    usd = 0.0
    for part, amount in parts:
        if (price := prices.get((region, market, part))) is None:
            return None
        usd += amount * price
    return round(usd, 6)


def _gpu_names(accelerator: str) -> tuple[str, ...]:
    """Return what the price list calls an accelerator type: `nvidia-tesla-a100` is `tesla a100`."""
    if accelerator in _GPUS:
        return _GPUS[accelerator]
    name = accelerator.removeprefix("nvidia-").replace("-", " ")
    return (name,) if name.startswith("tesla ") else (name, f"tesla {name}")


def _machines(session: GcpSession, region: str) -> list[_Machine]:
    """Return the machine types with GPUs of their own in any zone of a region, by name."""
    zones: dict[str, list[str]] = {}
    types: dict[str, Any] = {}
    for zone in sorted(_zones(session, region)):
        for page in session.compute_pages("MachineTypesClient", "list", {"zone": zone, "max_results": 500}):
            for found in page.items:
                if found.accelerators and found.deprecated.state not in ("DEPRECATED", "OBSOLETE", "DELETED"):
                    zones.setdefault(found.name, []).append(zone)
                    types[found.name] = found
    return [_machine(types[name], tuple(zones[name])) for name in sorted(types)]


def _machine(type_: Any, zones: tuple[str, ...]) -> _Machine:
    (accelerator, *_) = type_.accelerators
    return _Machine(
        name=type_.name,
        cores=type_.guest_cpus,
        memory_gib=type_.memory_mb / 1024,
        gpu=accelerator.guest_accelerator_type,
        gpus=accelerator.guest_accelerator_count,
        ssd_gib=type_.bundled_local_ssds.partition_count * _SSD_GIB,
        zones=zones,
    )


def _zones(session: GcpSession, region: str) -> list[str]:
    found = session.compute("RegionsClient", "get", {"region": region})
    return [url.rsplit("/", 1)[-1] for url in found.zones]
