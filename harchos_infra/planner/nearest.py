"""The nearest miss: which single change of the workload would make a plan possible.

Constraints are relaxed one at a time: a candidate that fails a single constraint, deadline and budgets among
them, becomes feasible when that one is relaxed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.estimate import Estimates, estimate
from harchos_infra.planner.fit import Misses
from harchos_infra.planner.objective import Objective
from harchos_infra.planner.options import options
from harchos_infra.planner.policing import peak_usd_hour
from harchos_infra.planner.rank import rank
from harchos_infra.planner.request import Request
from harchos_infra.planner.wording import at_least, duration
from harchos_infra.workload.quantity import format_hours

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One candidate with everything it fails; `index` is its place in `estimates`, if it has one."""

    offer: Offer
    misses: Misses
    estimates: Estimates | None = None
    index: int = 0

    @property
    def name(self) -> str:
        """Place, machine and market."""
        return f"{self.offer.provider}/{self.offer.region} {self.offer.instance_type} ({self.offer.market})"


_Way = Callable[[Request, Catalog, Sequence[Candidate]], str]


def nearest_miss(request: Request, catalog: Catalog, signal: Signal, verdicts: Sequence[Misses]) -> str:
    """Return what would have to change, in one sentence; several changes are alternatives."""
    unknown = [sentence for constraint, sentence in request.unknown if constraint != "home"]
    if unknown:
        return "; ".join(unknown)
    missed = _all(request, catalog, signal, verdicts)
    single: dict[str, list[Candidate]] = {}
    for candidate in missed:
        if len(candidate.misses) == 1:
            single.setdefault(candidate.misses[0].reason, []).append(candidate)
    ways = [say(request, catalog, single[reason]) for reason, say in _WAYS.items() if reason in single]
    if ways:
        return "; or ".join(ways[:3])
    if not missed:
        return "the catalogue has no offer at all"
    closest = min(missed, key=lambda c: (len(c.misses), c.estimates is None, c.offer.price_usd_hour, c.name))
    failed = "; ".join(f"{miss.reason} ({miss.detail})" for miss in closest.misses)
    return f"no single change is enough; {closest.name} comes nearest and fails: {failed}"


def _all(request: Request, catalog: Catalog, signal: Signal, verdicts: Sequence[Misses]) -> list[Candidate]:
    """Return every candidate, each of its schedules apart, with all that it fails as far as it is known.

    Those that fail two constraints of place and machine already are too far to be estimated.
    """
    far = [Candidate(o, m) for o, m in zip(catalog.offers, verdicts, strict=True) if len(m) > 1]
    near = {o: m for o, m in zip(catalog.offers, verdicts, strict=True) if len(m) <= 1}
    estimates, unknown = estimate(request, catalog, signal, list(near))
    found = [Candidate(offer, (*near[offer], miss)) for offer, miss in unknown]
    known = options(request, catalog, estimates)
    estimates = known.estimates
    for index, (offer, more) in enumerate(zip(estimates.offers, known.broken, strict=True)):
        found.append(Candidate(offer, near[offer] + more, estimates, index))
    return found + far


