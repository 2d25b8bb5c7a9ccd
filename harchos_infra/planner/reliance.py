"""Whether a choice rests on zones that fell back: their intensity is not of the signal asked for first."""

from __future__ import annotations

from harchos_infra.planner.plan import Plan


def rests_on(plan: Plan) -> list[str]:
    """Return the zones that fell back and that the chosen schedule, the Pareto front or a baseline runs in.

    Another schedule would perhaps have been chosen, or another saving stated, had they not fallen back. A
    zone that fell back and lost is not among them.
    """
    fallen = plan.inputs["signal"].get("fellBack", {})
    schedules = filter(None, (plan.chosen, *plan.frontier, *plan.baselines.values()))
    return sorted({s.zone for schedule in schedules for s in schedule.segments if s.zone in fallen})
