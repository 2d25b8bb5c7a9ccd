"""How a hub runs its job: container engine, image policy, and the watts that stand in for a meter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harchos_infra.catalog import Catalog, Offer


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Engine (`auto`, `podman`, `docker`, `none`), image policy, power model (as in `job.json`)."""

    engine: str
    image_policy: str
    power_model: Mapping[str, Any]


def hub_settings(place: Mapping[str, Any], *, rehearsal: bool) -> HubSettings:
    """Return the settings of a hub for a segment (as in `harchos.plan/1`).

    On this machine they are the user's own, with its own watts; on a cloud the machine type's.
    """
    if place["provider"] == "local" or rehearsal:
        return _on_this_machine(rehearsal)
    catalog = Catalog.builtin()
    wanted = (place["provider"], place["region"], place["instanceType"], place["market"])
    offer = next(offer for offer in catalog.offers if offer.key == wanted)
    return HubSettings("auto", "exact", _power_model(catalog, offer))


def _on_this_machine(rehearsal: bool) -> HubSettings:
    from harchos_infra.catalog.machine import add_this_machine
    from harchos_infra.settings import Settings

    settings = Settings.load()
    catalog = add_this_machine(Catalog.builtin(), zone=settings.local_zone or "", pue=1.0, price_usd_hour=0.0)
    policy = "exact-or-host" if rehearsal else "exact"
    return HubSettings(
        engine=settings.local_engine,
        image_policy="host" if settings.local_image == "host" else policy,
        power_model=_power_model(catalog, catalog.offers[-1]),
    )


def _power_model(catalog: Catalog, offer: Offer) -> dict[str, Any]:
    host, gpu = catalog.power.host(offer.provider), catalog.power.gpu(offer)
    return {
        "cpu_watts_per_core_idle": host.idle_per_vcpu,
        "cpu_watts_per_core_max": host.max_per_vcpu,
        "memory_watts_per_gib": host.memory_per_gib,
        "gpu_watts_idle": gpu.idle if gpu else 0.0,
        "gpu_watts_max": gpu.maximum if gpu else 0.0,
        "source": f"GPU: {gpu.basis}; {host.basis}" if gpu else host.basis,
    }
