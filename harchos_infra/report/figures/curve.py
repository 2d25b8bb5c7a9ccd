"""A metric that the job reported, on the run's own clock, over the lives of its hubs."""

from __future__ import annotations

from datetime import datetime
from math import isfinite

from harchos_infra.report.account import Account, HubAccount
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.plot import Canvas
from harchos_infra.report.wording import significant, utc
from harchos_infra.runs.record import RunRecord

PREFERRED = ("loss", "train_loss")
LOG_FROM = 50.0
"""A metric that spans more than this factor is drawn on a logarithmic axis."""


def metric_of(record: RunRecord) -> str | None:
    """Return the name of the metric that is drawn: the loss if there is one, else the first."""
    return next((name for name in (*PREFERRED, *record.metrics) if name in record.metrics), None)


def curve(record: RunRecord, account: Account, width: float, key: str) -> Figure | None:
    """Return the curve of the job's metric, broken where it was paused; None where it reported none."""
    name = metric_of(record)
    if name is None:
        return None
    parts = [(hub, points) for hub in account.hubs if (points := _points(record, hub, name))]
    values = [value for _, points in parts for _, value in points]
    if not values:
        return None
    start = min(hub.started for hub in account.hubs)
    end = max(hub.ended for hub in account.hubs)
    canvas = Canvas(width, 280, top=30, bottom=58)
    x = canvas.time_axis(start, end, "UTC on the run's clock")
    log = min(values) > 0 and max(values) > LOG_FROM * min(values)
    y = canvas.y_axis(min(values) if log else min(0.0, *values), max(values), name, log=log)
    for number, hub in enumerate(account.hubs):
        _life(canvas, x(hub.started.timestamp()), x(hub.ended.timestamp()), hub.span.region, number)
    for _, points in parts:
        path = " ".join(
            f"{'L' if number else 'M'}{x(at.timestamp()):.1f},{y(value):.1f}"
            for number, (at, value) in enumerate(points)
        )
        canvas.add("path", d=path, class_="curve metric")
    where = ", then ".join(hub.span.region for hub in account.hubs)
    return Figure(
        canvas.render(f"{name} over time", f"{name} as the job reported it, in {where}.", key),
        f"{name}, as the job reported it. Shaded: the lives of its hubs; between them it was paused.",
        ("UTC, run's clock", name, "hub"),
        tuple(
            (utc(at, seconds=True).removesuffix(" UTC"), significant(value), hub.span.hub)
            for hub, points in parts
            for at, value in points
        ),
    )


def _life(canvas: Canvas, start: float, end: float, region: str, number: int) -> None:
    width = max(end - start, 1.0)
    canvas.add("rect", x=start, y=canvas.top + 14, width=width, height=canvas.y_end - canvas.top - 14,
               class_="life")  # fmt: skip
    canvas.text(start + width / 2, canvas.y_end + (34 if number % 2 else 48), region, "middle", "label")


def _points(record: RunRecord, hub: HubAccount, name: str) -> list[tuple[datetime, float]]:
    """Return the metric while a hub lived, on the run's own clock."""
    return [
        (hub.span.on_run_clock(at), value)
        for at, value in record.metrics[name]
        if hub.span.created_at <= at <= hub.end and isfinite(value)
    ]
