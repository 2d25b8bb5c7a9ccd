"""How many nodes a job should have in each slot: exact, for any throughput curve and many rows at once.

Problem. Time is cut into equal slots; one node costs c(t) in slot t. With n nodes, min <= n <= max, the job
does f(n) of its work in a slot. The node count may change at any time, so that in part of a slot it may be
another than in the rest; changing it costs nothing. The work must be done by the last slot, at least cost.
A job that may be paused may also have no node at all; another has at least `min` from its start to its end.

Nodes by shares of a slot reach every point below the upper concave hull of f and none above it: only hull
vertices are ever used, and each edge of the hull is an *increment* of dn nodes for df work, whose work costs
c(t) dn / df. Within a slot these prices rise, because the hull is concave: the increments may be taken in
order of price over all slots, until the work is done; of the last one only the share that is needed. It is
the greedy rule of CarbonScaler (Hanafy et al. 2023), optimal because the problem is a linear programme with
one constraint; where f is concave the hull is f itself.

A job that may not be paused: in a window of l slots from s on, the `min` nodes of all but the last slot are
taken first (the last may end early, so that its hull begins at no node), then increments as above; l lies
between work / f at its best and work / f(min). The dual of the programme bounds all windows at once, by
prefix sums; they are solved in order of their bounds until none is below the best.

Cost. O(K log K) a row for K = slots x hull edges. Without pauses O(slots x lengths) for the bounds, and
O(K log K) for each window that is solved: a handful in practice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_ITEMS = 500_000
"""Increments that are sorted at once."""
_ROUNDING = 1e-12
"""Share of the work that counts as none."""
_ROUND_SHARE = 1e-9
"""Share of a slot that counts as none."""
_TIE = 1e-9
"""Two totals within this share of each other are equal: the shorter and earlier window wins."""
_PRICES = 33
"""Prices of work that bound the windows of a job that may not pause."""


@dataclass(frozen=True, slots=True)
class Elastic:
    """Node counts of least cost: `nodes`, but for `mixed_share` of slot `mixed_slot` `mixed_nodes`.

    Shapes: `nodes` (rows, slots), the others (rows,). `total` is infinite, and there is no node, where no
    schedule is in time; `mixed_slot` is -1 where no slot has two node counts.
    """

    total: Floats
    nodes: Ints
    mixed_slot: Ints
    mixed_nodes: Ints
    mixed_share: Floats


def elastic(cost: Floats, work: float, throughput: ArrayLike, *, min_nodes: int, may_pause: bool) -> Elastic:
    """Return the node counts of least cost for each row of `cost`, of shape (rows, slots), none negative.

    `throughput` is the work that `min_nodes`, `min_nodes` + 1, … nodes do in one slot, in the unit of `work`;
    all are positive. Infinite costs are slots that are not available.
    """
    curve = np.asarray(throughput, dtype=np.float64)
    if not work > 0 or min_nodes < 1 or not (curve > 0).all():
        raise ValueError("work, nodes and throughput are positive")
    counts = np.arange(min_nodes, min_nodes + len(curve))
    from_none = _hull(np.concatenate([[0], counts]), np.concatenate([[0.0], curve]))
    found = Elastic(
        total=np.full(len(cost), np.inf),
        nodes=np.zeros(cost.shape, dtype=np.int64),
        mixed_slot=np.full(len(cost), -1),
        mixed_nodes=np.zeros(len(cost), dtype=np.int64),
        mixed_share=np.zeros(len(cost)),
    )
    for rows in _chunks(cost.shape, len(curve)):
        if may_pause:
            steps = _Steps.of(from_none, cost.shape[1])
            _fill(cost, steps, work, rows, np.zeros(len(rows), dtype=np.int64), found)
        else:
            problem = _Uninterrupted(work, _hull(counts, curve), from_none)
            for row in rows.tolist():
                problem.solve(cost, row, found)
    return found


@dataclass(frozen=True, slots=True)
class _Steps:
    """Increments of each slot of a window, (slots, edges): nodes and work (0: no edge); nodes at first."""

    nodes: Ints
    work: Floats
    base: Ints

    @classmethod
    def of(cls, hull: tuple[Ints, Floats], slots: int, last: tuple[Ints, Floats] | None = None) -> _Steps:
        """Return the edges of `hull` in every slot, or of `last` in the last one."""
        hulls = [hull] * (slots - 1) + [last or hull]
        edges = max(len(vertices) for vertices, _ in hulls) - 1
        nodes, work = np.ones((slots, edges), dtype=np.int64), np.zeros((slots, edges))
        for slot, (counts, done) in enumerate(hulls):
            nodes[slot, : len(counts) - 1], work[slot, : len(counts) - 1] = np.diff(counts), np.diff(done)
        return cls(nodes, work, np.array([counts[0] for counts, _ in hulls]))

    def prices(self, cost: Floats) -> Floats:
        """Return the cost of a unit of work by each increment, of shape (…, slots x edges)."""
        with np.errstate(divide="ignore"):
            each = self.nodes / self.work
        prices = np.where(self.work > 0, cost[..., None], np.inf) * each
        return prices.reshape(*cost.shape[:-1], -1)


@dataclass(frozen=True, slots=True)
class _Uninterrupted:
    """Jobs that may not pause: a window is `slots` long, all but its last slot has the hull's least nodes."""

    work: float
    hull: tuple[Ints, Floats]
    from_none: tuple[Ints, Floats]

    def solve(self, cost: Floats, row: int, found: Elastic) -> None:
        """Try the windows of one row in order of their bounds, until no bound is below the best."""
        lengths, starts, bounds = self._bounds(cost[row])
        unit = _TIE * max(float(bounds.min(initial=np.inf)), np.finfo(float).tiny)
        with np.errstate(invalid="ignore", over="ignore"):
            order = np.lexsort((starts, lengths, np.floor(bounds / unit)))
        best, chosen = np.inf, -1
        for window in order.tolist():
            if not bounds[window] < best * (1 - _TIE):
                break
            length, start = int(lengths[window]), int(starts[window])
            total = self._total(cost[row, start : start + length])
            if total < best * (1 - _TIE):
                best, chosen = total, window
        if chosen >= 0:
            steps, need = self._steps(int(lengths[chosen]))
            _fill(cost, steps, need, np.array([row]), starts[chosen : chosen + 1], found)

    def _bounds(self, cost: Floats) -> tuple[Ints, Ints, Floats]:
        """Return length, start and bound of every window with a finite bound.

        For any price of work, the sum over slots of the least of (cost - price x work done), plus the price
        of all work, is no more than the least cost: the dual. The highest over some prices is taken.
        """
        is_there = np.isfinite(cost)
        known = np.where(is_there, cost, 0.0)
        offered = _Steps.of(self.from_none, len(cost)).prices(cost)
        offered = offered[np.isfinite(offered)]
        if not len(offered):
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        prices = np.quantile(offered, np.linspace(0, 1, _PRICES))
        slot, last = (
            (nodes * known[:, None, None] - prices[:, None] * done).min(axis=2)
            for nodes, done in (self.hull, self.from_none)
        )
        last = np.where(is_there[:, None], last, 0.0)
        before = np.concatenate([np.zeros((1, _PRICES)), np.cumsum(slot, axis=0)])
        gaps = np.concatenate([[0], np.cumsum(~is_there)])
        least, most = self.hull[1][0], self.from_none[1][-1]
        longest = min(ceil(self.work / least * (1 - _ROUNDING)), len(cost))
        found = []
        for length in range(ceil(self.work / most * (1 - _ROUNDING)), longest + 1):
            end = np.arange(length, len(cost) + 1)
            sums = before[end - 1] - before[end - length] + last[end - 1] + prices * self.work
            bound = np.where(gaps[end - 1] > gaps[end - length], np.inf, np.maximum(sums.max(axis=1), 0.0))
            kept = np.flatnonzero(np.isfinite(bound))
            found.append((np.full(len(kept), length), end[kept] - length, bound[kept]))
        lengths, starts, bounds = zip(*found, strict=True) if found else ((), (), ())
        return (
            np.concatenate([np.zeros(0, np.int64), *lengths]),
            np.concatenate([np.zeros(0, np.int64), *starts]),
            np.concatenate([np.zeros(0), *bounds]),
        )

    def _steps(self, length: int) -> tuple[_Steps, float]:
        """Return the increments of a window, and the work beside that of its least nodes."""
        steps = _Steps.of(self.hull, length, self.from_none)
        return steps, self.work - float(self.hull[1][0]) * (length - 1)

    def _total(self, window: Floats) -> float:
        steps, need = self._steps(len(window))
        base = float(self.hull[0][0] * window[:-1].sum()) if len(window) > 1 else 0.0
        return base + float(_least(steps.prices(window)[None], steps, need)[0])


