"""The drawing of a map of zones and hours: colours, boxes and names, at one width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from harchos_infra.report.atlas import Atlas, ZoneHours
from harchos_infra.report.figures.levels import COLOURS, Levels
from harchos_infra.report.figures.route import Route, Stretch
from harchos_infra.report.markup import Markup, tag
from harchos_infra.report.plot import Anchor, Canvas, Scale, time_ticks
from harchos_infra.report.wording import significant

HOUR = timedelta(hours=1)
COLUMN_PX = 4.4
"""A column is at least so wide; more hours than fit are averaged."""
_BIN_HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
_WIDE_PX = 700
DARK = 5
"""Words on colours from here on are light."""


@dataclass(slots=True)
class Board:
    """The canvas with its scales: `places` maps a zone to its row, `x` Unix seconds to pixels."""

    canvas: Canvas
    zones: tuple[ZoneHours, ...]
    start: datetime
    end: datetime
    bin_h: int
    pitch: float
    levels: Levels
    places: dict[str, int]
    x: Scale
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Left, top, right and bottom of what no name may cover."""

    @classmethod
    def of(cls, atlas: Atlas, zones: tuple[ZoneHours, ...], width: float) -> Board:
        """Return an empty board for these zones (one or more), as wide as given in pixels."""
        wide = width >= _WIDE_PX
        pitch = 18.0 if wide else 16.0
        canvas = Canvas(
            width,
            34 + pitch * len(zones) + 66,
            left=214 if wide and any(zone.regions for zone in zones) else 92,
            right=46 if wide else 36,
            top=34,
            bottom=66,
        )
        hours = len(zones[0].gco2_per_kwh)
        end = atlas.start + hours * HOUR
        values = [value for zone in zones for value in zone.gco2_per_kwh]
        return cls(
            canvas=canvas,
            zones=zones,
            start=atlas.start,
            end=end,
            bin_h=_bin_hours(hours, int((canvas.x_end - canvas.left) / COLUMN_PX)),
            pitch=pitch,
            levels=Levels.between(min(values), max(values)),
            places={zone.zone: place for place, zone in enumerate(zones)},
            x=Scale(atlas.start.timestamp(), end.timestamp(), canvas.left, canvas.x_end),
        )

    @property
    def wide(self) -> bool:
        """Whether there is room for regions and tooltips."""
        return self.canvas.width >= _WIDE_PX

    def top(self, zone: str) -> float:
        """Return the upper edge of a zone's row."""
        return self.canvas.top + self.places[zone] * self.pitch

    def frame(self, deadline: datetime | None) -> None:
        """Draw times above, names on the left and means on the right."""
        canvas = self.canvas
        room = canvas.x_end - canvas.left
        for at, label in time_ticks(self.start, self.end, max(2, int(room / (62 if self.wide else 50)))):
            x = self.x(at.timestamp())
            canvas.add("line", x1=x, x2=x, y1=canvas.top - 5, y2=canvas.top, class_="axis")
            near_end: Anchor = "end" if x > canvas.x_end - 18 else "middle"
            canvas.text(x, canvas.top - 9, label, "start" if x < canvas.left + 18 else near_end)
        head = "grid zone, regions" if canvas.left > 92 else "grid zone"
        canvas.text(0, canvas.top - 9, head, class_="unit")
        canvas.text(canvas.width, canvas.top - 9, "mean", "end", "unit")
        for zone in self.zones:
            baseline = self.top(zone.zone) + self.pitch / 2 + 4
            canvas.add("text", *self._label(zone), x=0, y=baseline, class_="row")
            canvas.text(canvas.width, baseline, significant(zone.mean), "end", "mean")
        if deadline is not None and self.start < deadline <= self.end:
            x = self.x(deadline.timestamp())
            for class_ in ("deadline halo", "deadline"):
                canvas.add("line", x1=x, x2=x, y1=canvas.top, y2=canvas.y_end + 6, class_=class_)
            canvas.text(x, canvas.y_end + 18, "deadline", "end", "tick")

    def _label(self, zone: ZoneHours) -> Iterator[Markup]:
        yield tag("tspan", zone.zone, class_="name")
        if not self.wide or not zone.regions:
            return
        room = int((self.canvas.left - 10) / 6.2 - 1.12 * len(zone.zone)) - 1
        words = zone.regions[0]
        for more in range(len(zone.regions) - 1, -1, -1):
            words = ", ".join(zone.regions[: len(zone.regions) - more]) + (f" +{more}" if more else "")
            if len(words) <= room:
                break
        else:
            words = zone.regions[0] + (f" +{len(zone.regions) - 1}" if len(zone.regions) > 1 else "")
        yield tag("tspan", words if len(words) <= room else words[: room - 1] + "…", dx=6)

    def cells(self) -> None:
        """Draw a stroke for each run of hours of one colour; where pointers are used, it has a tooltip."""
        strokes: list[list[Markup | str]] = [[] for _ in COLOURS]
        for zone in self.zones:
            middle = self.top(zone.zone) + self.pitch / 2
            for first, values, level in self._runs(zone):
                x0, x1 = self._column(first), self._column(first + len(values))
                d = f"M{x0:.1f} {middle:g}H{x1:.1f}"
                words = self._words(zone, first, values) if self.wide else ""
                strokes[level].append(tag("path", tag("title", words), d=d) if words else d)
        for colour, drawn in zip(COLOURS, strokes, strict=True):
            if drawn:
                content = drawn if self.wide else [tag("path", d="".join(drawn))]
                self.canvas.add("g", *content, class_="cells", stroke=colour, stroke_width=self.pitch - 1)
        for zone in self.zones:
            if zone.flat:
                self._hatch(zone)

    def _runs(self, zone: ZoneHours) -> Iterator[tuple[int, list[float], int]]:
        """Yield runs of columns of one colour: first column, the columns' means, colour."""
        columns = _binned(zone.gco2_per_kwh, self.bin_h)
        first = 0
        for level, group in groupby(columns, key=self.levels.of):
            values = list(group)
            yield first, values, level
            first += len(values)

    def _column(self, number: int) -> float:
        """Return the left edge of a column."""
        return self.x(min(self.start + number * self.bin_h * HOUR, self.end).timestamp())

    def _words(self, zone: ZoneHours, first: int, values: Sequence[float]) -> str:
        begin = self.start + first * self.bin_h * HOUR
        end = min(begin + len(values) * self.bin_h * HOUR, self.end)
        low, high = significant(min(values)), significant(max(values))
        figures = low if low == high else f"{low} to {high}"
        return f"{zone.zone} {begin:%-d %b %H:%M}–{end:%H:%M}: {figures} g/kWh"

    def _hatch(self, zone: ZoneHours) -> None:
        canvas, top = self.canvas, self.top(zone.zone)
        level = self.levels.of(zone.gco2_per_kwh[0])
        shade = "dark" if level >= DARK else "light"
        canvas.add(
            "rect",
            x=canvas.left,
            y=top + 0.5,
            width=canvas.x_end - canvas.left,
            height=self.pitch - 1,
            class_=f"flat on-{shade}",
        )
        words = f"{zone.method}: the same every hour"
        if 6.2 * len(words) > canvas.x_end - canvas.left:
            words = "no hourly figures"
        canvas.add(
            "text",
            words,
            x=canvas.left + 8,
            y=top + self.pitch / 2 + 4,
            class_=f"on-cell on-{shade}",
            stroke=COLOURS[level],
        )

    def routes(self, routes: Sequence[Route]) -> None:
        """Draw routes, the plan on top, then their names where there is room."""
        ordered = sorted(routes, key=lambda route: route.class_ == "plan")
        for route in ordered:
            boxes = [self._box(s) for s in route.stretches if s.zone in self.places]
            self.taken += [(x - 3, y, x + wide + 3, y + self.pitch) for x, y, wide in boxes]
            links = "".join(
                f"M{a[0] + a[2]:.1f} {a[1] + self.pitch / 2:g}L{b[0]:.1f} {b[1] + self.pitch / 2:g}"
                for a, b in pairwise(boxes)
            )
            d = links + "".join(map(self._outline, boxes))
            self.canvas.add("path", d=d, class_=f"halo {route.class_}")
            self.canvas.add(
                "path", tag("title", f"{route.name}: {route.words}"), d=d, class_=f"route {route.class_}"
            )
        for route in reversed(ordered):
            if route.class_ != "sample":
                self._name(route)

    def _outline(self, box: tuple[float, float, float]) -> str:
        """Return the path of a box, or of a small circle for a point."""
        x, y, wide = box
        if not wide:
            return f"M{x - 3:.1f} {y + self.pitch / 2:g}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z"
        return f"M{x:.1f} {y:g}h{wide:.1f}v{self.pitch:g}h{-wide:.1f}z"

    def _box(self, stretch: Stretch) -> tuple[float, float, float]:
        """Return left edge, upper edge and width of a stretch: 4 px at least, none for a point."""
        if stretch.start == stretch.end:
            return self.x(stretch.start.timestamp()), self.top(stretch.zone), 0.0
        x0 = self.x(max(stretch.start, self.start).timestamp())
        x1 = self.x(min(stretch.end, self.end).timestamp())
        return min(x0, self.canvas.x_end - 4), self.top(stretch.zone), max(x1 - x0, 4)

    def _name(self, route: Route) -> None:
        x, y, wide = max((self._box(s) for s in route.stretches if s.zone in self.places), key=lambda b: b[2])
        length = 6.9 * len(route.name) + 10
        for up in (0, 1, -1, 2, -2, 3, -3):
            for left in (x + wide + 6, x - 6 - length):
                top = y + up * self.pitch
                spot = (left, top, left + length, top + self.pitch)
                inside = self.canvas.left <= left and left + length <= self.canvas.x_end
                if inside and self.canvas.top <= top < self.canvas.y_end and not self._is_taken(spot):
                    self.taken.append(spot)
                    box = {"x": left, "y": top + 1, "width": length, "height": self.pitch - 2, "rx": 3}
                    self.canvas.add("rect", **box, class_="plate")
                    middle = left + length / 2, top + self.pitch / 2 + 4
                    self.canvas.text(*middle, route.name, "middle", f"label {route.class_}")
                    return

    def _is_taken(self, spot: tuple[float, float, float, float]) -> bool:
        left, top, right, bottom = spot
        return any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in self.taken
        )

    def scale(self) -> None:
        """Draw what the colours mean."""
        canvas, wide = self.canvas, 40.0 if self.wide else 27.0
        y = canvas.y_end + 28
        used = self.levels.colours
        left = canvas.left if self.wide else 0.0
        for place, colour in enumerate(used):
            canvas.add("rect", x=left + place * wide, y=y, width=wide, height=10, fill=colour)
        for place, bound in enumerate(self.levels.bounds, 1):
            canvas.text(left + place * wide, y + 22, f"{bound:g}", "middle")
        words = "gCO2e/kWh, darker is dirtier"
        if self.wide:
            canvas.text(left + len(used) * wide + 10, y + 10, words, class_="unit")
        else:
            canvas.text(left, y + 36, words, class_="unit")


def _bin_hours(hours: int, columns: int) -> int:
    """Return hours a column so that no more than `columns` are needed."""
    least = -(-hours // columns)
    return next((size for size in _BIN_HOURS if size >= least), -(-least // 24) * 24)


def _binned(values: Sequence[float], size: int) -> Iterable[float]:
    return (sum(part) / len(part) for part in (values[i : i + size] for i in range(0, len(values), size)))
