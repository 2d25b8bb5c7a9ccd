"""Carbon and cost of plan, run and baselines, as bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harchos_infra.report.account import Account
from harchos_infra.report.carbon import Carbon, Cost
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.markup import Markup
from harchos_infra.report.planned import baseline_name
from harchos_infra.report.plot import Canvas, Scale
from harchos_infra.report.wording import grams, interval, significant, usd
from harchos_infra.runs.record import RunRecord


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of parts `(class, value)`; `high` is the end of its range, `words` are its value."""

    name: str
    class_: str
    parts: tuple[tuple[str, float], ...]
    high: float
    words: str


def carbon_bars(record: RunRecord, account: Account, width: float, key: str) -> Figure:
    """Return gCO2e of plan, run and baselines, stacked by where it comes from."""
    entries = [(name, class_, carbon) for name, class_, carbon, _ in _compared(record, account)]
    rows = [_carbon_bar(name, class_, carbon) for name, class_, carbon in entries if carbon.total()]
    return Figure(
        bars(rows, width, key, "gCO2e", "Carbon of plan, run and baselines"),
        "Operational, embodied where published, and transfer; the whisker is the range of transfer.",
        ("which", "operational g", "embodied g", "transfer g"),
        tuple(
            (
                name,
                "unknown" if c.operational is None else significant(c.operational),
                "not published" if c.embodied is None else significant(c.embodied),
                interval(c.transfer, significant),
            )
            for name, _, c in entries
        ),
    )


def cost_bars(record: RunRecord, account: Account, width: float, key: str) -> Figure:
    """Return USD of plan, run and baselines."""
    entries = [(name, class_, cost) for name, class_, _, cost in _compared(record, account)]
    rows = [
        Bar(name, class_, (("operational", c.compute), ("transfer", c.transfer)), c.total, usd(c.total))
        for name, class_, c in entries
    ]
    return Figure(
        bars(rows, width, key, "USD", "Cost of plan, run and baselines"),
        "Compute at the accepted price, and data transfer.",
        ("which", "compute", "transfer"),
        tuple((name, usd(c.compute), usd(c.transfer)) for name, _, c in entries),
    )


def _compared(record: RunRecord, account: Account) -> Iterator[tuple[str, str, Carbon, Cost]]:
    p, r = account.planned, account.realised
    yield "planned", "plan", p.carbon, p.cost
    yield "rehearsal here" if record.rehearsal else "realised", "run", r.carbon, r.cost
    for c in account.comparisons:
        if c.baseline:
            yield baseline_name(c.key), "baseline", c.baseline.carbon, c.baseline.cost


def _carbon_bar(name: str, class_: str, c: Carbon) -> Bar:
    total = c.total()
    assert total is not None and c.operational is not None
    parts = (("operational", c.operational), ("embodied", c.embodied or 0.0), ("transfer", c.transfer.low))
    return Bar(name, class_, parts, total.high, interval(total, grams))


def bars(rows: Iterable[Bar], width: float, key: str, unit: str, title: str) -> Markup:
    """Return a drawing of bars one below the other."""
    found = list(rows)
    canvas = Canvas(width, 46 * len(found) + 6, left=0, right=0, top=6, bottom=0)
    canvas_end = width - 104
    top = max((bar.high for bar in found), default=0.0) or 1.0
    x = Scale(0.0, top, 0.0, canvas_end)
    for index, bar in enumerate(found):
        y = canvas.top + 46 * index
        canvas.text(0, y + 12, bar.name, class_="name")
        at = 0.0
        for part, value in bar.parts:
            if value > 0:
                canvas.add(
                    "rect",
                    x=x(at),
                    y=y + 18,
                    width=max(x(at + value) - x(at), 0.5),
                    height=16,
                    class_=f"bar {bar.class_} {part}",
                )
            at += value
        if bar.high > at:
            canvas.add(
                "path",
                d=f"M{x(at):.1f} {y + 26}H{x(bar.high):.1f}M{x(bar.high):.1f} {y + 21}v10",
                class_="whisker",
            )
        canvas.text(x(bar.high) + 8, y + 31, bar.words, class_="value")
    return canvas.render(title, f"{unit}: " + "; ".join(f"{b.name} {b.words}" for b in found), key)
