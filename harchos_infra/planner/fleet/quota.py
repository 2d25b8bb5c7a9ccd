"""Quotas: how many GPUs, or instances, may be up at once in a region. Read from a strict YAML file.

    quotas:
      - {provider: aws, region: eu-north-1, gpu: L4, maxGpus: 8}    # L4s in one region
      - {provider: gcp, maxGpus: 16}                                # GPUs of any model, in each region of gcp
      - {provider: azure, region: swedencentral, maxInstances: 4}   # machines of any kind

An offer counts against every quota that it falls under, with all GPUs of its machines: whole instances are
rented. Where no quota names an offer, it is without limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.catalog.gpu import matches, suggest
from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.loader import read, refusal
from harchos_infra.workload.quantity import kind_of
from harchos_infra.workload.tree import Problem, Tree

_KEYS = ("provider", "region", "gpu", "maxGpus", "maxInstances")
_LIMITS = ("maxGpus", "maxInstances")


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` GPUs or instances at once in a region, or in each region of a provider (`region` None).

    `gpu`: only those with that model or family; None: all. `counts_gpus`: False where instances are counted.
    """

    provider: str
    region: str | None
    gpu: str | None
    limit: int
    counts_gpus: bool

    def limits(self, offer: Offer) -> bool:
        """Tell whether machines of an offer are under the quota."""
        if offer.provider != self.provider or self.region not in (None, offer.region):
            return False
        return self.gpu is None or (offer.gpu_model is not None and matches(self.gpu, offer.gpu_model))

    def need(self, offer: Offer, nodes: int) -> float:
        """Return how much of the quota `nodes` machines of an offer take."""
        return nodes * offer.gpu_count if self.counts_gpus else float(nodes)

    @property
    def unit(self) -> str:
        """What is counted, in the singular: `L4`, `GPU` or `instance`."""
        return (self.gpu or "GPU") if self.counts_gpus else "instance"

    @property
    def name(self) -> str:
        """The key of the limit in the file."""
        return "maxGpus" if self.counts_gpus else "maxInstances"

    @property
    def code(self) -> str:
        """What is counted: with the key and the region, what is to be raised."""
        return self.unit


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas of a file; `path` and `sha256` are where they came from."""

    entries: tuple[Quota, ...] = ()
    path: str | None = None
    sha256: str | None = None


def load_quotas(path: str | FilePath, catalog: Catalog) -> Quotas:
    """Read a quota file. Raises `DocumentError` with every error that it has, at its line and column."""
    file = FilePath(path)
    content, tree = read(file)
    entries, problems = _entries(tree, catalog)
    problems = [*tree.problems, *problems]
    if problems:
        raise refusal(file, problems)
    return Quotas(tuple(entries), str(path), hashlib.sha256(content).hexdigest())


def _entries(tree: Tree, catalog: Catalog) -> tuple[list[Quota], list[Problem]]:
    document, entries, problems = tree.value, [], []
    rows = document.get("quotas") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        at: Path = ("quotas",) if isinstance(document, dict) and "quotas" in document else ()
        message = "a list of quotas was expected" if at else "`quotas` is missing"
        return [], [_problem(tree, at, message, "quotas: [{provider: aws, region: eu-north-1, maxGpus: 8}]")]
    problems += [
        Problem(*tree.key((key,)), (key,), f"unknown key `{key}`", "the only key is `quotas`")
        for key in document
        if key != "quotas"
    ]
    for index, row in enumerate(rows):
        found = list(_faults(tree, ("quotas", index), row, catalog))
        problems += found
        if not found:
            limit = next(key for key in _LIMITS if key in row)
            entries.append(
                Quota(row["provider"], row.get("region"), row.get("gpu"), row[limit], limit == "maxGpus")
            )
    return entries, [*problems, *_repeated(tree, entries, problems)]


def _faults(tree: Tree, at: Path, row: Any, catalog: Catalog) -> Iterator[Problem]:
    """Yield what is wrong with one entry."""
    if not isinstance(row, dict):
        yield _problem(
            tree, at, f"a quota is a mapping, not {kind_of(row)}", f"known keys: {', '.join(_KEYS)}"
        )
        return
    for key in row:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(_KEYS)}"
            yield Problem(*tree.key((*at, key)), (*at, key), f"unknown key `{key}`", hint)
    yield from _place_faults(tree, at, row, catalog)
    gpu = row.get("gpu")
    if gpu is not None and not _is_known(gpu, catalog):
        near = suggest(gpu) if isinstance(gpu, str) else []
        hint = f"did you mean {' or '.join(near)}?" if near else "`harchos offers` lists them"
        yield _problem(tree, (*at, "gpu"), f"no offer has a GPU {gpu!r}", hint)
    given = [key for key in _LIMITS if key in row]
    if len(given) != 1:
        what = "only one of them can be given" if given else "one of them is missing"
        yield _problem(tree, at, f"maxGpus, maxInstances: {what}", None)
    for key in given:
        value = row[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            shown = (
                value if isinstance(value, (int, float)) and not isinstance(value, bool) else kind_of(value)
            )
            yield _problem(tree, (*at, key), f"a whole number of 0 or more was expected, not {shown}", None)


def _place_faults(tree: Tree, at: Path, row: dict[str, Any], catalog: Catalog) -> Iterator[Problem]:
    providers = sorted({provider for provider, _ in catalog.regions} | {"local"})
    provider, region = row.get("provider"), row.get("region")
    if "provider" not in row:
        yield _problem(tree, at, "`provider` is missing", f"one of {', '.join(providers)}")
    elif provider not in providers:
        near = get_close_matches(str(provider), providers, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(providers)}"
        yield _problem(tree, (*at, "provider"), f"`{provider}` is not a provider", hint)
    elif region is not None and provider != "local" and (provider, region) not in catalog.regions:
        names = [name for cloud, name in catalog.regions if cloud == provider]
        near = get_close_matches(str(region), names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`harchos regions` lists them"
        yield _problem(tree, (*at, "region"), f"{provider} has no region `{region}`", hint)


def _is_known(gpu: Any, catalog: Catalog) -> bool:
    return isinstance(gpu, str) and any(matches(gpu, o.gpu_model) for o in catalog.offers if o.gpu_model)


def _repeated(tree: Tree, entries: list[Quota], problems: list[Problem]) -> Iterator[Problem]:
    if problems:
        return
    seen: dict[tuple[object, ...], int] = {}
    for index, quota in enumerate(entries):
        first = seen.setdefault((quota.provider, quota.region, quota.gpu, quota.counts_gpus), index)
        if first != index:
            line = tree.position(("quotas", first))[0]
            yield _problem(tree, ("quotas", index), f"the same quota stands in line {line}", "leave one out")


def _problem(tree: Tree, at: Path, message: str, hint: str | None) -> Problem:
    return Problem(*tree.position(at), at, message, hint)
