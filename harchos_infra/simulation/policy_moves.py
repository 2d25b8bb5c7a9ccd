"""Policies that may also move a job between zones while it is paused, and the best that hindsight allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.migration import NOWHERE, migrating
from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Perfect
from harchos_infra.simulation.policy_pauses import (
    Progress,
    by_pauses,
    cheapest_seconds,
    room,
    slot_costs,
    slot_lengths,
    spans_of_seconds,
    spans_of_slots,
    step_by_step,
    work_of,
)
from harchos_infra.simulation.policy_window import alike, by_window
from harchos_infra.simulation.spans import Spans, account
from harchos_infra.simulation.world import World, move_kwh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def by_moves(jobs: Jobs, world: World) -> Spans:
    """Run interruptible jobs where and when it is least, moves included, and the others by window anywhere.

    A job with neither restart energy nor state follows the greenest zone hour by hour. Any other is planned
    by planner.migration in the slots of `by_pauses`; a move takes a slot in which it does not run.
    """
    parts = []
    fixed = np.flatnonzero(~jobs.interruptible)
    if len(fixed):
        parts.append(by_window(jobs.take(fixed), world, anywhere=True).of_jobs(fixed))
    moving = np.flatnonzero(jobs.interruptible)
    some = jobs.take(moving)
    for piece in world.pieces(some, anywhere=True):
        spans = step_by_step(some.take(piece), world, True, _plan_moves)
        parts.append(spans.of_jobs(moving[piece]))
        world.tick(len(piece))
    return Spans.joined(parts)


def oracle(jobs: Jobs, world: World) -> Spans:
    """Return for each job the least that its deadline allows in hindsight: windows, pauses and moves."""
    knowing = World(world.series, Perfect(world.series), None, world.prices, world.tick)
    jobs = replace(jobs, expected_s=jobs.duration_s)
    best = by_window(jobs, knowing, anywhere=True)
    pausable = np.flatnonzero(jobs.interruptible)
    if not len(pausable):
        return best
    some = jobs.take(pausable)
    for spans in (by_pauses(some, knowing, anywhere=True), by_moves(some, knowing)):
        best = _better(jobs, world, best, spans.of_jobs(pausable))
    return best


def _better(jobs: Jobs, world: World, one: Spans, other: Spans) -> Spans:
    """Return, job by job, the spans of `other` where they take less than those of `one`."""
    covered = np.unique(other.job)
    grams = np.full(len(jobs), np.inf)
    places = np.full(len(jobs), -1)
    places[covered] = np.arange(len(covered))
    renumbered = Spans(places[other.job], other.zone, other.start_s, other.end_s)
    grams[covered] = account(jobs.take(covered), world.series, renumbered).gco2
    better = grams < account(jobs, world.series, one).gco2
    return Spans.joined([_only(one, ~better), _only(other, better)])


def _only(spans: Spans, jobs: NDArray[np.bool_]) -> Spans:
    kept = jobs[spans.job]
    return Spans(spans.job[kept], spans.zone[kept], spans.start_s[kept], spans.end_s[kept])


def _plan_moves(jobs: Jobs, world: World, anywhere: bool, progress: Progress, now_s: Ints) -> Spans:
    free = (jobs.restart_kwh == 0) & (jobs.state_gib == 0)
    parts = [
        solve(jobs.take(members), world, progress.take(members), now_s[members]).of_jobs(members)
        for members, solve in ((np.flatnonzero(free), _follow), (np.flatnonzero(~free), _programmes))
        if len(members)
    ]
    return Spans.joined(parts)


def _follow(jobs: Jobs, world: World, progress: Progress, now_s: Ints) -> Spans:
    """Run each job in its cheapest seconds, each hour in the zone that is greenest in it."""
    zones, parts = world.choices(jobs, anywhere=True), []
    hour, phase = np.divmod(now_s, HOUR_S)
    for members, (earliest_s, deadline_s) in alike(zones.shape[1], phase, jobs.deadline_s - hour * HOUR_S):
        room_s = room(earliest_s, deadline_s)
        seen = world.seen(zones[members], hour[members], len(room_s))
        used_s = cheapest_seconds(seen.min(axis=1), room_s, progress.left_s[members])
        spans = spans_of_seconds(used_s, room_s, now_s[members])
        column = seen.argmin(axis=1)[spans.job, spans.start_s // HOUR_S - hour[members][spans.job]]
        job = members[spans.job]
        parts.append(Spans(job, zones[job, column], spans.start_s, spans.end_s))
    return Spans.joined(parts)


def _programmes(jobs: Jobs, world: World, progress: Progress, now_s: Ints) -> Spans:
    """Solve one job after the other by planner.migration."""
    zones = world.choices(jobs, anywhere=True)
    placing_g = world.placing_g(jobs, zones, world.move_means(jobs, zones, now_s))
    slot_s = slot_lengths(jobs.deadline_s, progress.left_s, now_s)
    parts = []
    for place, slot in enumerate(slot_s.tolist()):
        job, member = jobs.take(np.array([place])), np.array([place])
        state, now = progress.take(member), now_s[member]
        if slot == 0:
            parts.append(Spans(member, state.zone, now, now + state.left_s))
            continue
        phase = int(now[0]) % HOUR_S
        slots = int(jobs.deadline_s[place] - now[0]) // slot
        seen = world.seen(zones[member], now // HOUR_S, -(-(phase + slots * slot) // HOUR_S))
        kept = _undominated(seen[0], zones[place], {int(job.home[0]), int(state.zone[0])})
        where = _solve(
            job, state, seen[:, kept], phase, slot, slots, placing_g[place, kept], zones[place, kept]
        )
        spans = spans_of_slots((where != NOWHERE)[None], slot, now, state.left_s)
        zone = where[(spans.start_s - now[0]) // slot]
        parts.append(Spans(np.full_like(zone, place), zone, spans.start_s, spans.end_s))
    return Spans.joined(parts)


def _solve(
    job: Jobs,
    state: Progress,
    seen: Floats,
    phase: int,
    slot: int,
    slots: int,
    placing_g: Floats,
    zones: Ints,
) -> Ints:
    """Return the zone of each slot, or NOWHERE; what the job did until now stands in two slots before."""
    (cost,), (restart,) = slot_costs(job, seen, phase, slot, slots)
    work, share = work_of(state.left_s, slot)
    half = move_kwh(job)[0] * seen[0].mean(axis=1) / 2
    behind = np.full((len(zones), 2), np.inf)
    begun = bool(state.begun[0])
    if begun:
        bound = 1 + cost.max() * slots + (restart.max() + 2 * half.max()) * slots
        behind[zones == state.zone[0], int(state.running[0])] = -bound
    _, column = migrating(
        np.concatenate([behind, cost], axis=1),
        int(work[0]) + begun,
        move_cost=(half, half),
        start_cost=np.zeros(len(zones)) if begun else placing_g,
        restart_cost=np.concatenate([np.zeros_like(behind), restart], axis=1),
        last_share=float(share[0]),
    )
    return np.where(column == NOWHERE, NOWHERE, zones[column])[2:]


def _undominated(seen: Floats, zones: Ints, needed: set[int]) -> Ints:
    """Return the columns of zones that no other is greener than in every hour, and those of `needed`.

    All costs rise with the intensity but for a job's home and the zone it is in, which cost no move.
    """
    kept: list[int] = []
    for column in np.argsort(seen.mean(axis=1), kind="stable").tolist():
        beaten = bool((seen[kept] <= seen[column]).all(axis=1).any()) if kept else False
        if not beaten or int(zones[column]) in needed:
            kept.append(column)
    return np.array(sorted(kept))
