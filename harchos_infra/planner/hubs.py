"""The hubs of a queue: from the schedules of single ones to that of all together, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import fsum

from harchos_infra.planner.plan import Part, Schedule, Segment


def joined(parts: Sequence[Part]) -> Schedule:
    """Return what all hubs do as one schedule.

    Hubs in one place and the same hours are one segment; segments of different parts may overlap.
    """
    every = [times(part.chosen, part.hubs) for part in parts]
    names = dict.fromkeys(name for whole in every for name in whole.breakdown)
    segments = (segment for whole in every for segment in whole.segments)
    return Schedule(
        segments=tuple(sorted(segments, key=lambda segment: (segment.start, segment.offer, segment.end))),
        cost_usd=fsum(whole.cost_usd for whole in every),
        energy_kwh=fsum(whole.energy_kwh for whole in every),
        gco2e=fsum(whole.gco2e for whole in every),
        finish=max(whole.finish for whole in every),
        breakdown={name: fsum(whole.breakdown.get(name, 0.0) for whole in every) for name in names},
        gap=max(whole.gap for whole in every),
    )


def times(one: Schedule, hubs: int) -> Schedule:
    """Return what so many hubs do that all have one schedule."""
    return _changed(one, lambda nodes: nodes * hubs, lambda value: value * hubs)


def of_one(whole: Schedule, hubs: int) -> Schedule:
    """Return what one of so many hubs does that all have one schedule, of which this is the whole."""
    return _changed(whole, lambda nodes: nodes // hubs, lambda value: value / hubs)


def _changed(schedule: Schedule, nodes: Callable[[int], int], value: Callable[[float], float]) -> Schedule:
    """Return a schedule with another number of nodes, and the figures that they share."""
    return replace(
        schedule,
        segments=tuple(
            replace(
                segment,
                nodes=nodes(segment.nodes),
                move_usd=value(segment.move_usd),
                move_gco2e=value(segment.move_gco2e),
            )
            for segment in schedule.segments
        ),
        cost_usd=value(schedule.cost_usd),
        energy_kwh=value(schedule.energy_kwh),
        gco2e=value(schedule.gco2e),
        breakdown={name: value(part) for name, part in schedule.breakdown.items()},
    )


def peak_usd_hour(chosen: Schedule) -> float:
    """Return what all machines that are up at once cost an hour, at the most."""
    segments = chosen.segments
    return max(_usd_hour(s for s in segments if s.start <= other.start < s.end) for other in segments)


def _usd_hour(segments: Iterable[Segment]) -> float:
    return fsum(segment.nodes * segment.price_usd_hour for segment in segments)
