"""Watts of a node: its GPUs at their utilisation and the machine around them.

    node = used x (idle + (max - idle) x utilization) + (count - used) x idle
         + vcpus x (cpu_idle + (cpu_max - cpu_idle) x cpu_utilization) + memory x watts_per_gib

The straight line between idle and maximum is Cloud Carbon Footprint's method (methodology, appendix III).
PUE is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harchos_infra.catalog.offer import Offer
from harchos_infra.catalog.table import read_table


@dataclass(frozen=True, slots=True)
class Estimate:
    """A draw in watts and what it rests on."""

    watts: float
    basis: str


@dataclass(frozen=True, slots=True)
class GpuWatts:
    """Draw of one GPU in watts; `instance_prefix` narrows it to a cloud's series with another card."""

    model: str
    idle: float | None
    maximum: float | None
    basis: str
    instance_prefix: str = ""


@dataclass(frozen=True, slots=True)
class HostWatts:
    """Draw of the machine around the GPUs: watts per vCPU idle and busy, and per GiB of memory."""

    idle_per_vcpu: float
    max_per_vcpu: float
    memory_per_gib: float
    basis: str

    def watts(self, vcpus: float, memory_gib: float, cpu_utilization: float) -> float:
        """Return the watts of that many vCPUs and GiB."""
        per_vcpu = self.idle_per_vcpu + (self.max_per_vcpu - self.idle_per_vcpu) * cpu_utilization
        return vcpus * per_vcpu + memory_gib * self.memory_per_gib


@dataclass(frozen=True)
class PowerModel:
    """Watts of every offer whose GPU has a published power."""

    gpus: Sequence[GpuWatts]
    hosts: Mapping[str, HostWatts]
    """By provider; `any` is the median over all of them."""

    @classmethod
    def builtin(cls) -> PowerModel:
        """Read the package's figures."""
        gpus = [
            GpuWatts(
                row["gpu_model"],
                float(row["idle_watts"]) if row["idle_watts"] else None,
                float(row["max_watts"]) if row["max_watts"] else None,
                row["basis"],
                row["instance_prefix"],
            )
            for row in read_table("gpu_watts.csv")
        ]
        hosts = {
            row["provider"]: HostWatts(
                float(row["idle_watts_per_vcpu"]),
                float(row["max_watts_per_vcpu"]),
                float(row["memory_watts_per_gib"]),
                f"host: CCF, median of {row['provider']} CPUs",
            )
            for row in read_table("host_watts.csv")
        }
        return cls(gpus, hosts)

    def node_watts(
        self, offer: Offer, gpus_used: float, utilization: float, cpu_utilization: float = 0.5
    ) -> Estimate | None:
        """Return the draw of one node before PUE; None if something of it has no published figure.

        `gpus_used` of the offer's GPUs run at `utilization` (0 to 1), the others idle. `missing` says what
        is not known.
        """
        if self.missing(offer) is not None:
            return None
        host = self.host(offer.provider)
        watts = host.watts(offer.vcpus or 0.0, offer.memory_gib or 0.0, cpu_utilization)
        basis = f"{host.basis} at {cpu_utilization:.0%}"
        gpu = self.gpu(offer)
        if gpu is not None and gpu.idle is not None and gpu.maximum is not None:
            watts += offer.gpu_count * gpu.idle + gpus_used * (gpu.maximum - gpu.idle) * utilization
            basis = f"GPU: {gpu.basis}; {basis}"
        return Estimate(watts, basis)

    def missing(self, offer: Offer) -> str | None:
        """Say why no watts can be given for an offer; None if they can."""
        if offer.gpu_model is not None and offer.gpu_count:
            gpu = self.gpu(offer)
            if gpu is None or gpu.idle is None:
                return f"{offer.gpu_model}: {gpu.basis if gpu else 'no power figure'}"
        if offer.vcpus is None or offer.memory_gib is None:
            return f"{offer.instance_type}: vCPUs or memory not known"
        return None

    def gpu(self, offer: Offer) -> GpuWatts | None:
        """Return the figures of the card that this offer carries; None without GPU or row."""
        rows = self._gpus_by_model.get(offer.gpu_model or "", ())
        return next((row for row in rows if offer.instance_type.startswith(row.instance_prefix)), None)

    def host(self, provider: str) -> HostWatts:
        """Return a provider's host figures; a machine that is in no cloud takes the median over all."""
        return self.hosts.get(provider) or self.hosts["any"]

    def with_machine(self, gpu: GpuWatts | None, host: HostWatts | None) -> PowerModel:
        """Return a model that also knows the local machine."""
        gpus = [gpu, *self.gpus] if gpu else self.gpus
        return replace(self, gpus=gpus, hosts={**self.hosts, "local": host} if host else self.hosts)

    @cached_property
    def _gpus_by_model(self) -> dict[str, list[GpuWatts]]:
        by_model: dict[str, list[GpuWatts]] = {}
        for row in sorted(self.gpus, key=lambda row: -len(row.instance_prefix)):
            by_model.setdefault(row.model, []).append(row)
        return by_model
