"""Many workloads planned together: each gets the place that serves all of them best within shared quotas.

Where the plans that the workloads make alone keep every quota together, they are the fleet's plan, unchanged:
nothing can be better. Else every workload's candidates compete (`assemble`, `solve`): as many workloads as
possible get a place, at the least sum of scores, each workload's score being its own objective's in USD
(`Member.weights`). Within a fleet a workload runs in one uninterrupted window, or as its own plan has it.
Each hub of a queue is placed by itself; a queue has a place if all of its hubs have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from math import inf
from typing import Any, Literal

import numpy as np

from harchos_infra import __version__
from harchos_infra.catalog.availability import Availability
from harchos_infra.errors import HarchosError
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.encoding import encode
from harchos_infra.planner.fleet.assemble import Assembled, assemble
from harchos_infra.planner.fleet.member import Member, Ways
from harchos_infra.planner.fleet.miss import nearest_miss
from harchos_infra.planner.fleet.outcome import chosen_plan, in_fleet, placeless_plan, queue_plan
from harchos_infra.planner.fleet.pool import Pool, Pools, Taking, Use, added, keeps, takings, use
from harchos_infra.planner.fleet.quota import Quota, Quotas
from harchos_infra.planner.fleet.repair import NOWHERE
from harchos_infra.planner.fleet.solve import Method, Solution, solve
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.window import HOUR_S

SCHEMA = "harchos.fleet/1"
Reason = Literal["quota", "no-candidate"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One workload of the fleet with its plan; `plan.chosen` is None where it has no place."""

    member: Member
    plan: Plan

    @property
    def reason(self) -> Reason | None:
        """Why it has no place: `quota`, or `no-candidate` where it would have none alone either."""
        if self.plan.chosen is not None:
            return None
        return "quota" if self.member.plan.chosen is not None else "no-candidate"

    @property
    def is_moved(self) -> bool:
        """Whether it has another place than alone."""
        return self.plan.chosen is not None and self.plan.chosen != self.member.plan.chosen

    def cost_of_quotas(self) -> tuple[float, float, float] | None:
        """Return by how much score, USD and counted gCO2e are above those of its plan alone."""
        own, chosen = self.member.plan.chosen, self.plan.chosen
        if own is None or chosen is None:
            return None
        member = self.member
        return (
            member.score(chosen) - member.score(own),
            chosen.cost_usd - own.cost_usd,
            member.counted_g(chosen) - member.counted_g(own),
        )


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A pool, how it is used, and what it is worth.

    One more unit for the whole time would save about `worth_usd`; it is scarce for `scarce_h` hours.
    """

    pool: Pool
    use: Use
    worth_usd: float = 0.0
    scarce_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The plans of all workloads, in the order given, and how good they are together.

    `score_usd` is the sum of the scores of those that have a place; no plan that gives the same workloads a
    place has less than `bound_usd`. `exact`: the two are equal.
    """

    now: datetime
    entries: tuple[Entry, ...]
    pools: tuple[PoolUse, ...]
    score_usd: float
    bound_usd: float
    method: Method | Literal["each alone"]
    exact: bool
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def placed(self) -> tuple[Entry, ...]:
        """Those that have a place."""
        return tuple(entry for entry in self.entries if entry.plan.chosen is not None)

    @property
    def gap(self) -> float:
        """By which share of the score a better plan could be better, at most."""
        return (self.score_usd - self.bound_usd) / abs(self.score_usd) if self.score_usd else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON object (camelCase keys, UTC times with `Z`)."""
        from harchos_infra.planner.fleet.document import fleet_json

        return {"schema": SCHEMA, **fleet_json(self)}

    def dumps(self) -> str:
        """Return the document: the same bytes for the same inputs."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"


def plan_fleet(members: Sequence[Member], *, quotas: Quotas, signal: Signal) -> Fleet:
    """Plan workloads together; their own plans must be of the same time, on the same `signal`.

    Plans under quotas say so in their `inputs`, moved or not.

    Raises HarchosError where two workloads have the same name.
    """
    _check_names(members)
    pools, inputs = Pools(quotas, _availability(members)), _inputs(members, quotas)
    alone = [_takings(pools, member, member.plan.chosen) for member in members]
    if keeps(pools, alone):
        limited = any(isinstance(pool.quota, Quota) for pool in pools.pools)
        entries = [Entry(m, in_fleet(m.plan, inputs) if limited else m.plan) for m in members]
        return _fleet(entries, pools, None, inputs)
    entries, solution = _together(members, pools, signal, inputs)
    return _fleet(entries, pools, solution, inputs)


def _availability(members: Sequence[Member]) -> Availability | None:
    """Return what clouds said: the same for all workloads that are planned at one time."""
    return next((member.catalog.availability for member in members if member.catalog.availability), None)


