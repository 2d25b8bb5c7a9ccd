"""Grid zones x hours: carbon intensity as colour, with schedules drawn on it as outlined boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from harchos_infra.report.atlas import Atlas, ZoneHours
from harchos_infra.report.figures.board import HOUR, Board
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.figures.route import Route
from harchos_infra.report.wording import significant, utc

ROWS_SHOWN = 40


def heatmap(
    atlas: Atlas, routes: Sequence[Route], width: float, key: str, *, deadline: datetime | None
) -> Figure | None:
    """Return the map; None where no zone has a figure. `deadline` is marked if it is on the map."""
    shown = _shown(atlas, routes)
    if not shown:
        return None
    board = Board.of(atlas, shown, width)
    board.frame(deadline)
    board.cells()
    board.routes([route for route in routes if any(s.zone in board.places for s in route.stretches)])
    board.scale()
    zones = f"{len(shown)} grid zones" if len(shown) > 1 else "one grid zone"
    title = f"Carbon intensity of {zones} by hour"
    routed = "; ".join(f"{route.name}: {route.words}" for route in routes)
    return Figure(
        board.canvas.render(title, f"{routed or 'no schedule'}; the data follows as a table.", key),
        " ".join(_caption(atlas, shown, board.bin_h)),
        ("zone", "least", "mean", "most", "cleanest hour, UTC", "figures are", "regions"),
        tuple(_row(atlas.start, zone) for zone in shown),
        right=(1, 2, 3),
    )


def _shown(atlas: Atlas, routes: Sequence[Route]) -> tuple[ZoneHours, ...]:
    """Return the cleanest zones, and the routes' own however dirty they are."""
    routed = {stretch.zone for route in routes for stretch in route.stretches}
    others = [zone.zone for zone in atlas.zones if zone.zone not in routed]
    kept = routed.union(others[: max(0, ROWS_SHOWN - len(routed))])
    return tuple(zone for zone in atlas.zones if zone.zone in kept)


def _caption(atlas: Atlas, shown: Sequence[ZoneHours], bin_h: int) -> Iterator[str]:
    regions = " with their regions" if any(zone.regions for zone in shown) else ""
    yield f"Zones{regions}, cleanest on top; on the right each zone’s mean, gCO2e/kWh."
    yield f"A column is {'an hour' if bin_h == 1 else f'the mean of {bin_h} hours'} (UTC)."
    more = len(atlas.zones) - len(shown)
    if more > 0:
        hidden = sorted(zone.mean for zone in atlas.zones if zone not in shown)
        means = f"{significant(hidden[0])} to {significant(hidden[-1])} g/kWh"
        yield f"{more} more zones are not drawn (means {means})."
    if atlas.missing:
        yield f"Not on the map, because there is no figure: {', '.join(sorted(atlas.missing))}."


def _row(start: datetime, zone: ZoneHours) -> tuple[str, ...]:
    values = zone.gco2_per_kwh
    cleanest = "any" if zone.flat else utc(start + values.index(min(values)) * HOUR).removesuffix(" UTC")
    figures = (significant(v) for v in (min(values), zone.mean, max(values)))
    return (zone.zone, *figures, cleanest, zone.method, ", ".join(zone.regions))
