"""Schedules whose node count changes: every fixed count in its best window, the best count in each slot.

`duration` is the run time with `minNodes`, whose throughput is the first of the curve; with n nodes a run
takes duration x throughput(minNodes) / throughput(n). Changing the count costs nothing; a pause costs what it
does to any job, with the nodes that are stopped and started.

The counts of least cost without the cost of pauses are a bound on all others. Candidates whose bound is not
below the best known score keep their best fixed count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.course import Course, Leg
from harchos_infra.planner.elastic import Elastic, elastic, used_counts
from harchos_infra.planner.estimate import Estimates, windows
from harchos_infra.planner.request import Request
from harchos_infra.planner.slots import Slots
from harchos_infra.workload.document import Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def fixed_counts(scaling: Scaling, estimates: Estimates, members: Ints) -> list[Course]:
    """Return the greenest window of each member with each useful count above the least."""
    found: list[Course] = []
    for count in used_counts(scaling.throughput, scaling.min_nodes):
        if count == scaling.min_nodes:
            continue
        faster = scaling.throughput[count - scaling.min_nodes] / scaling.throughput[0]
        duration_s = np.ceil(estimates.duration_s[members] / faster - 1e-9).astype(np.int64)
        starts, _, _ = windows(estimates.horizon, estimates.rows[members], duration_s)
        found += [
            Course((Leg(member, start, start + length, count),))
            for member, start, length in zip(
                members.tolist(), starts.tolist(), duration_s.tolist(), strict=True
            )
        ]
    return found


def resized(
    request: Request, scaling: Scaling, estimates: Estimates, members: Ints, rho: Floats, best: Floats
) -> tuple[list[Course], Floats]:
    """Return the best count in each slot for each member whose bound is below its `best`.

    Also the bound of each member on schedules with pauses, infinite where there are none. `rho` are the
    members' rates (see `pausing`), `best` scores without transfers.
    """
    found: list[Course] = []
    bounds = np.full(len(members), np.inf)
    kw = estimates.node_kw[members]
    for duration_s in np.unique(estimates.duration_s[members]).tolist():
        same = np.flatnonzero((estimates.duration_s[members] == duration_s) & (kw > 0))
        slots = Slots.of(estimates.horizon, duration_s)
        if slots.count < 1:
            continue
        zones, zone = np.unique(estimates.rows[members[same]], return_inverse=True)
        rows, row = np.unique(np.stack([zone, rho[same]]), axis=1, return_inverse=True)
        cost = slots.running(zones)[rows[0].astype(np.int64)] + rows[1][:, None] * slots.hours
        work = duration_s / slots.step_s * scaling.throughput[0]
        free = elastic(cost, work, scaling.throughput, min_nodes=scaling.min_nodes, may_pause=True)
        bound = kw[same] * free.total[row]
        if request.may_pause:
            bounds[same] = bound
        promising = np.flatnonzero(bound < best[same])
        solved, place = np.unique(row[promising], return_inverse=True)
        solutions = [
            elastic(cost[solved], work, scaling.throughput, min_nodes=scaling.min_nodes, may_pause=False)
        ]
        if request.may_pause:
            solutions.append(_only(free, solved))
        for solution in solutions:
            pieces = [_pieces(solution, index, slots) for index in range(len(solved))]
            for member, index in zip(members[same][promising].tolist(), place.tolist(), strict=True):
                course = _course(request, member, pieces[index])
                if course is not None and np.isfinite(solution.total[index]):
                    found.append(course)
    return found, bounds


def _only(found: Elastic, rows: Ints) -> Elastic:
    return Elastic(
        found.total[rows],
        found.nodes[rows],
        found.mixed_slot[rows],
        found.mixed_nodes[rows],
        found.mixed_share[rows],
    )


def _pieces(found: Elastic, row: int, slots: Slots) -> list[tuple[int, int, int]]:
    """Return (start, end, nodes) of each span with one node count, none left out but those without nodes."""
    pieces: list[tuple[int, int, int]] = []
    counts = found.nodes[row].tolist()
    for slot, nodes in enumerate(counts):
        start_s, end_s = slots.start_s(slot), slots.start_s(slot + 1)
        if slot == found.mixed_slot[row]:
            more, share_s = int(found.mixed_nodes[row]), float(found.mixed_share[row]) * slots.step_s
            follows = slot > 0 and counts[slot - 1] == nodes and (nodes or not counts[slot - 1])
            is_last = nodes > 0 or (slot + 1 < len(counts) and counts[slot + 1] > 0)
            if follows and is_last:
                middle_s = end_s - int(np.ceil(share_s - 1e-6))
                pieces += [(start_s, middle_s, nodes), (middle_s, end_s, more)]
            else:
                middle_s = start_s + int(np.ceil(share_s - 1e-6))
                pieces += [(start_s, middle_s, more), (middle_s, end_s, nodes)]
        else:
            pieces.append((start_s, end_s, nodes))
    return _merged([piece for piece in pieces if piece[2] > 0 and piece[1] > piece[0]])


def _merged(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    merged: list[tuple[int, int, int]] = []
    for start_s, end_s, nodes in pieces:
        if merged and merged[-1][1:] == (start_s, nodes):
            merged[-1] = merged[-1][0], end_s, nodes
        else:
            merged.append((start_s, end_s, nodes))
    return merged


def _course(request: Request, member: int, pieces: list[tuple[int, int, int]]) -> Course | None:
    """Return the legs of pieces; None where a pause is too short to save and restart in."""
    legs = [Leg(member, start_s, end_s, nodes) for start_s, end_s, nodes in pieces]
    for index in range(1, len(legs)):
        before, after = legs[index - 1], legs[index]
        pause_s = after.start_s - before.end_s
        if pause_s == 0:
            continue
        if pause_s < request.save_s + request.restart_s:
            return None
        legs[index - 1] = before._replace(end_s=before.end_s + request.save_s, tail_s=request.save_s)
        legs[index] = after._replace(start_s=after.start_s - request.restart_s, lead_s=request.restart_s)
    return Course(tuple(legs)) if legs else None
