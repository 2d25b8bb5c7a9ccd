"""Carbon of a simulation's jobs over time, by when they run."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.plot import Canvas, step_path
from harchos_infra.report.span_hours import SpanHours
from harchos_infra.report.wording import grams, utc
from harchos_infra.simulation.result import Result

STEPS_H = (1, 2, 3, 6, 12, 24, 48, 168, 336)
_STEP_PX = 8
"""A step of the curve is about so wide at least."""


def emissions(result: Result, width: float, key: str) -> Figure:
    """Return what running the jobs emits over time: run-now, the policy, and the oracle."""
    entries = (
        ("run-now", "baseline", result.run_now),
        ("oracle", "grid", result.oracle),
        (result.policy.name, "plan", result.realised),
    )
    hourly = [
        SpanHours.of(result.jobs, result.series, outcome.spans).hourly_gco2(result.series.hours)
        for _, _, outcome in entries
    ]
    busy = np.flatnonzero(np.sum(hourly, axis=0))
    first, end = (int(busy[0]), int(busy[-1]) + 1) if len(busy) else (0, 1)
    canvas = Canvas(width, 280, left=62)
    step = _step_h(end - first, (canvas.x_end - canvas.left) / _STEP_PX)
    edges = [*range(first, end, step), end]
    binned = [np.add.reduceat(values[first:end], [e - first for e in edges[:-1]]) for values in hourly]
    moments = [result.series.moment(hour * HOUR_S) for hour in edges]
    unit, scale = ("kgCO2e", 1000.0) if max(b.max() for b in binned) >= 1000 else ("gCO2e", 1.0)
    each = "an hour" if step == 1 else "a day" if step == 24 else "a week" if step == 168 else f"in {step} h"
    x = canvas.time_axis(moments[0], moments[-1], "UTC")
    y = canvas.y_axis(0, max(float(b.max()) for b in binned) / scale, f"{unit} {each}")
    for (_, class_, _), values in zip(entries, binned, strict=True):
        points = [
            (x(moments[n].timestamp()), x(moments[n + 1].timestamp()), y(value / scale))
            for n, value in enumerate(values.tolist())
        ]
        canvas.add("path", d=step_path(points), class_=f"curve {class_}")
    totals = ", ".join(
        f"{name} {grams(float(v.sum()))}" for (name, _, _), v in zip(entries, hourly, strict=True)
    )
    return Figure(
        canvas.render("Carbon over time", f"{totals}; the data follows as a table.", key),
        "Carbon of running, by the hour in which a job runs; restarts and moves are in the totals only.",
        ("from, UTC", *(name for name, _, _ in entries)),
        tuple(_row(at, figures) for at, *figures in zip(moments[:-1], *binned, strict=True)),
        right=(1, 2, 3),
    )


def _step_h(hours: int, steps: float) -> int:
    return next((step for step in STEPS_H if hours / step <= steps), STEPS_H[-1])


def _row(at: datetime, figures: list[float]) -> tuple[str, ...]:
    return (utc(at).removesuffix(" UTC"), *(grams(float(value)) for value in figures))
