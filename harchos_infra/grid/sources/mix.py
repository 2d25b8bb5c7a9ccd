"""Carbon intensity of a generation mix, with the life-cycle factors of `factors.csv`.

    g = sum_f max(p_f, 0) c_f / sum_f max(p_f, 0)

over the fuels f that generate; p_f is power or energy in the step, c_f g/kWh. Storage is left out: what it
gives was generated before, and counted then. Imports are not in a mix: the figure is production-based. A step
that lacks a fuel which more than half of the answer's steps have, or has one without a value, is a gap: late
reports come fuel by fuel, and a mix without its coal is no cleaner for it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from harchos_infra.grid.sources.source import Reading, SourceError

SOURCE = "life-cycle factors of IPCC 2014 (oil, other: as CarbonCast)"
STORAGE = "storage"
"""The fuel of what a mix leaves out."""


@cache
def factors() -> dict[str, float]:
    """Return g/kWh by fuel."""
    with (Path(__file__).parent / "factors.csv").open(encoding="utf-8", newline="") as stream:
        return {row["fuel"]: float(row["gco2_per_kwh"]) for row in csv.DictReader(stream)}


def intensity_of_mix(steps: Mapping[int, Mapping[str, float | None]], span_s: int) -> list[Reading]:
    """Return the intensity of each step; `steps` maps its start (s) to power by the source's own fuel codes.

    Codes must have gone through `fuel_of`, so that they are those of `factors.csv`, or STORAGE.
    """
    seen = Counter(fuel for mix in steps.values() for fuel in mix if fuel != STORAGE)
    usual = {fuel for fuel, count in seen.items() if 2 * count > len(steps)}
    return [Reading(start, span_s, _intensity(mix, usual)) for start, mix in sorted(steps.items())]


def _intensity(mix: Mapping[str, float | None], usual: set[str]) -> float | None:
    powers = {fuel: power for fuel, power in mix.items() if fuel != STORAGE}
    if not usual <= powers.keys() or None in powers.values():
        return None
    positive = {fuel: max(power or 0.0, 0.0) for fuel, power in powers.items()}
    total = sum(positive.values())
    if not total:
        return None
    return sum(power * factors()[fuel] for fuel, power in positive.items()) / total


def fuel_of(code: str, fuels: Mapping[str, str], what: str) -> str:
    """Return the fuel that a source's code means; raise SourceError for one that has no factor."""
    if code not in fuels:
        raise SourceError(f"{what}: generation of type {code[:20]!r}, which no factor is known for")
    return fuels[code]
