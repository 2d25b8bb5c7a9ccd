"""The `--now` option: the moment a command takes for the present."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from harchos_infra.errors import HarchosError

NowOption = typer.Option(
    None, "--now", metavar="TIME", help="Take this ISO time for now (makes it repeatable)."
)

YEARS = range(2000, 2100)
"""As of times in a workload document."""


def parse_now(text: str | None) -> datetime:
    """Return the UTC time that `--now` names (UTC if it names no zone), or the present one."""
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise HarchosError(f"--now: {text!r} is not a time", hint="write it as 2026-11-23T12:00Z") from None
    if moment.year not in YEARS:
        raise HarchosError(f"--now: {text} is not within the years {YEARS[0]} to {YEARS[-1]}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
