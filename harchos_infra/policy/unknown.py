"""Names in a policy that no offer has: a slip of the pen allows nothing, and should not do so in silence."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from harchos_infra.policy.breach import matches

if TYPE_CHECKING:
    from harchos_infra.catalog import Catalog
    from harchos_infra.policy.loader import LoadedPolicy


def unknown_names(policy: LoadedPolicy, catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each region, country or instance type of the policy that the catalogue lacks."""
    rules = policy.rules
    regions = list(catalog.regions)
    yield from _unmatched(policy, "regions", rules.regions, regions)
    if rules.instance_types:
        types = sorted({(offer.provider, offer.instance_type) for offer in catalog.offers})
        yield from _unmatched(policy, "instanceTypes", rules.instance_types, types)
    known = {region.country for region in catalog.regions.values()}
    for country in rules.countries:
        if country not in known:
            yield f"{policy.where('countries')}: countries: no region lies in {country}"


def _unmatched(
    policy: LoadedPolicy, key: str, patterns: tuple[str, ...], known: list[tuple[str, str]]
) -> Iterator[str]:
    for pattern in patterns:
        if pattern.startswith("local") or any(matches((pattern,), *pair) for pair in known):
            continue
        names = [f"{provider}/{name}" if "/" in pattern else name for provider, name in known]
        near = get_close_matches(pattern, names, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        yield f"{policy.where(key)}: {key}: nothing is called {pattern}{hint}"
