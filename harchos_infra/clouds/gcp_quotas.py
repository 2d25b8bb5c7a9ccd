"""How many GPUs a Google Cloud project may rent in a region."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from harchos_infra.catalog.live import Quota, QuotaUnit
from harchos_infra.catalog.offer import Market
from harchos_infra.clouds.gcp_session import GcpSession

EVERYWHERE = "GPUS_ALL_REGIONS"
"""GPUs of all regions and both markets together; new projects have none."""
_GPU_MACHINES = {
    "A100": ("a2-highgpu-", "a2-megagpu-"),
    "A100_80GB": ("a2-ultragpu-",),
    "H100": ("a3-highgpu-", "a3-edgegpu-"),
    "H100_MEGA": ("a3-megagpu-",),
    "H200": ("a3-ultragpu-",),
    "B200": ("a4-highgpu-",),
    "L4": ("g2-standard-",),
    "RTX_PRO_6000": ("g4-standard-",),
    "K80": ("n1-",),
    "P4": ("n1-",),
    "P100": ("n1-",),
    "T4": ("n1-",),
    "V100": ("n1-",),
}
_GPU_SERIES = ("a2-", "a3-", "a4-", "g2-", "g4-")
_MACHINES = (*_GPU_SERIES, "n1-")
_PROJECT: Mapping[str, tuple[str, QuotaUnit]] = {
    EVERYWHERE: ("GPUs (all regions)", "gpu"),
    "CPUS_ALL_REGIONS": ("CPUs (all regions)", "vcpu"),
    "NETWORKS": ("Networks", "hub"),
    "ROUTERS": ("Cloud routers", "hub"),
}
"""Quotas of the whole project: name and unit. Each hub has a network, most a router."""
_ADDRESSES = "IN_USE_ADDRESSES"
"""A hub takes one at least: that of its way out, or one for each machine that exposes a port."""
_GPUS = re.compile(r"(PREEMPTIBLE_)?NVIDIA_(\w+)_GPUS")
_CPUS = re.compile(r"(PREEMPTIBLE_)?([AG]\d)_CPUS")


def quotas(session: GcpSession, region: str) -> list[Quota]:
    """Return what limits GPU machines in a region: its own quotas, and the project's for all regions.

    Quotas that Google keeps in Cloud Quotas alone (those of the newest GPUs) are not among them.
    """
    project = session.compute("ProjectsClient", "get", {})
    found = session.compute("RegionsClient", "get", {"region": region})
    return [
        *_of_project(region, ((q.metric, q.limit, q.usage) for q in project.quotas)),
        *_of_region(region, ((q.metric, q.limit, q.usage) for q in found.quotas)),
    ]


def _of_project(region: str, read: Iterable[tuple[str, float, float]]) -> list[Quota]:
    return [
        Quota(region, name, metric, _MACHINES, None, unit, limit, used, everywhere=True)
        for metric, limit, used in read
        if metric in _PROJECT
        for name, unit in [_PROJECT[metric]]
    ]


def _of_region(region: str, read: Iterable[tuple[str, float, float]]) -> list[Quota]:
    found = []
    for metric, limit, used in read:
        if (gpus := _GPUS.fullmatch(metric)) and gpus[2] in _GPU_MACHINES:
            name = f"{'Preemptible ' if gpus[1] else ''}NVIDIA {gpus[2].replace('_', ' ')} GPUs"
            market = _market(gpus[1])
            found.append(Quota(region, name, metric, _GPU_MACHINES[gpus[2]], market, "gpu", limit, used))
        elif metric == _ADDRESSES:
            found.append(Quota(region, "In-use addresses", metric, _MACHINES, None, "hub", limit, used))
        elif cpus := _CPUS.fullmatch(metric):
            name = f"{'Preemptible ' if cpus[1] else ''}{cpus[2]} CPUs"
            covers = (f"{cpus[2].lower()}-",)
            found.append(Quota(region, name, metric, covers, _market(cpus[1]), "vcpu", limit, used))
    return found


def _market(preemptible: str | None) -> Market:
    return "spot" if preemptible else "on-demand"
