"""When one job that may be paused should run: exact, for any number of rows (zones, offers or jobs) at once.

Problem. Time is cut into equal slots. Running in slot t costs c(t), infinite where it is not available. A job
needs W slots of work. At a pause it is stopped at the end of a slot s, which costs save(s), and resumed at
the start of a slot t with t - s - 1 >= g slots between, which costs restart(t). The first start and the last
end cost nothing more. Of the last slot only a share may be needed. Find the slots of least total cost.

Without any of these costs it is the W cheapest slots: one partition. Otherwise a dynamic programme over
(slot, work done, running or paused). A(t, w) is the least cost with w slots worked and slot t the last of
them, P(t, w) the least cost of a job that has w slots behind it and may be resumed at the start of slot t:

    A(t, w) = c(t) + min(A(t - 1, w - 1), P(t, w - 1) + restart(t)),    A(t, 1) = c(t)
    P(t, w) = min(P(t - 1, w), A(t - 1 - g, w) + save(t - 1 - g))
    total   = min over t of the first line at w = W, with the share of the last slot in place of all of c(t)

Each minimum leaves one bit, by which the slots are read back. Of equal costs the job that goes on wins over
the one that is resumed, and the earlier end over the later: nothing is paused without a gain.

Cost. O(rows x slots x min(W, slots - W)): only states that can still become W slots are looked at. Memory is
bounded by taking the rows in chunks. The programme is the one of planning with start-up costs (Wagner and
Whitin 1958; for carbon, the interruptible schedules of Wiesner et al. 2021 with a cost on each pause).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_STATES = 40_000
"""Work x rows that are held at once: so many floats stay in a processor's cache."""
_BITS = 24_000_000
"""Slots x work x rows whose bits are held at once, two bytes each."""


def interruptible(
    cost: Floats,
    work_slots: int | Ints,
    *,
    save_cost: ArrayLike = 0.0,
    restart_cost: ArrayLike = 0.0,
    gap_slots: int = 1,
    last_share: float | Floats = 1.0,
) -> tuple[Floats, Bools]:
    """Return the least total of each row, infinite where none is feasible, and the slots that it runs in.

    `cost` has shape (rows, slots), without NaN; `save_cost` (of a stop at the end of a slot) and
    `restart_cost` (of a resume at its start) broadcast to it. `work_slots` (1 or more) and `last_share` (of
    the last slot, more than 0 and at most 1) may differ by row. `gap_slots` are the least slots of a pause,
    which has one at least. The mask has the shape of `cost`. Raises ValueError where there is no work.
    """
    rows, slots = cost.shape
    work = np.broadcast_to(np.asarray(work_slots, dtype=np.int64), (rows,))
    share = np.broadcast_to(np.asarray(last_share, dtype=np.float64), (rows,))
    if rows and work.min() < 1:
        raise ValueError("a job needs at least one slot of work")
    save, restart = np.asarray(save_cost, dtype=np.float64), np.asarray(restart_cost, dtype=np.float64)
    if not save.any() and not restart.any() and gap_slots <= 1 and (share == 1.0).all():
        return _cheapest(cost, work)
    save, restart = np.broadcast_to(save, cost.shape), np.broadcast_to(restart, cost.shape)
    total, running = np.full(rows, np.inf), np.zeros((rows, slots), dtype=bool)
    feasible = np.flatnonzero(work <= slots)
    feasible = feasible[np.argsort(work[feasible], kind="stable")]
    for chunk in _chunks(work[feasible], slots):
        part = feasible[chunk]
        total[part], running[part] = _programme(
            cost[part], work[part], save[part], restart[part], max(gap_slots, 1), share[part]
        )
    return total, running


