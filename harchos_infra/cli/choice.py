"""Options whose value must be one of a set that only the data knows."""

from __future__ import annotations

from collections.abc import Collection

from harchos_infra.errors import HarchosError


def check_choice(what: str, value: str | None, known: Collection[str]) -> None:
    """Raise HarchosError naming the nearest known value if `value` is given and not among `known`."""
    if value is None or value in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(value, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    raise HarchosError(f"unknown {what} {value!r}", hint=hint)
