"""One occurrence of a recurring workload: the window that its cron opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from harchos_infra.workload.cron import Ticks
from harchos_infra.workload.document import Repetition, Workload


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A tick, and until when what it begins may be begun or made up for; both in UTC."""

    tick: datetime
    closes: datetime
    """`doneWithin` after the tick; the next tick where the window has no length."""

    @classmethod
    def at(cls, schedule: Repetition, tick: datetime) -> Occurrence:
        """Return the occurrence of one tick."""
        if schedule.done_within_h is None:
            return cls(tick, next(ticks(schedule).after(tick)))
        return cls(tick, tick + timedelta(hours=schedule.done_within_h))


def ticks(schedule: Repetition) -> Ticks:
    """Return when a workload recurs."""
    return Ticks(schedule.cron, schedule.timezone)


def next_occurrence(workload: Workload, now: datetime) -> Workload:
    """Return a recurring workload as it is to be run from its next tick on; any other one as it is."""
    schedule = workload.spec.schedule
    return workload if schedule is None else at_tick(workload, ticks(schedule).next(now))


def at_tick(workload: Workload, tick: datetime) -> Workload:
    """Return a recurring workload for one tick: nothing starts before it, and all is done in its window."""
    schedule = workload.spec.schedule
    assert schedule is not None
    hours = schedule.done_within_h
    wishes = {
        "earliest_start": tick,
        "deadline": None if hours is None else tick + timedelta(hours=hours),
    }
    return workload.model_copy(update={"spec": workload.spec.model_copy(update=wishes)})


def describe(schedule: Repetition, tick: datetime, *, more: int = 2) -> str:
    """Return an occurrence in words, in the time zone of its schedule, and which come next."""
    zone = ZoneInfo(schedule.timezone)
    window = [tick] if schedule.done_within_h is None else [tick, Occurrence.at(schedule, tick).closes]
    shown = " to ".join(f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in window)
    following = islice(ticks(schedule).after(tick), more)
    then = ", ".join(f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in following)
    return f"{shown} {schedule.timezone}, of {schedule.cron}; then {then}"
