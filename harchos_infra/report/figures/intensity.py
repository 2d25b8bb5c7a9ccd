"""Grid intensity over time, with plan, run and baselines on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harchos_infra.report.account import Account, intensities
from harchos_infra.report.energy import IntensitySeries, planned_intensity
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.planned import baseline_name
from harchos_infra.report.plot import Canvas, Scale, step_path
from harchos_infra.report.wording import duration, significant, utc
from harchos_infra.runs.record import RunRecord

HOUR = timedelta(hours=1)
_UNIT_PX = 24.0
"""What the unit of the y axis takes of the line above the plot."""


@dataclass(frozen=True, slots=True)
class _Curve:
    name: str
    class_: str
    start: datetime
    end: datetime
    series: IntensitySeries

    def steps(self) -> Iterator[tuple[datetime, datetime, float]]:
        for hour, value in enumerate(self.series.gco2_per_kwh):
            begin = self.series.start + hour * HOUR
            a, b = max(begin, self.start), min(begin + HOUR, self.end)
            if value is not None and a < b:
                yield a, b, value


def intensity(record: RunRecord, account: Account, width: float, key: str) -> Figure | None:
    """Return grid intensity over time on the run's clock: plan, run and baselines; None without any."""
    curves = [*_horizon_curve(record), *_baseline_curves(record), *_plan_curves(record)]
    curves += _settled_curves(record, account)
    curves = [curve for curve in curves if any(curve.steps())]
    if not curves:
        return None
    runs = [(hub.started, hub.ended) for hub in account.hubs]
    start = min([account.planned_at, *(a for a, _ in runs), *(c.start for c in curves)])
    end = max([account.planned.finish, *(b for _, b in runs), *(c.end for c in curves)])
    canvas = Canvas(width, 300, top=30, bottom=58)
    x = canvas.time_axis(start, end, "UTC on the run's clock")
    y = canvas.y_axis(0, max(v for c in curves for _, _, v in c.steps()), "gCO2e/kWh")
    _window(canvas, x, account.planned.start, account.planned.finish)
    grid = [v for c in curves if c.class_ == "grid" for _, _, v in c.steps()]
    middle = y(sum(grid) / len(grid)) if grid else canvas.y_end
    ends: list[tuple[float, float, str, str]] = []
    for curve in curves:
        points = [(x(a.timestamp()), x(b.timestamp()), y(v)) for a, b, v in curve.steps()]
        canvas.add("path", d=step_path(points), class_=f"curve {curve.class_}")
        if curve.class_ in ("grid", "baseline"):
            ends.append(_named_end(curve, points, middle))
    canvas.names(ends)
    _runs(canvas, x, runs, record.rehearsal)
    when = f"{utc(account.planned.start)} to {utc(account.planned.finish)}"
    return Figure(
        canvas.render(
            "Grid intensity over time", f"The plan runs from {when}; the data follows as a table.", key
        ),
        f"Planned window: {when}. The bar under the axis is the life of the hub"
        f"{', set on the plan’s clock' if record.rehearsal else ''}.",
        ("from, UTC", "to", "gCO2e/kWh", "which"),
        tuple(
            (utc(a).removesuffix(" UTC"), utc(b)[11:16], significant(v), c.name)
            for c in curves
            for a, b, v in c.steps()
        ),
    )


def _horizon_curve(record: RunRecord) -> list[_Curve]:
    shown = record.plan["horizon"]
    if not shown:
        return []
    series = IntensitySeries(datetime.fromisoformat(shown["start"]), tuple(shown["gco2PerKwh"]), "")
    end = series.start + len(series.gco2_per_kwh) * HOUR
    return [_Curve(f"{shown['zone']}, as planned", "grid", series.start, end, series)]


def _settled_curves(record: RunRecord, account: Account) -> list[_Curve]:
    series = intensities(record)
    return [
        _Curve(
            f"{hub.span.zone}, settled",
            "settled",
            hub.started,
            hub.ended,
            series[hub.span.zone],
        )
        for hub in account.hubs
        if record.intensities and hub.span.zone in series
    ]


def _plan_curves(record: RunRecord) -> list[_Curve]:
    return [_segment_curve(s, f"{s['zone']}, the plan", "plan") for s in record.plan["chosen"]["segments"]]


def _baseline_curves(record: RunRecord) -> list[_Curve]:
    return [
        _segment_curve(s, f"{s['zone']}, {baseline_name(key)}", "baseline")
        for key, schedule in record.plan["baselines"].items()
        if schedule
        for s in schedule["segments"]
    ]


def _segment_curve(segment: dict[str, Any], name: str, class_: str) -> _Curve:
    start, end = (datetime.fromisoformat(segment[end]) for end in ("start", "end"))
    return _Curve(name, class_, start, end, planned_intensity(segment))


def _named_end(
    curve: _Curve, points: list[tuple[float, float, float]], middle: float
) -> tuple[float, float, str, str]:
    """Return where a curve's name goes: above the grid's last stretch, and clear of it for a baseline."""
    end = points[-1][1]
    if curve.class_ == "grid":
        height = min(y for _, x1, y in points if x1 > end - 8 * len(curve.name)) - 8
    else:
        height = points[-1][2] + (16 if points[-1][2] > middle else -6)
    return end, height, curve.name, curve.class_


def _window(canvas: Canvas, x: Scale, start: datetime, end: datetime) -> None:
    a, b = x(start.timestamp()), x(end.timestamp())
    top, tall = canvas.top + 8, canvas.y_end - canvas.top - 8
    canvas.add("rect", x=a, y=top, width=max(b - a, 1.5), height=tall, class_="window")
    side = "end" if (a + b) / 2 > canvas.width / 2 else "start"
    canvas.text(
        b if side == "end" else max(a, canvas.left + _UNIT_PX),
        canvas.top + 2,
        "planned",
        "end" if side == "end" else "start",
        "label plan",
    )


def _runs(canvas: Canvas, x: Scale, runs: list[tuple[datetime, datetime]], rehearsal: bool) -> None:
    for a, b in runs:
        left, right = x(a.timestamp()), x(b.timestamp())
        canvas.add(
            "rect", x=left, y=canvas.y_end + 26, width=max(right - left, 4), height=8, rx=2, class_="run"
        )
    if runs:
        a, b = runs[0][0], runs[-1][1]
        lived = f"{'rehearsal' if rehearsal else 'run'}, {duration((b - a).total_seconds())}"
        left, right = x(a.timestamp()), max(x(b.timestamp()), x(a.timestamp()) + 4)
        after = right + 130 < canvas.x_end
        canvas.text(
            right + 6 if after else left - 6,
            canvas.y_end + 34,
            lived,
            "start" if after else "end",
            "label run",
        )
