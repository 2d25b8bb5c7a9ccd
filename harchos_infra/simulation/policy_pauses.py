"""Policies that pause a job while its grid is dirty, at home or in one zone that is chosen before it begins.

Without restart energy it runs in the cheapest seconds that are left, hour by hour: exact for any fraction of
an hour. With it, planner.interruptible decides in equal slots from the present time on: of an hour where jobs
arrive on the hour, else of the longest of 30, 15 and 5 minutes that divides what has passed of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.horizon import STEPS_S
from harchos_infra.planner.interruptible import interruptible
from harchos_infra.planner.window import HOUR_S, window_means
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.policy_window import alike, by_window
from harchos_infra.simulation.spans import Spans
from harchos_infra.simulation.world import World, least

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

Planner = Callable[[Jobs, World, bool, "Progress", "Ints"], Spans]
"""Plans jobs from the present time on: (jobs, world, anywhere, progress, now_s) to spans."""

_BEHIND = 2
"""Slots before the present that stand for what a job did until now."""


@dataclass
class Progress:
    """How far each job is: seconds of work left, whether it has begun, runs right now, and in which zone."""

    left_s: Ints
    begun: Bools
    running: Bools
    zone: Ints

    @classmethod
    def none(cls, jobs: Jobs) -> Progress:
        """Return that of jobs that have just arrived."""
        no = np.zeros(len(jobs), dtype=bool)
        return cls(jobs.duration_s.copy(), no, no.copy(), jobs.home.copy())

    def take(self, places: Ints) -> Progress:
        """Return that of these jobs, in this order."""
        return Progress(self.left_s[places], self.begun[places], self.running[places], self.zone[places])

    def run(self, spans: Spans, until_s: Ints) -> Spans:
        """Let the jobs run in `spans` up to `until_s` (jobs,), and return what they ran in."""
        done = Spans.of(spans.job, spans.zone, spans.start_s, np.minimum(spans.end_s, until_s[spans.job]))
        self.left_s -= np.bincount(
            done.job, weights=done.end_s - done.start_s, minlength=len(self.left_s)
        ).astype(np.int64)
        self.begun[done.job] = True
        self.zone[done.job] = done.zone
        self.running[:] = False
        self.running[done.job[done.end_s == until_s[done.job]]] = True
        return done


def by_pauses(jobs: Jobs, world: World, *, anywhere: bool) -> Spans:
    """Run interruptible jobs in the hours that are least in sum, as foreseen, and the others by window."""
    parts = []
    for can_pause in (False, True):
        members = np.flatnonzero(jobs.interruptible == can_pause)
        if not len(members):
            continue
        some = jobs.take(members)
        if not can_pause:
            parts.append(by_window(some, world, anywhere=anywhere).of_jobs(members))
            continue
        for piece in world.pieces(some, anywhere=anywhere):
            spans = step_by_step(some.take(piece), world, anywhere, plan_pauses)
            parts.append(spans.of_jobs(members[piece]))
            world.tick(len(piece))
    return Spans.joined(parts)


def step_by_step(jobs: Jobs, world: World, anywhere: bool, plan: Planner) -> Spans:
    """Plan all jobs, let them run until the next decision, and again with what is left."""
    progress, now, parts = Progress.none(jobs), jobs.arrival_s.copy(), []
    active = np.arange(len(jobs))
    while len(active):
        some = jobs.take(active)
        spans = plan(some, world, anywhere, progress.take(active), now[active]).of_jobs(active)
        if world.replan_s is None:
            return spans
        now[active] += world.replan_s
        parts.append(progress.run(spans, now))
        active = np.flatnonzero(progress.left_s > 0)
    return Spans.joined(parts)


def plan_pauses(jobs: Jobs, world: World, anywhere: bool, progress: Progress, now_s: Ints) -> Spans:
    """Return the spans that are least from `now_s` on for the work that is left, each job in one zone."""
    parts = []
    for bound in (False, True):
        for costly in (False, True):
            members = np.flatnonzero((progress.begun == bound) & ((jobs.restart_kwh > 0) == costly))
            if not len(members):
                continue
            some, state, now = jobs.take(members), progress.take(members), now_s[members]
            zones = state.zone[:, None] if bound else world.choices(some, anywhere=anywhere)
            solve = _in_slots if costly else _in_seconds
            parts.append(solve(some, world, zones, state, now).of_jobs(members))
    return Spans.joined(parts)


def _in_seconds(jobs: Jobs, world: World, zones: Ints, progress: Progress, now_s: Ints) -> Spans:
    """Run each job in its cheapest seconds of the best zone."""
    chosen, parts = np.zeros(len(jobs), dtype=np.int64), []
    moved_g = _placing_g(jobs, world, zones, progress, now_s)
    hour, phase = np.divmod(now_s, HOUR_S)
    for members, (earliest_s, deadline_s) in alike(zones.shape[1], phase, jobs.deadline_s - hour * HOUR_S):
        room_s = room(earliest_s, deadline_s)
        seen = world.seen(zones[members], hour[members], len(room_s))
        grams = jobs.kw[members, None] * cheapest_mean_hours(seen, room_s, progress.left_s[members])
        column = least(grams + moved_g[members])
        chosen[members] = zones[members, column]
        own = seen[np.arange(len(members)), column]
        used_s = cheapest_seconds(own, room_s, progress.left_s[members])
        spans = spans_of_seconds(used_s, room_s, now_s[members])
        parts.append(Spans(members[spans.job], chosen[members[spans.job]], spans.start_s, spans.end_s))
    return Spans.joined(parts)


def room(earliest_s: int, deadline_s: int) -> Ints:
    """Return the seconds of each hour that lie in [earliest_s, deadline_s), from that of `earliest_s` on."""
    marks = np.arange(-(-deadline_s // HOUR_S) + 1) * HOUR_S
    inside = np.clip(marks, earliest_s, deadline_s)
    return inside[1:] - inside[:-1]


def cheapest_mean_hours(seen: Floats, room_s: Ints, work_s: Ints) -> Floats:
    """Return the least sum of intensity x hours: seen (jobs, zones, hours), result (jobs, zones)."""
    order = np.argsort(seen, axis=2)
    filled = np.cumsum(room_s[order], axis=2)
    np.minimum(filled, work_s[:, None, None], out=filled)
    taken = np.diff(filled, axis=2, prepend=0)
    sums: Floats = (np.take_along_axis(seen, order, axis=2) * taken).sum(axis=2) / HOUR_S
    return sums


def cheapest_seconds(seen: Floats, room_s: Ints, work_s: Ints) -> Ints:
    """Return the seconds to run in each hour, the earliest of equal ones: seen and result (jobs, hours)."""
    order = np.argsort(seen, axis=1, kind="stable")
    filled = np.minimum(np.cumsum(room_s[order], axis=1), work_s[:, None])
    used = np.zeros(seen.shape, dtype=np.int64)
    np.put_along_axis(used, order, np.diff(filled, axis=1, prepend=0), axis=1)
    return used


def spans_of_seconds(used_s: Ints, room_s: Ints, now_s: Ints) -> Spans:
    """Return spans (zone 0) that run `used_s` (jobs, hours) of each hour from `now_s` (jobs,) on.

    An hour used in part is used at its end where the job goes on after it but did not run before it.
    """
    begins = np.cumsum(room_s) - room_s
    full = used_s == room_s
    before = np.pad(full[:, :-1], ((0, 0), (1, 0)))
    after = np.pad(used_s[:, 1:] > 0, ((0, 0), (0, 1)))
    late = np.where(after & ~before, room_s - used_s, 0)
    job, hour = np.nonzero(used_s)
    start = now_s[job] + begins[hour] + late[job, hour]
    return Spans(job, np.zeros_like(job), start, start + used_s[job, hour])


def _in_slots(jobs: Jobs, world: World, zones: Ints, progress: Progress, now_s: Ints) -> Spans:
    """Run each job in the slots of the best zone that planner.interruptible chooses, restarts counted."""
    parts = []
    moved_g = _placing_g(jobs, world, zones, progress, now_s)
    slot_s = slot_lengths(jobs.deadline_s, progress.left_s, now_s)
    at_once = np.flatnonzero(slot_s == 0)
    parts.append(_at_once(at_once, zones, progress, now_s))
    hour, phase = np.divmod(now_s, HOUR_S)
    keys = slot_s, phase, np.where(slot_s > 0, (jobs.deadline_s - now_s) // np.maximum(slot_s, 1), 0)
    for members, (slot, earliest_s, slots) in alike(zones.shape[1], *keys):
        if slot == 0:
            continue
        some, state = jobs.take(members), progress.take(members)
        seen = world.seen(zones[members], hour[members], -(-(earliest_s + slots * slot) // HOUR_S))
        cost, restart = slot_costs(some, seen, earliest_s, slot, slots)
        work, share = work_of(state.left_s, slot)
        total, mask = _solved(cost, restart, work, share, state)
        column = least(total + moved_g[members])
        each = np.arange(len(members))
        spans = spans_of_slots(mask[each, column], slot, now_s[members], state.left_s)
        parts.append(Spans(members[spans.job], zones[members, column][spans.job], spans.start_s, spans.end_s))
    return Spans.joined(parts)


def slot_lengths(deadline_s: Ints, left_s: Ints, now_s: Ints) -> Ints:
    """Return the longest slot that divides what has passed of the hour and leaves room; 0 if none does."""
    found = np.zeros_like(now_s)
    for slot in reversed(STEPS_S):
        fits = -(-left_s // slot) <= (deadline_s - now_s) // slot
        divides = (now_s % slot == 0) | (slot == STEPS_S[0])
        found = np.where((found == 0) & fits & divides, slot, found)
    return found


def work_of(left_s: Ints, slot: int) -> tuple[Ints, Floats]:
    """Return the slots that the work takes, and the share of the last one."""
    work = -(-left_s // slot)
    return work, (left_s - (work - 1) * slot) / slot


def slot_costs(jobs: Jobs, seen: Floats, earliest_s: int, slot: int, slots: int) -> tuple[Floats, Floats]:
    """Return the grams of running in each slot, and of a restart at its beginning: (jobs, zones, slots)."""
    starts = earliest_s + np.arange(slots) * slot
    flat = seen.reshape(-1, seen.shape[2])
    means = window_means(flat, starts, slot).reshape(*seen.shape[:2], slots)
    restart = jobs.restart_kwh[:, None, None] * seen[:, :, starts // HOUR_S]
    return jobs.kw[:, None, None] * (slot / HOUR_S) * means, restart


def _solved(
    cost: Floats, restart: Floats, work: Ints, share: Floats, progress: Progress
) -> tuple[Floats, Bools]:
    """Return totals (jobs, zones) and masks (jobs, zones, slots), going on with what jobs did until now.

    Two slots stand before the present: a job that runs ran in the second, one that is paused in the first, at
    a cost below what any schedule could take, so that its next start is a restart or none.
    """
    jobs, zones, slots = cost.shape
    behind = np.full((jobs, zones, _BEHIND), np.inf)
    bound = 1 + cost.sum(axis=2) + restart.max(axis=2, initial=0) * slots
    behind[progress.running, :, 1] = -bound[progress.running]
    paused = progress.begun & ~progress.running
    behind[paused, :, 0] = -bound[paused]
    with_past = np.concatenate([behind, cost], axis=2).reshape(jobs * zones, -1)
    restarts = np.concatenate([np.zeros_like(behind), restart], axis=2).reshape(jobs * zones, -1)
    total, mask = interruptible(
        with_past,
        np.repeat(work + progress.begun, zones),
        restart_cost=restarts,
        last_share=np.repeat(share, zones),
    )
    total = total.reshape(jobs, zones) + np.where(progress.begun[:, None], bound, 0.0)
    return total, mask.reshape(jobs, zones, -1)[:, :, _BEHIND:]


def spans_of_slots(mask: Bools, slot: int, now_s: Ints, left_s: Ints) -> Spans:
    """Return spans (zone 0) that run in the slots of `mask` (jobs, slots); of the last only what is left."""
    job, place = np.nonzero(mask)
    start = now_s[job] + place * slot
    last = np.append(job[1:] != job[:-1], True) if len(job) else np.zeros(0, dtype=bool)
    work, _ = work_of(left_s, slot)
    length = np.where(last, (left_s - (work - 1) * slot)[job], slot)
    return Spans(job, np.zeros_like(job), start, start + length)


def _at_once(members: Ints, zones: Ints, progress: Progress, now_s: Ints) -> Spans:
    """Run without a pause from now on: no slot fits into what is left of the time."""
    start = now_s[members]
    return Spans(members, zones[members, 0], start, start + progress.left_s[members])


def _placing_g(jobs: Jobs, world: World, zones: Ints, progress: Progress, now_s: Ints) -> Floats:
    """Return the grams of bringing each job's state to each zone; none once it has begun."""
    if progress.begun.any():
        return np.zeros(zones.shape)
    return world.placing_g(jobs, zones, world.move_means(jobs, zones, now_s))
