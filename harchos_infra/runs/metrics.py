"""What a job reported of itself over time: `$HARCHOS_OUTPUT_DIR/metrics.jsonl`, sampled for the record.

One JSON object a line: `at` is an ISO time, every other number is a metric of that name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

NAME = "metrics.jsonl"
MOST_METRICS = 12
MOST_POINTS = 500

Series = dict[str, list[tuple[float, float]]]
"""By metric, (time, value) in order; times are UTC seconds."""


def read_metrics(path: Path) -> Series:
    """Return the metrics of a file, at most `MOST_POINTS` each; lines that are none are passed over."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = _parse(file)
    except OSError:
        return {}
    return {name: _sampled(points) for name, points in list(found.items())[:MOST_METRICS]}


def _parse(lines: Iterable[str]) -> Series:
    found: Series = defaultdict(list)
    for line in lines:
        try:
            values = json.loads(line)
            at = datetime.fromisoformat(values.pop("at"))
        except (ValueError, AttributeError, KeyError, TypeError):
            continue
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name].append((seconds, float(value)))
    return found


def _sampled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points in order of time, evenly thinned; the first and the last stay."""
    ordered = sorted(points)
    if len(ordered) <= MOST_POINTS:
        return ordered
    step = (len(ordered) - 1) / (MOST_POINTS - 1)
    return [ordered[round(number * step)] for number in range(MOST_POINTS)]