def _least(prices: Floats, steps: _Steps, need: float) -> Floats:
    """Return what `need` costs at least, of shape prices.shape[:-1]; infinite where there is not so much."""
    order = np.argsort(prices, axis=-1, kind="stable")
    taken = _taken(steps.work.ravel()[order], need)
    total: Floats = _times(np.take_along_axis(prices, order, axis=-1), taken).sum(axis=-1)
    total[taken.sum(axis=-1) < need * (1 - _ROUNDING)] = np.inf
    return total


def _taken(work: Floats, need: float) -> Floats:
    """Return how much of each increment, in order of price, is taken."""
    return np.clip(need - (np.cumsum(work, axis=-1) - work), 0.0, work)


def _times(cost: Floats, count: Floats | Ints) -> Floats:
    """Return cost x count, nothing where the count is nothing though the cost be infinite."""
    product: Floats = np.where(count > 0, cost, 0.0) * count.astype(np.float64)
    return product


def _fill(cost: Floats, steps: _Steps, need: float, rows: Ints, first: Ints, found: Elastic) -> None:
    """Write the schedule of each of `rows`, whose window begins in its slot `first`, into `found`."""
    slots, edges = steps.work.shape
    places = first[:, None] + np.arange(slots)
    window = cost[rows[:, None], places]
    prices = steps.prices(window)
    order = np.argsort(prices, axis=-1, kind="stable")
    taken = np.zeros_like(prices)
    np.put_along_axis(taken, order, _taken(steps.work.ravel()[order], need), axis=-1)
    total = np.where(taken.sum(axis=-1) < need * (1 - _ROUNDING), np.inf, _times(prices, taken).sum(axis=-1))
    share = taken / np.where(steps.work > 0, steps.work, 1.0).ravel()
    whole, mixed = share >= 1 - _ROUND_SHARE, (share > _ROUND_SHARE) & (share < 1 - _ROUND_SHARE)
    nodes = steps.base + (whole.reshape(-1, slots, edges) * steps.nodes).sum(axis=-1)
    nodes[~np.isfinite(total)] = 0
    found.nodes[rows[:, None], places] = nodes
    found.total[rows] = total + _times(
        window[:, :-1], np.broadcast_to(steps.base[:-1], window[:, :-1].shape)
    ).sum(axis=-1)
    item, each = mixed.argmax(axis=-1), np.arange(len(rows))
    is_mixed = mixed[each, item] & np.isfinite(total)
    slot = item // edges
    found.mixed_slot[rows] = np.where(is_mixed, first + slot, -1)
    found.mixed_nodes[rows] = np.where(is_mixed, nodes[each, slot] + steps.nodes.ravel()[item], 0)
    found.mixed_share[rows] = np.where(is_mixed, share[each, item], 0.0)


