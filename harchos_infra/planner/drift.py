"""Whether a plan made earlier still holds: what has moved since, past a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from harchos_infra.planner.plan import Plan, Schedule

TOLERANCE = 0.05
_SOURCES = {
    "catalog": "the price catalogue",
    "signal": "the carbon signal",
    "measured": "what runs were measured to take",
}
START_GRACE = timedelta(minutes=15)
"""A start this long ago still counts as now: the time between `plan` and `apply`."""


def drift(old: Plan, new: Plan, *, tolerance: float = TOLERANCE) -> list[str]:
    """Return what has moved from `old` to `new`, a plan of the same file made now; empty where it holds.

    With the same catalogue, signal and measurements no figure can have moved. Where one of them changed,
    price, power, cost and mean intensity of the planned offer are compared with what it has in the new plan,
    and the new winner with the old; an offer that is neither chosen nor on the front any more has lost too
    much to be applied.
    """
    return [*_workload(old, new), *_quotas(old, new), *_time(old, new), *_figures(old, new, tolerance)]


def _workload(old: Plan, new: Plan) -> Iterator[str]:
    before, after = old.inputs["workload"].get("sha256"), new.inputs["workload"].get("sha256")
    if before != after or old.workload != new.workload:
        path = new.inputs["workload"].get("path", "the workload")
        yield f"{path} was changed after the plan was made"


def _quotas(old: Plan, new: Plan) -> Iterator[str]:
    before, after = (plan.inputs.get("queue", {}).get("quotas") for plan in (old, new))
    if before and after and before["sha256"] != after["sha256"]:
        yield f"{after['path']} was changed after the plan was made"


def _time(old: Plan, new: Plan) -> Iterator[str]:
    if old.chosen is None:
        return
    late = new.now - old.chosen.start
    if late > START_GRACE:
        hours, minutes = divmod(int(late.total_seconds()) // 60, 60)
        yield f"the planned start, {old.chosen.start:%Y-%m-%d %H:%M} UTC, passed {hours} h {minutes} min ago"


def _figures(old: Plan, new: Plan, tolerance: float) -> Iterator[str]:
    changed = [s for s in _SOURCES if _fingerprint(old, s) != _fingerprint(new, s)]
    if not changed or old.chosen is None:
        return
    if new.chosen is None:
        yield f"nothing fits any more: {new.nearest_miss}"
        return
    same = _same_offer(old.chosen, new)
    if same is None:
        fate = _fate(old.chosen, new)
        yield f"{' and '.join(_SOURCES[s] for s in changed)} changed, and {fate}"
        return
    yield from _moved(old.chosen, same, tolerance)
    if new.chosen.offers != old.chosen.offers:
        yield from _winner(old.chosen, new.chosen, tolerance)


def _fingerprint(plan: Plan, source: str) -> str | None:
    found: str | None = plan.inputs.get(source, {}).get("fingerprint")
    return found


def _same_offer(old: Schedule, new: Plan) -> Schedule | None:
    schedules = (new.chosen, *new.frontier, *new.baselines.values())
    return next((s for s in schedules if s and s.offers == old.offers), None)


def _fate(old: Schedule, new: Plan) -> str:
    offer = old.segments[0].offer
    name = f"{offer[0]}/{offer[1]} {offer[2]} ({offer[3]})"
    for lost in new.rejected:
        if lost.offer == offer:
            return f"{name} has lost: {lost.reason}, {lost.detail}"
    return f"{name} is not offered any more"


def _moved(old: Schedule, new: Schedule, tolerance: float) -> Iterator[str]:
    before, after = old.segments[0], new.segments[0]
    figures: dict[str, tuple[float, float]] = {
        "price": (before.price_usd_hour, after.price_usd_hour),
        "power": (before.power_watts * before.pue, after.power_watts * after.pue),
        "cost": (old.cost_usd, new.cost_usd),
        "carbon intensity of its window": (_mean(old), _mean(new)),
    }
    for name, (then, now) in figures.items():
        if abs(now - then) > tolerance * abs(then):
            yield f"{name} {_share(then, now)} ({then:.4g} to {now:.4g})"


def _mean(schedule: Schedule) -> float:
    energy = schedule.energy_kwh
    return schedule.breakdown["operationalGco2e"] / energy if energy else 0.0


def _share(then: float, now: float) -> str:
    return f"{(now - then) / then:+.1%}" if then else "rose from nothing"


def _winner(old: Schedule, new: Schedule, tolerance: float) -> Iterator[str]:
    cheaper = new.cost_usd < old.cost_usd * (1 - tolerance)
    cleaner = new.gco2e < old.gco2e * (1 - tolerance)
    if cheaper or cleaner:
        place: Any = new.segments[0]
        yield (
            f"another offer wins now: {place.provider}/{place.region} {place.instance_type}, "
            f"{new.cost_usd:.4g} USD and {new.gco2e:.4g} gCO2e instead of "
            f"{old.cost_usd:.4g} and {old.gco2e:.4g}"
        )
