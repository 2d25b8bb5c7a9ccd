"""How long a simulation's jobs are delayed: a histogram."""

from __future__ import annotations

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.plot import Canvas
from harchos_infra.report.wording import duration, percent, significant
from harchos_infra.simulation.result import Result

STEPS_H = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168)
TOWERS = 24
"""No more towers than this."""


def delays(result: Result, width: float, key: str) -> Figure | None:
    """Return how many jobs end how much later than they would have, started at once; None if none does."""
    hours = result.realised.account.delay_s / HOUR_S
    if not hours.any():
        return None
    step = next((s for s in STEPS_H if hours.max() / s <= TOWERS), float(np.ceil(hours.max() / TOWERS)))
    edges = np.arange(0, hours.max() + step, step)
    counts = np.histogram(hours, edges)[0].tolist()
    canvas = Canvas(width, 240, left=62)
    x = canvas.x_axis(0, float(edges[-1]), "hours later than started at once")
    y = canvas.y_axis(0, max(counts), "jobs")
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            left, top = x(float(low)) + 0.5, y(count)
            box = {"x": left, "y": top, "width": x(float(high)) - left - 0.5, "height": canvas.y_end - top}
            canvas.add("rect", **box, class_="tower")
    middle, late = (float(np.quantile(hours, share)) * HOUR_S for share in (0.5, 0.95))
    at_once = percent(float((hours == 0).mean()))
    words = (
        f"{at_once} of the jobs are not delayed; half by {duration(middle)} at most, "
        f"95 % by {duration(late)} at most, the latest by {duration(float(hours.max()) * HOUR_S)}."
    )
    return Figure(
        canvas.render("Delay of the jobs", words, key),
        words,
        ("hours from", "to", "jobs"),
        tuple(
            (significant(float(low)), significant(float(high)), f"{count:,}")
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ),
        right=(0, 1, 2),
    )
