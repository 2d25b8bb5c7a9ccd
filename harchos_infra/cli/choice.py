"""Options whose value must be one of a set that only the data knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harchos_infra.errors import HarchosError


def check_choice(what: str, value: str | None, known: Collection[str]) -> None:
    """Raise HarchosError naming the nearest known value if `value` is given and not among `known`."""
    if value is None or value in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(value, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    raise HarchosError(f"unknown {what} {value!r}", hint=hint)


def rented_clouds(named: Sequence[str]) -> tuple[str, ...]:
    """Return the clouds named, or those that are set up here; HarchosError where there is none."""
    from harchos_infra.clouds.cloud import RENTED
    from harchos_infra.settings import Settings

    for name in named:
        check_choice("cloud", name, RENTED)
    found = tuple(dict.fromkeys(named)) or Settings.load().clouds()
    if not found:
        raise HarchosError(
            "no cloud is set up here: no mailbox of one is set",
            hint="harchos config set aws.mailbox s3://BUCKET (or gcp.mailbox, azure.mailbox), or name one",
        )
    return found
