"""Schedules that move from place to place while they are paused.

A place is an offer in a region; a job moves between places in which it takes equally long. A move from r to s
transfers the checkpoint and, into another region, the job's data once more:

    USD     = checkpoint GB x egress price(r, s) + data into s
    gCO2e   = checkpoint GB x kWh per GB x mean intensity of both ends + data into s
    seconds = saving + checkpoint GB x 8 / throughput(r, s) + restarting

Within a region nothing is transferred. Pairs whose price or throughput nobody has published are left out.

Left out beforehand, without loss: offers that another of the same region never exceeds in price nor in
power; and places that no schedule better than the best known can use: the cheapest slots of all places
together, with one of them in that place, are a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog, Region
from harchos_infra.catalog.transfer import GB_PER_GIB
from harchos_infra.planner.course import Course
from harchos_infra.planner.estimate import Estimates, Transfer
from harchos_infra.planner.migration import NOWHERE, migrating
from harchos_infra.planner.pausing import legs
from harchos_infra.planner.request import Request
from harchos_infra.planner.slots import Slots
from harchos_infra.planner.window import HOUR_S, TIE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_STATES = 20_000_000
"""Slots x work x places of one solution: 180 MB. Of more places, those with the least bound are taken."""


class Moves:
    """What the moves of a job transfer, and how long it takes."""

    def __init__(self, request: Request, catalog: Catalog, estimates: Estimates, size_gib: float) -> None:
        self._catalog, self._estimates = catalog, estimates
        self._gb = size_gib * GB_PER_GIB
        self._pairs: dict[tuple[str, str], tuple[float, float] | None] = {}
        self._base_s = request.save_s + request.restart_s

    def transfer(self, before: int, after: int) -> Transfer:
        """Return what a move between two candidates transfers; its pair must be known."""
        here, there = self._estimates.regions[before], self._estimates.regions[after]
        pair = self._pair(here, there)
        assert pair is not None
        if here.id == there.id:
            return Transfer(0.0, 0.0, 0.0)
        horizon, data = self._estimates.horizon, self._estimates
        grams = self._gb * (horizon.mean(here.zone or "") + horizon.mean(there.zone or "")) / 2
        low, high = (grams * kwh for kwh in self._catalog.transfer_energy_kwh_per_gb)
        return Transfer(
            self._gb * pair[0] + float(data.transfer_usd[after]),
            low + float(data.transfer_g[after]),
            high + float(data.transfer_g_high[after]),
        )

    def matrices(self, places: Ints, theta: float, slots: Slots) -> tuple[Floats, Ints]:
        """Return score and slots of each move, of shape (places, places); infinite where one is not known."""
        score = np.full((len(places), len(places)), np.inf)
        length = np.full(score.shape, slots.gap(self._base_s))
        regions = [self._estimates.regions[place] for place in places.tolist()]
        for i, here in enumerate(regions):
            for j, there in enumerate(regions):
                pair = self._pair(here, there)
                if pair is not None:
                    moved = self.transfer(int(places[i]), int(places[j]))
                    score[i, j] = theta * moved.usd + moved.gco2e_low
                    length[i, j] = slots.gap(self._base_s + int(np.ceil(pair[1])))
        return score, length

    def _pair(self, here: Region, there: Region) -> tuple[float, float] | None:
        """Return (USD per GB, seconds) of a move; None where one of them is not known."""
        key = here.id, there.id
        if key not in self._pairs:
            self._pairs[key] = self._look_up(here, there)
        return self._pairs[key]

    def _look_up(self, here: Region, there: Region) -> tuple[float, float] | None:
        if here.id == there.id:
            return 0.0, 0.0
        price = self._catalog.egress_usd_per_gb(here, there)
        gbps = self._catalog.throughput_gbps(here, there)
        return None if price is None or gbps is None else (price, self._gb * 8 / gbps)


def moved(
    request: Request,
    estimates: Estimates,
    members: Ints,
    moves: Moves,
    theta: float,
    with_embodied: bool,
    best: float,
) -> list[Course]:
    """Return the best schedules with moves, one for each run time, whose score is less than `best`.

    `members` are windows that are in time. Scores are gCO2e + `theta` x USD.
    """
    found: list[Course] = []
    for duration_s in np.unique(estimates.duration_s[members]).tolist():
        slots = Slots.of(estimates.horizon, duration_s)
        same = members[estimates.duration_s[members] == duration_s]
        if 1 < slots.work < slots.count:
            problem = _Problem(request, estimates, slots, theta, with_embodied)
            found += problem.solve(same, moves, best)
    return found


class _Problem:
    """The moves of jobs that take equally long."""

    def __init__(
        self, request: Request, estimates: Estimates, slots: Slots, theta: float, with_embodied: bool
    ) -> None:
        self._request, self._estimates, self._slots = request, estimates, slots
        self._theta, self._with_embodied = theta, with_embodied

    def solve(self, places: Ints, moves: Moves, best: float) -> list[Course]:
        slots = self._slots
        places = places[self._is_undominated(places)]
        cost = self._score(places, slots.running, slots.hours)
        start = self._theta * self._estimates.transfer_usd[places] + self._estimates.transfer_g[places]
        floor = cost.min(axis=0)
        cheapest = np.sort(floor)[: slots.work]
        bound = cheapest.sum() - (1 - slots.last_share) * cheapest[-1] + start.min()
        bounds = bound + slots.last_share * (cost - floor).min(axis=1)
        kept = np.flatnonzero(bounds < best * (1 - TIE))
        most = max(_STATES // (slots.work * slots.count), 1)
        kept = np.sort(kept[np.argsort(bounds[kept], kind="stable")][:most])
        if len({self._estimates.regions[place].id for place in places[kept].tolist()}) < 2:
            return []
        move_cost, move_slots = moves.matrices(places[kept], self._theta, slots)
        total, where = migrating(
            cost[kept],
            slots.work,
            move_cost=move_cost,
            move_slots=move_slots,
            start_cost=start[kept],
            save_cost=self._score(places[kept], *self._overhead(slots.saving, self._request.save_s)),
            restart_cost=self._score(
                places[kept], *self._overhead(slots.restarting, self._request.restart_s)
            ),
            gap_slots=slots.gap(self._request.save_s + self._request.restart_s),
            last_share=slots.last_share,
        )
        if not total < best * (1 - TIE):
            return []
        return [Course(legs(self._request, slots, _runs(where, places[kept]), self._estimates.nodes))]

    def _overhead(
        self, grams: Callable[[Ints, int], Floats], seconds: int
    ) -> tuple[Callable[[Ints], Floats], float]:
        return (lambda rows: grams(rows, seconds)), seconds / HOUR_S

    def _score(self, places: Ints, grams: Callable[[Ints], Floats], hours: float) -> Floats:
        """Return the score of the nodes over spans of `hours`, one for each slot: (places, slots)."""
        each = self._estimates
        zones, zone = np.unique(each.rows[places], return_inverse=True)
        score: Floats = each.node_kw[places, None] * grams(zones)[zone] + self._fixed(places)[:, None] * hours
        return score * each.nodes

    def _fixed(self, places: Ints) -> Floats:
        """Return the score of an hour of one node beside its operational carbon."""
        embodied = np.nan_to_num(self._estimates.embodied_g_hour[places]) if self._with_embodied else 0.0
        fixed: Floats = self._theta * self._estimates.price_usd_hour[places] + embodied
        return fixed

    def _is_undominated(self, places: Ints) -> NDArray[np.bool_]:
        """Tell which places no other of their region equals in price and power; of equals, the first."""
        fixed, kw = self._fixed(places), self._estimates.node_kw[places]
        by_region: dict[str, list[int]] = {}
        for index in np.lexsort((np.arange(len(places)), kw, fixed)).tolist():
            by_region.setdefault(self._estimates.regions[int(places[index])].id, []).append(index)
        kept = np.zeros(len(places), dtype=bool)
        for indices in by_region.values():
            least = np.minimum.accumulate(np.concatenate([[np.inf], kw[indices][:-1]]))
            kept[indices] = kw[indices] < least
        return kept


def _runs(where: Ints, places: Ints) -> list[tuple[int, int, int]]:
    """Return (first slot, end, candidate) of each run of slots in one place."""
    edges = np.flatnonzero(np.diff(where, prepend=NOWHERE - 1, append=NOWHERE - 1))
    return [(int(a), int(b), int(places[where[a]])) for a, b in pairwise(edges) if where[a] != NOWHERE]