def spans(running: Bools) -> list[tuple[int, int]]:
    """Return the runs of true slots in a mask of shape (slots,), as (first, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], running, [False]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _cheapest(cost: Floats, work: Ints) -> tuple[Floats, Bools]:
    """Return the `work` cheapest slots of each row, the earliest of equals."""
    rows, slots = cost.shape
    total, running = np.full(rows, np.inf), np.zeros((rows, slots), dtype=bool)
    for length in np.unique(work[work <= slots]).tolist():
        members = np.flatnonzero(work == length)
        costs = cost[members]
        dearest = np.partition(costs, length - 1, axis=1)[:, length - 1 : length]
        cheaper, equal = costs < dearest, costs == dearest
        left = length - cheaper.sum(axis=1, keepdims=True)
        taken = cheaper | (equal & (np.cumsum(equal, axis=1) <= left))
        total[members] = np.where(taken, costs, 0.0).sum(axis=1)
        running[members] = taken
    running[~np.isfinite(total)] = False
    return total, running


def _chunks(work: Ints, slots: int) -> list[slice]:
    """Return slices of rows (sorted by work) that fit the bounds on memory."""
    found, first = [], 0
    while first < len(work):
        most = int(work[min(first + _STATES, len(work)) - 1])
        rows = max(min(_STATES // most, _BITS // (most * slots)), 1)
        found.append(slice(first, first + rows))
        first += rows
    return found


def _programme(
    cost: Floats, work: Ints, save: Floats, restart: Floats, gap: int, share: Floats
) -> tuple[Floats, Bools]:
    """Solve one chunk. States have the axes (work done - 1, rows)."""
    rows, slots = cost.shape
    most, least, each = int(work.max()), int(work.min()), np.arange(rows)
    by_slot = [np.ascontiguousarray(a.T) for a in (cost, save, restart)]
    history = np.full((gap + 1, most, rows), np.inf)
    paused = np.full((most, rows), np.inf)
    resumed, stopped = (np.zeros((slots, most, rows), dtype=bool) for _ in range(2))
    total, end, spare = np.full(rows, np.inf), np.full(rows, -1), np.empty((most, rows))
    for t in range(slots):
        low, high = max(least - slots + t, 0), min(most, t + 1)
        from_, to = max(low - 1, 0), min(high, most - 1)
        before, now = history[(t - 1) % (gap + 1)], history[t % (gap + 1)]
        if t > gap:
            stop = np.add(now[from_:to], by_slot[1][t - 1 - gap], out=spare[from_:to])
            np.less(stop, paused[from_:to], out=stopped[t, from_:to])
            np.minimum(paused[from_:to], stop, out=paused[from_:to])
        first = max(low, 1)
        resume = np.add(paused[first - 1 : high - 1], by_slot[2][t], out=spare[first:high])
        np.less(resume, before[first - 1 : high - 1], out=resumed[t, first:high])
        np.minimum(resume, before[first - 1 : high - 1], out=now[first:high])
        if low == 0:
            now[0] = 0.0
        if least - 1 < high:
            _end(now, by_slot[0][t] * share, work, each, t, total, end)
        now[low:high] += by_slot[0][t]
    return total, _read_back(work, gap, end, resumed, stopped)


def _end(now: Floats, last: Floats, work: Ints, each: Ints, t: int, total: Floats, end: Ints) -> None:
    """Let each row end in slot t where that is the cheapest end so far."""
    ended = np.where(work <= t + 1, now[np.minimum(work, t + 1) - 1, each], np.inf) + last
    better = ended < total
    total[better] = ended[better]
    end[better] = t


def _read_back(work: Ints, gap: int, end: Ints, resumed: Bools, stopped: Bools) -> Bools:
    """Follow the bits from each row's end: `at` is the slot to look at next, `done` the work before it."""
    slots, rows = resumed.shape[0], len(work)
    running = np.zeros((rows, slots), dtype=bool)
    at, done, is_paused = end.copy(), work - 1, np.zeros(rows, dtype=bool)
    for t in range(slots - 1, -1, -1):
        runs = np.flatnonzero((at == t) & ~is_paused)
        running[runs, t] = True
        is_paused[runs] = resumed[t, done[runs], runs]
        done[runs] -= 1
        at[runs] = np.where(done[runs] < 0, -1, np.where(is_paused[runs], t, t - 1))
        waits = np.flatnonzero((at == t) & is_paused)
        stops = stopped[t, done[waits], waits]
        is_paused[waits] = ~stops
        at[waits] = np.where(stops, t - 1 - gap, t - 1)
    return running
