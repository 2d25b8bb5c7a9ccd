"""A fleet as JSON: `harchos.fleet/1`, described in docs/fleets.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harchos_infra.planner.encoding import encode
from harchos_infra.planner.fleet.quota import Quota

if TYPE_CHECKING:
    from harchos_infra.planner.fleet.fleet import Entry, Fleet, PoolUse


def fleet_json(fleet: Fleet) -> dict[str, Any]:
    """Return the document without its schema: camelCase keys, UTC times with `Z`."""
    chosen = [entry.plan.chosen for entry in fleet.placed if entry.plan.chosen]
    document: dict[str, Any] = encode(
        {
            "now": fleet.now,
            "totals": {
                "workloads": len(fleet.entries),
                "placed": len(chosen),
                "costUsd": sum(schedule.cost_usd for schedule in chosen),
                "energyKwh": sum(schedule.energy_kwh for schedule in chosen),
                "gco2e": sum(schedule.gco2e for schedule in chosen),
                "scoreUsd": fleet.score_usd,
            },
            "bound": {
                "scoreUsd": fleet.bound_usd,
                "gap": fleet.gap,
                "exact": fleet.exact,
                "method": fleet.method,
            },
            "workloads": [_entry(entry) for entry in fleet.entries],
            "quotas": [_pool(pool) for pool in fleet.pools],
            "inputs": fleet.inputs,
        }
    )
    return document


def _entry(entry: Entry) -> dict[str, Any]:
    costs = entry.cost_of_quotas()
    return {
        "name": entry.member.name,
        "path": entry.plan.inputs["workload"].get("path"),
        "decision": entry.plan.decision,
        "reason": entry.reason,
        "nearestMiss": entry.plan.nearest_miss,
        "objective": entry.plan.inputs["objective"]["name"],
        "scoreUsd": entry.member.score(entry.plan.chosen) if entry.plan.chosen else None,
        "costOfQuotas": None
        if costs is None
        else dict(zip(("scoreUsd", "costUsd", "gco2e"), costs, strict=True)),
        "chosen": entry.plan.chosen,
        "alone": entry.member.plan.chosen,
    }


def _pool(found: PoolUse) -> dict[str, Any]:
    quota = found.pool.quota
    limit = (
        {"gpu": quota.gpu, quota.name: quota.limit}
        if isinstance(quota, Quota)
        else {"name": quota.name, "code": quota.code, "unit": quota.unit, "limit": quota.limit}
    )
    return {
        "provider": found.pool.provider,
        "region": found.pool.region,
        **limit,
        "peak": found.use.peak,
        "fullHours": found.use.full.total_seconds() / 3600,
        "firstFull": found.use.first_full,
        "lastFull": found.use.last_full,
        "oneMoreSavesAboutUsd": found.worth_usd,
        "scarceHours": found.scarce_h,
    }