def _check_names(members: Sequence[Member]) -> None:
    paths: dict[str, list[str]] = {}
    for member in members:
        paths.setdefault(member.name, []).append(str(member.plan.inputs["workload"].get("path", "-")))
    for name, same in paths.items():
        if len(same) > 1:
            raise HarchosError(
                f"{' and '.join(same)}: workloads of one fleet have the same name, {name!r}",
                hint="give each a metadata.name of its own",
            )


def _inputs(members: Sequence[Member], quotas: Quotas) -> dict[str, Any]:
    plans = [member.plan for member in members]
    decisive = {
        "plans": [plan.inputs["hash"] for plan in plans],
        "quotas": [encode(quota) for quota in quotas.entries],
    }
    return {
        "harchos": __version__,
        "workloads": len(members),
        "quotas": {"path": quotas.path, "sha256": quotas.sha256} if quotas.path else None,
        "signal": plans[0].inputs["signal"]["name"] if plans else None,
        "hash": sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest(),
    }


def _takings(pools: Pools, member: Member, chosen: Schedule | None) -> dict[int, list[Taking]]:
    if chosen is None:
        return {}
    wanted = {segment.offer for segment in chosen.segments}
    offers = {offer.key: offer for offer in member.catalog.offers if offer.key in wanted}
    return takings(pools, offers, chosen, of_queue=member.hubs > 1)


def _together(
    members: Sequence[Member], pools: Pools, signal: Signal, inputs: dict[str, Any]
) -> tuple[list[Entry], Solution]:
    """Let the members that have a plan of their own compete; return all entries, and the solution."""
    able = [number for number, member in enumerate(members) if member.plan.chosen is not None]
    ways = {number: Ways.of(members[number], signal) for number in able}
    jobs = [number for number in ways for _ in range(members[number].hubs)]
    assembled = assemble([ways[number] for number in jobs], pools)
    solution = solve(assembled.problem)
    plans: dict[int, Plan] = {n: member.plan for n, member in enumerate(members) if n not in ways}
    held = dict.fromkeys(ways, 0)
    for number, way in ways.items():
        places = _places(assembled, solution, [job for job, of in enumerate(jobs) if of == number])
        held[number] = len(places)
        if len(places) == members[number].hubs:
            plans[number] = _placed(way, places, inputs)
    taken = {n: _takings(pools, members[n], plan.chosen) for n, plan in plans.items()}
    for number in sorted(n for n, way in ways.items() if way.alternative < inf):
        own = members[number].plan
        others = [spans for n, spans in taken.items() if n != number]
        if keeps(pools, [*others, mine := _takings(pools, members[number], own.chosen)]):
            plans[number], taken[number] = in_fleet(own, inputs), mine
    together = added(taken.values())
    for number, way in ways.items():
        if number not in plans:
            plans[number] = placeless_plan(way, nearest_miss(way, pools, together, held[number]), inputs)
    return [Entry(member, plans[number]) for number, member in enumerate(members)], solution


def _places(assembled: Assembled, solution: Solution, jobs: Sequence[int]) -> list[tuple[int, int]]:
    """Return candidate and start of those of a member's jobs that have a place, as the member counts them."""
    placement = solution.placement
    return [
        (assembled.candidate(job, place), int(placement.start_s[job]) - assembled.shift_s[job])
        for job in jobs
        if (place := int(placement.candidate[job])) != NOWHERE
    ]


def _placed(way: Ways, places: Sequence[tuple[int, int]], inputs: dict[str, Any]) -> Plan:
    own = way.member.plan
    made = chosen_plan(way, *places[0], inputs) if len(places) == 1 else queue_plan(way, places, inputs)
    same = made.chosen and own.chosen and made.chosen.segments == own.chosen.segments
    return in_fleet(own, inputs) if same else made


def _fleet(
    entries: Sequence[Entry], pools: Pools, solution: Solution | None, inputs: dict[str, Any]
) -> Fleet:
    taken = added(_takings(pools, entry.member, entry.plan.chosen) for entry in entries)
    uses = []
    step_h = solution.step_s / HOUR_S if solution is not None else 1.0
    for number, pool in enumerate(pools.pools):
        prices = solution.prices[number] if solution is not None else np.zeros(1)
        found = use(taken.get(number, ()), pool.quota.limit)
        uses.append(PoolUse(pool, found, float(prices.sum()), float((prices > 0).sum()) * step_h))
    score = sum(e.member.score(e.plan.chosen) for e in entries if e.plan.chosen is not None)
    return Fleet(
        now=entries[0].plan.now,
        entries=tuple(entries),
        pools=tuple(sorted(uses, key=lambda u: (-u.worth_usd, u.pool.name))),
        score_usd=score,
        bound_usd=score if solution is None else min(solution.bound, score),
        method="each alone" if solution is None else solution.method,
        exact=solution is None or solution.exact,
        inputs=inputs,
    )
