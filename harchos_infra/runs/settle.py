"""Settling: the grid intensity that a run really met, frozen into its record."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from harchos_infra.grid.parse import parse_signal
from harchos_infra.runs.record import RunRecord


def realised_intensities(record: RunRecord, signal: str | None) -> dict[str, dict[str, Any]]:
    """Return the hourly intensity of every zone over the life of the run's hubs, on the run's own clock.

    `signal` is the run's `--signal` option. Shape: `{zone: {"start", "gco2_per_kwh": [hourly], "basis"}}`.
    """
    source = parse_signal(signal)
    settled: dict[str, dict[str, Any]] = {}
    for span in record.hubs:
        offset = timedelta(seconds=span.schedule_offset_s)
        start = (span.created_at + offset).replace(minute=0, second=0, microsecond=0)
        end = (span.gone_at or max((m.at for m in record.measurements), default=span.created_at)) + offset
        hours = max(1, math.ceil((end - start).total_seconds() / 3600))
        found = source.intensity(span.zone, start, hours)
        settled[span.zone] = {
            "start": start.isoformat(),
            "gco2_per_kwh": [round(float(g), 3) for g in found.gco2_per_kwh.reshape(hours, -1).mean(axis=1)],
            "basis": str(found.basis),
        }
    return settled
