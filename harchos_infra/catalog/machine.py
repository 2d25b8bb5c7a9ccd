"""This machine as an offer: what it has, as the operating system and nvidia-smi say."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from harchos_infra.catalog.catalog import Catalog
from harchos_infra.catalog.gpu import known_models, matches
from harchos_infra.catalog.offer import Offer
from harchos_infra.catalog.power import GpuWatts
from harchos_infra.catalog.region import Region

INSTANCE_TYPE = "this-machine"
_IDLE_SHARE = 0.117
"""Cloud Carbon Footprint's ratio of idle to maximum, as in the catalogue's other figures."""


@dataclass(frozen=True, slots=True)
class InstalledGpu:
    """GPUs of one model in this machine; `limit_watts` is the board's power limit, None if not told."""

    model: str
    count: int
    memory_gib: float
    limit_watts: float | None


def add_this_machine(catalog: Catalog, *, zone: str, pue: float, price_usd_hour: float) -> Catalog:
    """Return the catalogue with this machine as `local/local`, on a grid zone that its owner names.

    Its host draws the median over the clouds' processors; its price is what its owner has set.
    """
    gpu = installed_gpu()
    region = Region(
        provider="local",
        name="local",
        display_name="this machine",
        country=zone.split("-")[0],
        latitude=float("nan"),
        longitude=float("nan"),
        zone=zone,
        pue=pue,
        pue_basis="setting local.pue",
        zone_source="setting local.zone",
    )
    offer = Offer(
        provider="local",
        region="local",
        instance_type=INSTANCE_TYPE,
        market="on-demand",
        gpu_model=gpu.model if gpu else None,
        gpu_count=gpu.count if gpu else 0.0,
        gpu_memory_gib=gpu.memory_gib if gpu else None,
        vcpus=float(len(os.sched_getaffinity(0))),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        price_usd_hour=price_usd_hour,
        price_as_of="your settings",
        price_source="setting local.price_usd_hour",
    )
    return catalog.with_machine(region, offer, gpu_watts=_watts(gpu))


def installed_gpu() -> InstalledGpu | None:
    """Ask nvidia-smi for this machine's GPUs; None without one. Of several models the first counts."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,memory.total,power.limit", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_gpus(answer)


def parse_gpus(answer: str) -> InstalledGpu | None:
    """Read nvidia-smi's lines of name, MiB of memory and watts (`[N/A]` where not told)."""
    rows = [
        [cell.strip() for cell in line.split(",")] for line in answer.splitlines() if line.count(",") == 2
    ]
    if not rows:
        return None
    name, memory, limit = rows[0]
    try:
        memory_gib = round(float(memory) / 1024, 1)
    except ValueError:
        return None
    watts = float(limit) if limit.replace(".", "", 1).isdigit() else None
    return InstalledGpu(_model(name), sum(row[0] == name for row in rows), memory_gib, watts)


def _model(name: str) -> str:
    """Return the catalogue's name of a GPU, or nvidia-smi's own where it has none."""
    words = name.removeprefix("NVIDIA").removeprefix("Tesla").strip().replace(" ", "-")
    return next((model for model in known_models() if matches(name, model)), words)


def _watts(gpu: InstalledGpu | None) -> GpuWatts | None:
    if gpu is None or gpu.limit_watts is None:
        return None
    basis = f"power limit {gpu.limit_watts:g} W (nvidia-smi), idle at CCF's ratio {_IDLE_SHARE}"
    return GpuWatts(gpu.model, _IDLE_SHARE * gpu.limit_watts, gpu.limit_watts, basis, INSTANCE_TYPE)
