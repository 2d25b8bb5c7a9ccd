"""Embodied carbon: the share of the making of its server that an hour of an instance carries."""

from __future__ import annotations

from functools import cache

from harchos_infra.catalog.table import read_table


@cache
def embodied_figures() -> dict[tuple[str, str], tuple[float, str]]:
    """Return (gCO2eq per hour of one node, basis) by (provider, instance type).

    Over a server life of 35,040 h; most newer GPUs have no published figure and no entry.
    """
    return {
        (row["provider"], row["instance_type"]): (float(row["gco2e_hour"]), row["basis"])
        for row in read_table("embodied.csv")
    }
