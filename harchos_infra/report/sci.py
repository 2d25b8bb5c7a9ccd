"""Software Carbon Intensity (ISO/IEC 21031:2024): ((E x I) + M) per R."""

from __future__ import annotations

from dataclasses import dataclass

from harchos_infra.report.carbon import Carbon
from harchos_infra.runs.record import RunRecord

PER_THOUSAND = {"inference": ("tokens",), "batch": ("rows", "items"), "pipeline": ("rows", "items")}


@dataclass(frozen=True, slots=True)
class Sci:
    """The score and what it is per. `gco2e_per_r` is None where `reason` says why."""

    r: str
    count: float
    gco2e_per_r: float | None
    includes_embodied: bool
    reason: str | None


def score(record: RunRecord, realised: Carbon, lived_s: float) -> Sci:
    """Return the realised score: (operational + embodied) / R; transfer stands beside it, not in it.

    R by workload type: one run for training; 1,000 tokens for inference; 1,000 rows or items for batch and
    pipeline where the job reported them, else one run; one hub-hour for dev.
    """
    r, count, reason = _unit(record, lived_s)
    if realised.operational is None:
        reason = reason or "no energy was metered"
    complete = not realised.embodied_unpublished
    if reason or realised.operational is None:
        return Sci(r, count, None, complete, reason)
    return Sci(r, count, (realised.operational + (realised.embodied or 0.0)) / count, complete, None)


def _unit(record: RunRecord, lived_s: float) -> tuple[str, float, str | None]:
    for unit in PER_THOUSAND.get(record.type, ()):
        if record.units.get(unit, 0.0) > 0:
            return f"1,000 {unit}", record.units[unit] / 1000.0, None
    if record.type == "inference":
        return "1,000 tokens", 0.0, "the service reported no tokens"
    if record.type == "dev":
        return "hour", lived_s / 3600.0, None if lived_s > 0 else "no hub lived"
    return "run", 1.0, None
