"""Where a run is in its schedule: the segment it is in, when that starts, and when it must be left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[Any, Any]
"""A run's row in the ledger."""


def current(run: Row) -> Mapping[str, Any]:
    """Return the segment that the run is in, or waits for."""
    segment: Mapping[str, Any] = run["segments"][run["segment"]]
    return segment


def begins(run: Row) -> datetime:
    """Return when the current segment starts, on the run's own clock."""
    return datetime.fromisoformat(current(run)["start"])


def leaves(run: Row) -> datetime | None:
    """Return when the job must save its work, on the run's own clock; None in the last segment."""
    if run["segment"] == len(run["segments"]) - 1:
        return None
    segment = current(run)
    return datetime.fromisoformat(segment["end"]) - timedelta(seconds=segment["saveS"])


def offer(segment: Mapping[str, Any]) -> list[str]:
    """Return what a segment rents, as `failed_offers` lists it."""
    return [segment[key] for key in ("provider", "region", "instanceType", "market")]


def place(run: Row, segment: Mapping[str, Any] | None = None) -> str:
    """Return in words where a segment, by default the current one, is."""
    where = segment or current(run)
    nodes = f"{where['nodes']} x " if where["nodes"] > 1 else ""
    return f"{where['provider']}/{where['region']} {nodes}{where['instanceType']}"


def count(run: Row) -> str:
    """Return `segment 2 of 3: `; nothing where there is only one."""
    total = len(run["segments"])
    return f"segment {run['segment'] + 1} of {total}: " if total > 1 else ""


def _hub(segment: Mapping[str, Any]) -> list[Any]:
    return [*offer(segment), segment["nodes"]]


def joined(
    held: Mapping[str, Any], ahead: Sequence[Mapping[str, Any]], now: datetime
) -> list[Mapping[str, Any]]:
    """Return the schedule of a job that runs in `held` and then follows `ahead`.

    Where that begins at once with as many nodes of the same offer, the job just runs on; else it saves its
    work now.
    """
    first, *later = ahead
    if _hub(first) == _hub(held) and datetime.fromisoformat(first["start"]) <= now:
        return [{**held, "end": first["end"], "saveS": first["saveS"]}, *later]
    until = now + timedelta(seconds=held["saveS"])
    return [{**held, "end": until.strftime("%Y-%m-%dT%H:%M:%SZ")}, *ahead]
