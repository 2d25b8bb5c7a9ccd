"""What breaks a policy: each rule that is broken, with the numbers and the line that it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from harchos_infra.workload.quantity import format_hours

if TYPE_CHECKING:
    from harchos_infra.catalog import Region
    from harchos_infra.policy.loader import LoadedPolicy

REASONS = frozenset(
    f"policy-{what}"
    for what in (
        "provider", "region", "country", "instance-type", "market", "price", "intensity", "ttl", "cost",
        "carbon", "label",
    )
)  # fmt: skip
"""Reason codes of candidates that a policy refuses."""
_TOLERANCE = 1e-9
"""Share by which a computed figure may pass its limit: the noise of floating point."""


class Breach(NamedTuple):
    """A rule that is broken: its reason code, and what breaks it."""

    reason: str
    detail: str


def of_place(policy: LoadedPolicy, region: Region) -> Iterator[Breach]:
    """Yield what forbids a region."""
    rules = policy.rules
    if rules.providers and region.provider not in rules.providers:
        yield _unlisted(policy, "provider", region.provider, "providers", rules.providers)
    if rules.regions and not matches(rules.regions, region.provider, region.name):
        yield _unlisted(policy, "region", region.id, "regions", rules.regions)
    if rules.countries and region.country not in rules.countries:
        yield _unlisted(policy, "country", f"in {region.country}", "countries", rules.countries)


def of_machine(policy: LoadedPolicy, provider: str, instance_type: str) -> Iterator[Breach]:
    """Yield what forbids an instance type."""
    allowed = policy.rules.instance_types
    if allowed and not matches(allowed, provider, instance_type):
        yield _unlisted(policy, "instance-type", instance_type, "instanceTypes", allowed)


def of_market(policy: LoadedPolicy, market: str) -> Iterator[Breach]:
    """Yield what forbids a market."""
    if policy.rules.markets and market not in policy.rules.markets:
        yield _unlisted(policy, "market", market, "markets", policy.rules.markets)


def of_labels(policy: LoadedPolicy, labels: Mapping[str, str]) -> Iterator[Breach]:
    """Yield the labels that a workload lacks, or that have another value, all as one breach."""
    wrong = []
    for name, patterns in policy.rules.required_labels.items():
        where = policy.where(f"requiredLabels.{name}")
        if name not in labels:
            wrong.append(f"metadata.labels has no `{name}` ({where})")
        elif not any(fnmatchcase(labels[name], pattern) for pattern in patterns):
            wrong.append(f"label {name} is `{labels[name]}`, not {' or '.join(patterns)} ({where})")
    if wrong:
        yield Breach("policy-label", "; ".join(wrong))


def of_ttl(policy: LoadedPolicy, ttl_h: float, *, given: bool) -> Iterator[Breach]:
    """Yield that a hub would live too long; `given`: by `spec.ttl`, not by the planned time."""
    limit = policy.rules.max_ttl_h
    if limit is not None and passes(ttl_h, limit):
        by = "ttl" if given else "without `ttl` half as much again as planned and 30 min,"
        where = policy.where("maxTtl")
        yield Breach("policy-ttl", f"{by} {_hours(ttl_h)}; maxTtl is {_hours(limit)} ({where})")


def of_figures(
    policy: LoadedPolicy, *, price_usd_hour: float, gco2_per_kwh: float, cost_usd: float, carbon_kg: float
) -> Iterator[Breach]:
    """Yield which limits a schedule passes: price of all its machines at once, mean intensity, totals."""
    rules = policy.rules
    for what, value, limit, unit, key in (
        ("price", price_usd_hour, rules.max_price_usd_hour, "USD/h", "maxPrice"),
        ("intensity", gco2_per_kwh, rules.max_intensity_gco2_per_kwh, "gCO2/kWh on the mean", "maxIntensity"),
        ("cost", cost_usd, rules.max_cost_usd, "USD", "maxCost"),
        ("carbon", carbon_kg, rules.max_carbon_kg, "kgCO2e", "maxCarbon"),
    ):
        if limit is not None and passes(value, limit):
            yield Breach(f"policy-{what}", f"{value:.4g} {unit}; {key} is {limit:g} ({policy.where(key)})")


def matches(patterns: Iterable[str], provider: str, name: str) -> bool:
    """Return whether one of the patterns (`eu-*`, `aws/eu-*`) covers a name of a provider."""
    return any(fnmatchcase(f"{provider}/{name}" if "/" in p else name, p) for p in patterns)


def passes(value: float, limit: float) -> bool:
    """Return whether a computed figure is above a limit."""
    return value > limit * (1 + _TOLERANCE)


def _unlisted(policy: LoadedPolicy, what: str, found: str, key: str, allowed: Iterable[str]) -> Breach:
    return Breach(f"policy-{what}", f"{found}; {key} allows {', '.join(allowed)} ({policy.where(key)})")


def _hours(hours: float) -> str:
    return format_hours(round(hours * 3600) / 3600)
