"""A small world to plan in: a few regions, offers and hours, all of it written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harchos_infra.catalog import Catalog, GpuWatts, HostWatts, Offer, PowerModel, Region
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity, hour_of
from harchos_infra.workload.document import Workload

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
POWER = PowerModel(
    gpus=[
        GpuWatts("L4", 10.0, 70.0, "test"),
        GpuWatts("T4", 10.0, 60.0, "test"),
        GpuWatts("X1", None, None, "?"),
    ],
    hosts={"any": HostWatts(1.0, 3.0, 0.5, "test host")},
)


class SmallCatalog(Catalog):
    """A catalogue whose transfer prices, throughputs and latencies are given, by pairs of region ids."""

    def __init__(
        self,
        regions: Sequence[Region],
        offers: Sequence[Offer],
        *,
        embodied: Mapping[tuple[str, str], float] | None = None,
        egress: Mapping[tuple[str, str], float] | None = None,
        latency: Mapping[tuple[str, str], float] | None = None,
        throughput: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        figures = {key: (grams, "test") for key, grams in (embodied or {}).items()}
        super().__init__({(r.provider, r.name): r for r in regions}, offers, POWER, figures)
        self.egress = egress or {}
        self.latency = latency or {}
        self.throughput = throughput or {}

    def egress_usd_per_gb(self, source: Region, target: Region) -> float | None:
        return self.egress.get((source.id, target.id))

    def throughput_gbps(self, source: Region, target: Region) -> float | None:
        return self.throughput.get((source.id, target.id))

    def latency_ms(self, source: Region, target: Region) -> float | None:
        return self.latency.get((source.id, target.id))

    def fingerprint(self) -> str:
        return repr((sorted(self.regions), self.offers, sorted(self.egress.items())))


@dataclass
class SmallSignal:
    """Values by zone, one a step from a first hour on; past the last one there is nothing."""

    series: Mapping[str, Sequence[float]]
    first: datetime = MIDNIGHT
    name: str = "test"
    step_s: int = 3600
    basis: Basis = field(
        default_factory=lambda: Basis("average", "life-cycle", "consumption", "test", "written out")
    )

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        values = self.series.get(zone)
        offset = int((hour_of(start) - self.first).total_seconds()) // self.step_s
        count = hours * 3600 // self.step_s
        if values is None or offset < 0 or offset + count > len(values):
            raise NoIntensity(zone, f"nothing for {hours} hours from {start}")
        found = np.array(values[offset : offset + count], dtype=float)
        return Intensity(zone, hour_of(start), found, self.basis, self.step_s)

    def zones(self) -> frozenset[str]:
        return frozenset(self.series)

    def fingerprint(self) -> str:
        return repr(sorted((zone, tuple(values)) for zone, values in self.series.items()))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "source": "test", "method": "written out"}


def region(name: str, *, zone: str | None = "A", pue: float = 1.0, country: str = "DE") -> Region:
    provider, short = name.split("/")
    return Region(provider, short, short, country, 0.0, 0.0, zone, pue, "test")


def offer(
    where: str,
    *,
    price: float = 1.0,
    gpu: str | None = "L4",
    count: float = 1.0,
    market: Any = "on-demand",
    instance: str | None = None,
    vcpus: float = 4.0,
    memory: float = 16.0,
    as_of: str = "2026-11-01",
) -> Offer:
    provider, short = where.split("/")
    name = instance or f"{gpu or 'cpu'}x{count:g}"
    return Offer(
        provider, short, name, market, gpu, count if gpu else 0.0, 24.0 if gpu else None,
        vcpus, memory, price, as_of, "test",
    )  # fmt: skip


def workload(**spec: Any) -> Workload:
    values = {"type": "batch", "command": "true", "duration": "1h", **spec}
    if "gpu" in values:
        values["resources"] = {**values.get("resources", {}), "gpu": values.pop("gpu")}
    document = {
        "apiVersion": "harchos.dev/v1",
        "kind": "Workload",
        "metadata": {"name": "job"},
        "spec": values,
    }
    return Workload.model_validate(document, by_name=False)
