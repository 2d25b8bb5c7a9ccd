"""Settling: the grid intensity that a run really met, frozen into its record; and its plan's error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from harchos_infra.grid.parse import parse_signal
from harchos_infra.grid.signal import NoIntensity, hour_of
from harchos_infra.runs.record import HubSpan, RunRecord

_HOUR = timedelta(hours=1)
_DIGITS = 3


def realised_intensities(record: RunRecord, signal: str | None) -> dict[str, dict[str, Any]]:
    """Return the hourly intensity of every zone over the life of the run's hubs, on the run's own clock.

    `signal` is the run's `--signal` option. Shape: `{zone: {"start", "gco2_per_kwh": [hourly], "basis"}}`.
    Where the signal has no figure (a live source that is down, or late), the plan's own stand in with their
    own basis, and `notSettled` says why.
    """
    source = parse_signal(signal)
    settled: dict[str, dict[str, Any]] = {}
    for zone in dict.fromkeys(span.zone for span in record.hubs):
        spans = [_on_run_clock(record, span) for span in record.hubs if span.zone == zone]
        start = hour_of(min(begun for begun, _ in spans))
        hours = max(1, math.ceil((max(ended for _, ended in spans) - start) / _HOUR))
        try:
            found = source.intensity(zone, start, hours)
        except NoIntensity as error:
            settled[zone] = _as_planned(record, error)
            continue
        settled[zone] = {
            "start": start.isoformat(),
            "gco2_per_kwh": [
                round(float(g), _DIGITS) for g in found.gco2_per_kwh.reshape(hours, -1).mean(axis=1)
            ],
            "basis": str(found.basis),
        }
    return settled


def _on_run_clock(record: RunRecord, span: HubSpan) -> tuple[datetime, datetime]:
    last = max((m.at for m in record.measurements if m.hub == span.hub), default=span.created_at)
    return span.on_run_clock(span.created_at), span.on_run_clock(span.gone_at or last)


def signal_name(described: Mapping[str, Any]) -> str:
    """Return what a plan took its intensities from: its signal, and the way hours to come were forecast."""
    forecast = described.get("forecast")
    return f"{described['name']}, {forecast['asked']}" if forecast else str(described["name"])


def forecast_errors(
    segments: Iterable[Mapping[str, Any]],
    settled: Mapping[str, Mapping[str, Any]],
    *,
    signal: str,
    issued_at: datetime,
    now: datetime,
) -> list[dict[str, Any]]:
    """Return, by zone, how far the intensities that a plan assumed were from those that its run met.

    `segments` are the plan's, `signal` its `signal_name`, `issued_at` when it was made. Hours of a zone that
    are in both series and have begun by `now`, real time, are compared: a rehearsal of hours to come meets no
    figure.

        MAPE = mean |planned - settled| / settled (hours of zero left out),  bias = mean (planned - settled)

    Where basis and every figure are the same, a figure was compared with itself (a replay, or a provider's
    outlook that stood unrevised): `same_figure`, and no error.
    """
    rows = []
    for zone, met in settled.items():
        pairs = [
            (at, planned, actual, basis)
            for segment in segments
            if segment["zone"] == zone
            for at, planned, actual, basis in _common(segment, met)
            if at <= now
        ]
        if not pairs:
            continue
        same = all(abs(p - a) <= 10**-_DIGITS and basis == met["basis"] for _, p, a, basis in pairs)
        shares = [abs(p - a) / a for _, p, a, _ in pairs if a > 0]
        leads_h = [max((at - issued_at) / _HOUR, 0.0) for at, *_ in pairs]
        rows.append(
            {
                "zone": zone,
                "signal": signal,
                "basis": pairs[0][3],
                "issued_at": issued_at.timestamp(),
                "lead_h": math.fsum(leads_h) / len(pairs),
                "hours": len(pairs),
                "mape": None if same or not shares else math.fsum(shares) / len(shares),
                "bias_gco2_per_kwh": None if same else math.fsum(p - a for _, p, a, _ in pairs) / len(pairs),
                "same_figure": same,
            }
        )
    return rows


def _common(
    segment: Mapping[str, Any], met: Mapping[str, Any]
) -> Iterator[tuple[datetime, float, float, str]]:
    """Yield each hour that both series have: its start, the planned and the settled figure, the basis."""
    begins = datetime.fromisoformat(met["start"])
    for at, planned in _planned(segment).items():
        index = round((at - begins) / _HOUR)
        if 0 <= index < len(met["gco2_per_kwh"]) and met["gco2_per_kwh"][index] is not None:
            yield at, planned, met["gco2_per_kwh"][index], segment["intensityBasis"]


def _planned(segment: Mapping[str, Any]) -> dict[datetime, float]:
    """Return the hourly figures of a plan's segment; of one in shorter steps, their means."""
    start = datetime.fromisoformat(segment["start"])
    step = timedelta(seconds=segment.get("intensityStepS", _HOUR.total_seconds()))
    first = hour_of(start) + (start - hour_of(start)) // step * step
    hours: dict[datetime, list[float]] = {}
    for number, value in enumerate(segment["intensityGco2PerKwh"]):
        hours.setdefault(hour_of(first + number * step), []).append(value)
    return {at: math.fsum(values) / len(values) for at, values in hours.items()}


def _as_planned(record: RunRecord, error: NoIntensity) -> dict[str, Any]:
    """Return what the plan assumed of the zone, None in hours that it did not run there."""
    segments = [s for s in record.plan["chosen"]["segments"] if s["zone"] == error.zone]
    hours = {at: value for segment in segments for at, value in _planned(segment).items()}
    if not hours:
        raise error
    first = min(hours)
    count = round((max(hours) - first) / _HOUR) + 1
    return {
        "start": first.isoformat(),
        "gco2_per_kwh": [hours.get(first + number * _HOUR) for number in range(count)],
        "basis": segments[0]["intensityBasis"],
        "notSettled": error.reason,
    }
