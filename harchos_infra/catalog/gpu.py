"""GPU models: which of the catalogue's models a requested name means."""

from __future__ import annotations

import re
from functools import cache

from harchos_infra.catalog.table import read_table

_VENDOR_WORDS = frozenset({"nvidia", "amd", "tesla", "radeon", "geforce", "gpu"})


def matches(requested: str, model: str) -> bool:
    """Tell whether `requested` names `model` or the family it belongs to.

    Words are compared whole and from the first on, without case and vendor: `nvidia-a100` and `A100` mean
    A100-40GB and A100-80GB, `L4` never means L40S, `T4` never T4G.
    """
    wanted, offered = _words(requested), _words(model)
    return bool(wanted) and offered[: len(wanted)] == wanted


@cache
def known_models() -> tuple[str, ...]:
    """Return every GPU model that some offer of the built-in catalogue has."""
    return tuple(sorted({row["gpu_model"] for row in read_table("gpu_watts.csv")}))


def suggest(requested: str) -> list[str]:
    """Return the models and families that `requested` may have meant, nearest first; empty if none."""
    from difflib import get_close_matches

    words = [_words(model) for model in known_models()]
    names = {"-".join(model[:length]) for model in words for length in range(1, len(model) + 1)}
    near = get_close_matches("-".join(_words(requested)), sorted(names), n=3, cutoff=0.5)
    return [name.upper() for name in near]


@cache
def _words(name: str) -> tuple[str, ...]:
    words = (word for word in re.split(r"[\s_-]+", name.strip().lower()) if word)
    return tuple(word for word in words if word not in _VENDOR_WORDS)
