"""Cost against carbon: every candidate that was compared, and the Pareto front of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.markup import Markup, tag
from harchos_infra.report.planned import baseline_name, counted_gco2e, place, read_schedule
from harchos_infra.report.plot import Canvas
from harchos_infra.report.wording import grams, usd

LOG_FROM = 8.0
"""Axes are logarithmic where the largest figure is more than so many times the least."""
_DOT_PX = 3
"""Candidates nearer to each other than this are one dot."""
_WIDE_PX = 700


def front(plan: dict[str, Any], width: float, key: str) -> Figure:
    """Return what nothing beats in both USD and gCO2e, with the choice, the baselines and all that lost.

    `plan` is a `harchos.plan/1` document that chose something.
    """
    points = sorted(_points(plan), key=lambda p: p.usd)
    candidates = list(_candidates(plan["rejected"]))
    every = [*points, *candidates]
    canvas = Canvas(width, 340 if candidates else 300, bottom=46)
    x = canvas.x_axis(*_range(p.usd for p in every), **_axis("USD", [p.usd for p in every]))
    y = canvas.y_axis(*_range(p.grams for p in every), **_axis("gCO2e", [p.grams for p in every]))
    for where, members in _merged([(x(p.usd), y(p.grams), p) for p in candidates]).items():
        title = tag("title", _words(members)) if width >= _WIDE_PX else Markup()
        canvas.add("circle", title, cx=where[0], cy=where[1], r=2.5, class_="dot candidate")
    line = "L".join(f"{x(p.usd):.1f} {y(p.grams):.1f}" for p in points if p.on_front)
    if line:
        canvas.add("path", d=f"M{line}", class_="curve front")
    for point in sorted(points, key=lambda p: p.class_ == "plan"):
        title = tag("title", f"{point.name or 'on the front'}: {_words([point])}")
        px, py = x(point.usd), y(point.grams)
        canvas.add("circle", title, cx=px, cy=py, r=6.0 if point.name else 3.5, class_=f"dot {point.class_}")
    canvas.names([(x(p.usd), y(p.grams) - 4, p.name, p.class_) for p in points if p.name])
    return Figure(
        canvas.render("Cost against carbon", "Pareto front of the plan; the data follows as a table.", key),
        "The Pareto front at planning time: nothing is both cheaper and cleaner than a point on it. "
        f"gCO2e as the plan ranked it: {plan['inputs']['objective']['carbon']} (at the low end)."
        + (f" Small dots: {len(candidates):,} feasible candidates that lost." if candidates else ""),
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


def _points(plan: dict[str, Any]) -> Iterator[_Point]:
    chosen = plan["chosen"]
    named = [(chosen, "chosen", "plan")]
    named += [(s, baseline_name(k), "baseline") for k, s in plan["baselines"].items() if s]
    for schedule in plan["frontier"]:
        if schedule != chosen:
            yield _point(plan, schedule, "", "front", on_front=True)
    for schedule, name, class_ in named:
        on_front = class_ == "plan" and chosen in plan["frontier"]
        yield _point(plan, schedule, name, class_, on_front=on_front)


def _point(
    plan: dict[str, Any], schedule: dict[str, Any], name: str, class_: str, *, on_front: bool
) -> _Point:
    where = ", then ".join(read_schedule(schedule).places)
    return _Point(schedule["costUsd"], counted_gco2e(plan, schedule), where, name, class_, on_front)


def _candidates(rejected: Iterable[dict[str, Any]]) -> Iterator[_Point]:
    for lost in rejected:
        if "costUsd" in lost and "gco2e" in lost:
            yield _Point(lost["costUsd"], lost["gco2e"], place(lost), "", "candidate", False)


def _merged(
    drawn: Iterable[tuple[float, float, _Point]],
) -> dict[tuple[float, float], list[_Point]]:
    """Put candidates together that would cover one another."""
    found: dict[tuple[float, float], list[_Point]] = {}
    for x, y, point in drawn:
        at = float(_DOT_PX * round(x / _DOT_PX)), float(_DOT_PX * round(y / _DOT_PX))
        found.setdefault(at, []).append(point)
    return found


def _words(members: list[_Point]) -> str:
    more = f" and {len(members) - 1} more" if len(members) > 1 else ""
    return f"{members[0].where}{more}: {usd(members[0].usd)}, {grams(members[0].grams)}"


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


def _axis(unit: str, values: list[float]) -> dict[str, Any]:
    """Return an axis's unit, and whether it is logarithmic."""
    low, high = _range(values)
    log = low > 0 and high > LOG_FROM * low
    return {"unit": f"{unit}, logarithmic" if log else unit, "log": log}
