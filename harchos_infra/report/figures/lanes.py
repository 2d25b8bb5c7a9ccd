"""When the hubs of a queue's runs were planned, and when they lived: a lane for each run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from harchos_infra.report.account import Account
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.plot import Canvas, Scale
from harchos_infra.report.wording import utc
from harchos_infra.runs.record import RunRecord

LANES_SHOWN = 60
_LANE_PX = 44.0


def lanes(
    runs: Sequence[tuple[RunRecord, Account]], names: Sequence[str], width: float, key: str
) -> Figure | None:
    """Return a drawing of the runs on their own clocks, `names` being what stands above each lane."""
    spans = [(_planned(record), _lived(account)) for record, account in runs]
    times = [time for planned, lived in spans for span in (*planned, *lived) for time in span]
    if not times:
        return None
    shown = spans[:LANES_SHOWN]
    canvas = Canvas(width, 14 + _LANE_PX * len(shown) + 40, left=8, right=8)
    x = canvas.time_axis(min(times), max(times), "UTC on each run's clock")
    for lane, ((planned, lived), name) in enumerate(zip(shown, names, strict=False)):
        y = canvas.top + _LANE_PX * lane
        canvas.text(canvas.left, y + 10, name, class_="name")
        for span in planned:
            _bar(canvas, x, span, y + 16, 16, "route plan")
        for span in lived:
            _bar(canvas, x, span, y + 20, 8, "run")
    more = len(spans) - len(shown)
    return Figure(
        canvas.render("When hubs were planned, and when they lived", "; ".join(names), key),
        "Outlined: as planned; filled: a hub's life." + (f" {more} more runs are not drawn." if more else ""),
        ("run", "planned, UTC", "lived, UTC"),
        tuple(
            (name, _words(planned) or "-", _words(lived) or "no hub")
            for (planned, lived), name in zip(spans, names, strict=True)
        ),
    )


def _planned(record: RunRecord) -> list[tuple[datetime, datetime]]:
    segments = record.plan["chosen"]["segments"]
    return [(datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"])) for s in segments]


def _lived(account: Account) -> list[tuple[datetime, datetime]]:
    return [(hub.started, hub.ended) for hub in account.hubs]


def _bar(
    canvas: Canvas, x: Scale, span: tuple[datetime, datetime], y: float, height: float, class_: str
) -> None:
    left, right = (x(time.timestamp()) for time in span)
    canvas.add("rect", x=left, y=y, width=max(right - left, 2), height=height, rx=2, class_=class_)


def _words(spans: Sequence[tuple[datetime, datetime]]) -> str:
    return ", ".join(f"{utc(a).removesuffix(' UTC')} to {utc(b).removesuffix(' UTC')}" for a, b in spans)
