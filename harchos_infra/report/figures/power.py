"""Power over real time, measured and modelled apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from harchos_infra.report.account import Account
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.plot import Canvas, step_path
from harchos_infra.report.wording import significant, utc
from harchos_infra.runs.record import Measurement, RunRecord

POWER_STEPS = 240
"""The plot shows at most about so many steps; closer measurements are averaged."""


@dataclass(frozen=True, slots=True)
class _Draw:
    start: datetime
    end: datetime
    watts: float
    basis: str


def power(record: RunRecord, account: Account, width: float, key: str) -> Figure | None:
    """Return power over real time, measured and modelled apart; None where nothing was metered."""
    draws = list(_draws(record))
    if not draws:
        return None
    start = min([hub.span.created_at for hub in account.hubs] + [d.start for d in draws])
    end = max([hub.end for hub in account.hubs] + [d.end for d in draws])
    segment = record.plan["chosen"]["segments"][0]
    planned = segment["powerWatts"] * segment["nodes"]
    canvas = Canvas(width, 250, top=14)
    x = canvas.time_axis(start, end, "UTC")
    y = canvas.y_axis(0, 1.1 * max([planned, *(d.watts for d in draws)]), "W before PUE")
    for basis in sorted({d.basis for d in draws}):
        points = [
            (x(d.start.timestamp()), x(d.end.timestamp()), y(d.watts)) for d in draws if d.basis == basis
        ]
        canvas.add("path", d=step_path(points, base=canvas.y_end), class_=f"area {basis}")
        canvas.add("path", d=step_path(points), class_=f"curve {basis}")
    canvas.add("line", x1=canvas.left, x2=canvas.x_end, y1=y(planned), y2=y(planned), class_="reference")
    canvas.text(
        canvas.x_end,
        y(planned) - 6,
        f"planned {significant(planned)} W, {segment['instanceType']}",
        "end",
        "label plan",
    )
    machine = "this machine" if record.rehearsal else "the hub"
    return Figure(
        canvas.render("Power over time", f"Power of {machine} between {utc(start)} and {utc(end)}.", key),
        f"Power of {machine} from its creation until it was gone, real time; blank where no meter ran.",
        ("from, UTC", "seconds", "W", "basis"),
        tuple(
            (
                utc(d.start, seconds=True).removesuffix(" UTC"),
                significant((d.end - d.start).total_seconds()),
                significant(d.watts),
                d.basis,
            )
            for d in draws
        ),
    )


def _draws(record: RunRecord) -> Iterator[_Draw]:
    """Yield mean power by step; consecutive measurements of a node and basis are merged, nodes added up."""
    timed = sorted((m for m in record.measurements if m.seconds > 0), key=lambda m: (m.hub, m.node, m.at))
    if not timed:
        return
    least = (max(m.at for m in timed) - min(m.at for m in timed)).total_seconds() / POWER_STEPS
    for _, of_hub in groupby(timed, key=lambda m: m.hub):
        nodes = [list(_steps(list(part), least)) for _, part in groupby(of_hub, key=lambda m: m.node)]
        yield from nodes[0] if len(nodes) == 1 else _sum(nodes)


def _steps(timed: list[Measurement], least: float) -> Iterator[_Draw]:
    group: list[Measurement] = []
    for m in timed:
        if group and not (_follows(group[-1], m) and sum(g.seconds for g in group) < least):
            yield _mean(group)
            group = []
        group.append(m)
    yield _mean(group)


def _sum(nodes: list[list[_Draw]]) -> Iterator[_Draw]:
    """Yield the power of all nodes: measured where all of it is."""
    marks = sorted({mark for draws in nodes for draw in draws for mark in (draw.start, draw.end)})
    for start, end in pairwise(marks):
        there = [draw for draws in nodes for draw in draws if draw.start <= start and end <= draw.end]
        if there:
            basis = "measured" if all(draw.basis == "measured" for draw in there) else "modelled"
            yield _Draw(start, end, sum(draw.watts for draw in there), basis)


def _follows(last: Measurement, m: Measurement) -> bool:
    gap = (m.at - last.at).total_seconds() - m.seconds
    return (m.hub, m.basis) == (last.hub, last.basis) and abs(gap) < 1


def _mean(group: list[Measurement]) -> _Draw:
    start = group[0].at - timedelta(seconds=group[0].seconds)
    watts = sum(m.joules for m in group) / sum(m.seconds for m in group)
    return _Draw(start, group[-1].at, watts, group[0].basis)