def _chunks(shape: tuple[int, ...], edges: int) -> Iterator[Ints]:
    rows, slots = shape
    size = max(_ITEMS // max(slots * edges, 1), 1)
    for first in range(0, rows, size):
        yield np.arange(first, min(first + size, rows))


def _hull(nodes: Ints, work: Floats) -> tuple[Ints, Floats]:
    """Return the vertices of the upper concave hull from the first point to the first highest one."""
    kept = [0]
    for point in range(1, int(work.argmax()) + 1):
        while len(kept) > 1 and _is_below(nodes, work, kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return nodes[kept], work[kept]


def _is_below(nodes: Ints, work: Floats, a: int, b: int, c: int) -> bool:
    """Tell whether point b is on or below the line from a to c."""
    return bool((work[b] - work[a]) * (nodes[c] - nodes[a]) <= (work[c] - work[a]) * (nodes[b] - nodes[a]))


def used_counts(throughput: ArrayLike, min_nodes: int) -> list[int]:
    """Return the node counts that a schedule may use: the hull's vertices, with and without no node."""
    curve = np.asarray(throughput, dtype=np.float64)
    counts = np.arange(min_nodes, min_nodes + len(curve))
    from_none = _hull(np.concatenate([[0], counts]), np.concatenate([[0.0], curve]))[0]
    return sorted({*from_none[1:].tolist(), *_hull(counts, curve)[0].tolist()})
