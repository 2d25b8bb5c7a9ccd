"""What a policy refuses: offers, schedules in the making, and a plan that was made earlier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog
from harchos_infra.planner.estimate import Estimates
from harchos_infra.planner.fit import Miss, Misses
from harchos_infra.planner.hubs import peak_usd_hour as all_at_once_usd_hour
from harchos_infra.planner.plan import Plan, Schedule
from harchos_infra.planner.request import Request
from harchos_infra.policy import breach
from harchos_infra.workload.ttl import default_ttl_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harchos_infra.policy.loader import LoadedPolicy
    from harchos_infra.workload.document import Workload

    Floats = NDArray[np.float64]


def of_entries(request: Request, policy: LoadedPolicy, estimates: Estimates) -> list[Misses]:
    """Return which of the policy's limits each entry passes at its best."""
    price, hub_h = peak_usd_hour(estimates), hub_hours(request, estimates)
    figures = zip(
        price.tolist(),
        estimates.best_mean.tolist(),
        estimates.cost_usd.tolist(),
        (estimates.gco2e(estimates.best_mean) / 1000).tolist(),
        hub_h.tolist(),
        strict=True,
    )
    found: list[Misses] = []
    for usd_hour, mean, usd, kg, hours in figures:
        misses = breach.of_figures(
            policy, price_usd_hour=usd_hour, gco2_per_kwh=mean, cost_usd=usd, carbon_kg=kg
        )
        late = () if request.spec.ttl_h is not None else breach.of_ttl(policy, hours, given=False)
        found.append(_misses((*misses, *late)))
    return found


def is_unsearched(request: Request, estimates: Estimates) -> NDArray[np.bool_]:
    """Tell of each entry whether it passes a limit of the policy that no schedule is searched for.

    Budgets are: they are the ones of `Request.max_cost_usd` and `max_carbon_kg`.
    """
    refused = np.zeros(len(estimates.offers), dtype=bool)
    if request.policy is None:
        return refused
    rules = request.policy.rules
    limits = (
        (peak_usd_hour(estimates), rules.max_price_usd_hour),
        (estimates.best_mean, rules.max_intensity_gco2_per_kwh),
        (hub_hours(request, estimates), rules.max_ttl_h),
    )
    for values, limit in limits:
        if limit is not None:
            refused |= np.array([breach.passes(value, limit) for value in values.tolist()], dtype=bool)
    return refused


def peak_usd_hour(estimates: Estimates) -> Floats:
    """Return what all machines that an entry has at once cost an hour, at the most."""
    peak = estimates.nodes * estimates.price_usd_hour
    for index, course in enumerate(estimates.courses):
        if course is not None:
            peak[index] = max(leg.nodes * estimates.price_usd_hour[leg.candidate] for leg in course.legs)
    return peak


def hub_hours(request: Request, estimates: Estimates) -> Floats:
    """Return the time to live of the longest hub of each entry, in hours."""
    if request.spec.ttl_h is not None:
        return np.full(len(estimates.offers), request.spec.ttl_h)
    longest = estimates.duration_s.astype(np.float64)
    for index, course in enumerate(estimates.courses):
        if course is not None:
            longest[index] = max(leg.end_s - leg.start_s for leg in course.legs)
    return np.array([default_ttl_s(seconds) / 3600 for seconds in longest.tolist()])


def of_offers(policy: LoadedPolicy, catalog: Catalog) -> list[Misses]:
    """Return what forbids each of the catalogue's offers, in its order."""
    places = {key: _misses(breach.of_place(policy, region)) for key, region in catalog.regions.items()}
    types = {(offer.provider, offer.instance_type) for offer in catalog.offers}
    machines = {key: _misses(breach.of_machine(policy, *key)) for key in types}
    markets = {market: _misses(breach.of_market(policy, market)) for market in ("on-demand", "spot")}
    return [
        machines[o.provider, o.instance_type] + markets[o.market] + places[o.provider, o.region]
        for o in catalog.offers
    ]


def of_workload(policy: LoadedPolicy, workload: Workload) -> Iterator[Miss]:
    """Yield what forbids a workload, wherever it runs."""
    yield from _misses(breach.of_labels(policy, workload.metadata.labels))
    if workload.spec.ttl_h is not None:
        yield from _misses(breach.of_ttl(policy, workload.spec.ttl_h, given=True))


def of_plan(policy: LoadedPolicy, plan: Plan, workload: Workload, catalog: Catalog) -> tuple[Miss, ...]:
    """Return every rule that what a plan chose breaks, each once; the plan may be of any age.

    `workload` is what the plan is of, as it is now.
    """
    found = [*of_workload(policy, workload)]
    if plan.chosen is not None:
        found += _of_schedule(policy, plan.chosen, catalog)
        if workload.spec.ttl_h is None:
            longest_s = max((s.end - s.start).total_seconds() for s in plan.chosen.segments)
            hours = default_ttl_s(longest_s) / 3600
            found += _misses(breach.of_ttl(policy, hours, given=False))
    return tuple(dict.fromkeys(found))


def _of_schedule(policy: LoadedPolicy, chosen: Schedule, catalog: Catalog) -> Iterator[Miss]:
    for provider, name, instance_type, market in chosen.offers:
        region = catalog.regions.get((provider, name))
        if region is None:
            yield Miss("policy-region", f"{provider}/{name} is not known to this version")
        else:
            yield from _misses(breach.of_place(policy, region))
            yield from _misses(breach.of_machine(policy, provider, instance_type))
            yield from _misses(breach.of_market(policy, market))
    figures = breach.of_figures(
        policy,
        price_usd_hour=all_at_once_usd_hour(chosen),
        gco2_per_kwh=chosen.breakdown["operationalGco2e"] / chosen.energy_kwh if chosen.energy_kwh else 0.0,
        cost_usd=chosen.cost_usd,
        carbon_kg=chosen.gco2e / 1000,
    )
    yield from _misses(figures)


def _misses(broken: Iterable[breach.Breach]) -> Misses:
    return tuple(Miss(*found) for found in broken)
