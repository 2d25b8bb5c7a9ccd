"""The Pareto front of the plan: cost against carbon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harchos_infra.report.account import Account
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.planned import baseline_name, read_schedule
from harchos_infra.report.plot import Canvas
from harchos_infra.report.wording import grams, usd
from harchos_infra.runs.record import RunRecord


def front(record: RunRecord, account: Account, width: float, key: str) -> Figure:
    """Return the schedules that nothing beats in both USD and gCO2e, with the choice and the baselines."""
    points = sorted(_points(record), key=lambda p: p.usd)
    canvas = Canvas(width, 300, bottom=46)
    low, high = min(p.grams for p in points), max(p.grams for p in points)
    x = canvas.x_axis(points[0].usd, points[-1].usd, "USD")
    y = canvas.y_axis(low, high, "gCO2e")
    line = [p for p in points if p.on_front]
    path = "L".join(f"{x(p.usd):.1f} {y(p.grams):.1f}" for p in line)
    if line:
        canvas.add("path", d=f"M{path}", class_="curve front")
    for point in sorted(points, key=lambda p: p.class_ == "plan"):
        px, py = x(point.usd), y(point.grams)
        canvas.add("circle", cx=px, cy=py, r=6.0 if point.name else 3.5, class_=f"dot {point.class_}")
    named = [p for p in points if p.name]
    canvas.names([(x(p.usd), y(p.grams) - 4, p.name, p.class_) for p in named])
    return Figure(
        canvas.render("Cost against carbon", "Pareto front of the plan; the data follows as a table.", key),
        "The Pareto front at planning time: nothing is both cheaper and cleaner than a point on it. "
        f"gCO2e as the plan ranked it: {record.plan['inputs']['objective']['carbon']} (at the low end).",
        ("USD", "gCO2e", "where", "which"),
        tuple((usd(p.usd), grams(p.grams), p.where, p.name or "on the front") for p in points),
    )


@dataclass(frozen=True, slots=True)
class _Point:
    usd: float
    grams: float
    where: str
    name: str
    class_: str
    on_front: bool


def _points(record: RunRecord) -> Iterator[_Point]:
    chosen, embodied = record.plan["chosen"], "embodied" in record.plan["inputs"]["objective"]["carbon"]
    named = [(chosen, "chosen", "plan")]
    named += [(s, baseline_name(k), "baseline") for k, s in record.plan["baselines"].items() if s]
    for schedule in record.plan["frontier"]:
        if schedule != chosen:
            yield _point(schedule, "", "front", embodied, on_front=True)
    for schedule, name, class_ in named:
        on_front = class_ == "plan" and chosen in record.plan["frontier"]
        yield _point(schedule, name, class_, embodied, on_front=on_front)


def _point(schedule: dict[str, Any], name: str, class_: str, embodied: bool, *, on_front: bool) -> _Point:
    where = ", then ".join(read_schedule(schedule).places)
    counted = schedule["gco2e"] - (0.0 if embodied else schedule["breakdown"]["embodiedGco2e"])
    return _Point(schedule["costUsd"], counted, where, name, class_, on_front)
