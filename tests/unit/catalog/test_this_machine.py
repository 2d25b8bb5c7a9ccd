"""This machine as an offer."""

from __future__ import annotations

import pytest

from harchos_infra.catalog import Catalog
from harchos_infra.catalog.machine import InstalledGpu, add_this_machine, parse_gpus


def test_it_stands_beside_the_clouds_with_its_owners_zone_and_price() -> None:
    catalog = add_this_machine(Catalog.builtin(), zone="US-CAL-CISO", pue=1.2, price_usd_hour=0.3)
    region, machine = catalog.regions["local", "local"], catalog.offers[-1]
    assert (region.zone, region.country, region.pue) == ("US-CAL-CISO", "US", 1.2)
    assert (machine.provider, machine.price_usd_hour, machine.market) == ("local", 0.3, "on-demand")
    assert machine.vcpus is not None
    assert machine.vcpus >= 1
    assert machine.memory_gib is not None
    assert machine.memory_gib > 0
    assert len(catalog.offers) == len(Catalog.builtin().offers) + 1


@pytest.mark.parametrize(
    ("answer", "gpu"),
    [
        ("NVIDIA L4, 23034, 72.00\n", InstalledGpu("L4", 1, 22.5, 72.0)),
        ("Tesla T4, 15360, 70.00\nTesla T4, 15360, 70.00\n", InstalledGpu("T4", 2, 15.0, 70.0)),
        ("NVIDIA GeForce RTX 4090, 24564, [N/A]\n", InstalledGpu("GeForce-RTX-4090", 1, 24.0, None)),
        ("NVIDIA H200, 143771, 700.00\n", InstalledGpu("H200", 1, 140.4, 700.0)),
        ("No devices were found\n", None),
        ("", None),
        ("NVIDIA L4, [N/A], 72.00\n", None),
    ],
)
def test_the_answer_of_nvidia_smi_is_read(answer: str, gpu: InstalledGpu | None) -> None:
    assert parse_gpus(answer) == gpu