def _best(request: Request, candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate that the objective prefers; the first where none is estimated."""
    by_index = {c.index: c for c in candidates if c.estimates is not None}
    estimates = candidates[0].estimates
    if estimates is None or not by_index:
        return candidates[0]
    return by_index[int(rank(Objective.of(request.spec), estimates, sorted(by_index)).members[0])]


def _deadline(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    late = {c: int(c.estimates.late_s[c.index]) for c in candidates if c.estimates is not None}
    least = min(late.values())
    chosen = _best(request, [c for c, seconds in late.items() if seconds == least])
    return f"finish {duration(least)} later and it fits: {chosen.name}"


def _cost(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    usd = {c: float(c.estimates.cost_usd[c.index]) for c in candidates if c.estimates is not None}
    chosen = min(usd, key=lambda c: usd[c])
    limit = request.spec.budget.max_cost_usd
    return f"raise budget.maxCost from {limit:g} to {at_least(usd[chosen])} USD: {chosen.name}"


def _carbon(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    grams = {
        c: float(c.estimates.gco2e(c.estimates.best_mean)[c.index])
        for c in candidates
        if c.estimates is not None
    }
    chosen = min(grams, key=lambda c: grams[c])
    limit = request.spec.budget.max_carbon_kg
    return f"raise budget.maxCarbon from {limit:g} to {at_least(grams[chosen] / 1000)} kg: {chosen.name}"


def _duration(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    models = sorted({c.offer.gpu_model or "default" for c in candidates})
    return f"say in spec.duration how long it runs on {', '.join(models[:3])}"


def _fact(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    chosen = candidates[0]
    return f"{chosen.name} cannot be estimated: {chosen.misses[0].detail}"


def _named(what: Callable[[Offer, Catalog], str]) -> _Way:
    def way(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
        chosen = _best(request, candidates)
        return f"allow {what(chosen.offer, catalog)}: {chosen.name}"

    return way


def _lowered(key: str, unit: str, have: Callable[[Offer], float | None]) -> _Way:
    def way(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
        most = max(have(c.offer) or 0.0 for c in candidates)
        chosen = _best(request, [c for c in candidates if (have(c.offer) or 0.0) == most])
        return f"lower resources.{key} to {most:g}{unit}: {chosen.name}"

    return way


def _latency(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    source = request.latency_from
    measured = {
        c: (catalog.latency_ms(source, catalog.regions[c.offer.provider, c.offer.region]) if source else None)
        or 0.0
        for c in candidates
    }
    least = min(measured.values())
    chosen = _best(request, [c for c, ms in measured.items() if ms == least])
    return f"raise placement.maxLatencyMs to {at_least(least)}: {chosen.name}"


def _label(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    return f"label the workload as the policy asks: {candidates[0].misses[0].detail}"


def _ttl(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    assert request.policy is not None and request.policy.rules.max_ttl_h is not None
    limit, where = format_hours(request.policy.rules.max_ttl_h), request.policy.where("maxTtl")
    if request.spec.ttl_h is not None:
        return f"lower spec.ttl from {format_hours(request.spec.ttl_h)} to {limit} (maxTtl, {where})"
    chosen = _best(request, candidates)
    return f"set spec.ttl, to {limit} at most (maxTtl, {where}), in place of what is planned: {chosen.name}"


def _allowed(key: str, what: Callable[[Offer, Catalog], str]) -> _Way:
    def way(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
        assert request.policy is not None
        chosen = _best(request, candidates)
        where = request.policy.where(key)
        return f"have {key} of the policy ({where}) allow {what(chosen.offer, catalog)}: {chosen.name}"

    return way


def _raised(key: str, unit: str, figures: Callable[[Estimates], Floats]) -> _Way:
    def way(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
        assert request.policy is not None
        have = {c: float(figures(c.estimates)[c.index]) for c in candidates if c.estimates is not None}
        chosen = min(have, key=lambda c: have[c])
        where = request.policy.where(key)
        return f"have {key} of the policy ({where}) raised to {at_least(have[chosen])} {unit}: {chosen.name}"

    return way


def _quota(request: Request, catalog: Catalog, candidates: Sequence[Candidate]) -> str:
    chosen = _best(request, candidates)
    nodes = request.nodes // request.hubs
    quota = catalog.availability.short_of(chosen.offer, nodes, request.hubs)
    if quota is None:
        return _fact(request, catalog, candidates)
    need = request.hubs * quota.need(chosen.offer, nodes)
    where = f"{chosen.offer.provider}/{chosen.offer.region}"
    return f"have the quota {quota.name} ({quota.code}) of {where} raised to {need:g}: {chosen.name}"


_WAYS: dict[str, _Way] = {
    "policy-label": _label,
    "policy-ttl": _ttl,
    "no-duration": _duration,
    "deadline": _deadline,
    "budget-cost": _cost,
    "budget-carbon": _carbon,
    "policy-price": _raised("maxPrice", "USD/h", peak_usd_hour),
    "policy-intensity": _raised("maxIntensity", "gCO2/kWh", lambda estimates: estimates.best_mean),
    "policy-cost": _raised("maxCost", "USD", lambda estimates: estimates.cost_usd),
    "policy-carbon": _raised("maxCarbon", "kg", lambda found: found.gco2e(found.best_mean) / 1000),
    "policy-instance-type": _allowed("instanceTypes", lambda offer, _: offer.instance_type),
    "policy-market": _allowed("markets", lambda offer, _: offer.market),
    "policy-region": _allowed("regions", lambda offer, _: f"{offer.provider}/{offer.region}"),
    "policy-country": _allowed(
        "countries", lambda offer, catalog: catalog.regions[offer.provider, offer.region].country
    ),
    "policy-provider": _allowed("providers", lambda offer, _: offer.provider),
    "market": _named(lambda offer, _: f"placement.market {offer.market}"),
    "region": _named(lambda offer, _: f"region {offer.provider}/{offer.region}"),
    "country": _named(
        lambda offer, catalog: f"country {catalog.regions[offer.provider, offer.region].country}"
    ),
    "provider": _named(lambda offer, _: f"provider {offer.provider}"),
    "latency": _latency,
    "no-power": _fact,
    "no-zone": _fact,
    "no-intensity": _fact,
    "gpu-count": _lowered("gpu.count", "", lambda offer: offer.gpu_count),
    "gpu-memory": _lowered("gpu.memory", "Gi", lambda offer: offer.gpu_memory_gib),
    "cpu": _lowered("cpu", "", lambda offer: offer.vcpus),
    "memory": _lowered("memory", "Gi", lambda offer: offer.memory_gib),
    "quota": _quota,
    "gpu-model": _named(lambda offer, _: f"GPU {offer.gpu_model}"),
}
