"""The map of zones and hours: what is drawn, in which colour, and what is said instead of drawn."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise

import pytest

from harchos_infra.report.atlas import Atlas, ZoneHours
from harchos_infra.report.figures.board import DARK
from harchos_infra.report.figures.colours import DARKEST, LIGHTEST, ramp
from harchos_infra.report.figures.heatmap import ROWS_SHOWN, heatmap
from harchos_infra.report.figures.levels import COLOURS, Levels
from harchos_infra.report.figures.route import Route, Stretch
from support.page import Page
from support.records import HORIZON

HOUR = timedelta(hours=1)
WIDE, NARROW = 976.0, 360.0


def zone(name, values, *, flat=False, regions=("aws/x",)):
    return ZoneHours(
        name, regions, tuple(map(float, values)), "flat 2025 average" if flat else "replay", flat
    )


def atlas(*zones, missing=None):
    return Atlas(HORIZON, zones, missing or {})


def route(*stretches, name="the plan", class_="plan"):
    parts = tuple(Stretch(z, HORIZON + a * HOUR, HORIZON + b * HOUR) for z, a, b in stretches)
    return Route(name, class_, parts, "words")


def drawn(found):
    return Page(found.drawing).elements


def boxes(found, class_="route plan"):
    """Return the path's boxes as (left, top, width)."""
    [d] = [attributes["d"] for tag, attributes in drawn(found) if attributes.get("class") == class_]
    return [tuple(map(float, m)) for m in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v", d)]


def oklab_lightness(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    cone = (
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )
    long, medium, short = (sum(f * v for f, v in zip(row, linear, strict=True)) ** (1 / 3) for row in cone)
    return 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short


def test_lightness_falls_evenly_so_that_order_needs_no_hue():
    lightness = [oklab_lightness(colour) for colour in COLOURS]
    step = (LIGHTEST - DARKEST) / (len(COLOURS) - 1)
    assert [a - b for a, b in pairwise(lightness)] == pytest.approx([step] * (len(COLOURS) - 1), abs=0.012)
    assert ramp(2) == (COLOURS[0], COLOURS[-1])


def test_a_dirtier_hour_is_never_lighter():
    levels = Levels.between(12, 690)
    found = [levels.of(g) for g in (0, 12, 30, 60, 120, 300, 500, 690, 900)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, len(COLOURS) - 1)


@pytest.mark.parametrize(
    ("low", "high", "levels"), [(100, 100, 1), (100, 104, 1), (100, 111, 2), (0, 5, 10), (0, 0, 1)]
)
def test_small_differences_do_not_look_large(low, high, levels):
    found = Levels.between(low, high)
    assert len(found.colours) == levels
    assert set(found.colours) <= set(COLOURS)
    assert found.colours[levels // 2] in COLOURS[3:7]


def test_hours_of_one_colour_are_one_stroke_with_their_figures_as_a_tooltip():
    found = heatmap(atlas(zone("A", [10, 10, 500, 500])), [], WIDE, "m", deadline=None)
    assert "A 23 Nov 09:00–11:00: 10.0 g/kWh" in found.drawing
    assert "A 23 Nov 11:00–13:00: 500 g/kWh" in found.drawing
    strokes = [a["stroke"] for tag, a in drawn(found) if a.get("class") == "cells"]
    assert strokes == [COLOURS[0], COLOURS[-1]]


def test_a_plan_over_several_zones_is_boxes_on_their_rows_joined_by_lines():
    three = atlas(zone("A", [1] * 10), zone("B", [50] * 10), zone("C", [100] * 10))
    found = heatmap(three, [route(("C", 0, 2), ("A", 3, 5), ("A", 8, 10))], WIDE, "m", deadline=None)
    first, second, third = boxes(found)
    hour = (WIDE - 46 - 214) / 10
    assert [b[0] for b in (first, second, third)] == pytest.approx([214, 214 + 3 * hour, 214 + 8 * hour])
    assert all(b[2] == pytest.approx(2 * hour, abs=0.1) for b in (first, second, third))
    assert first[1] - second[1] == pytest.approx(36), "two rows apart"
    [path] = [a["d"] for _, a in drawn(found) if a.get("class") == "route plan"]
    assert path.count("L") == 2


def test_a_short_job_at_the_very_end_is_still_to_be_seen():
    found = heatmap(atlas(zone("A", [1] * 200)), [route(("A", 199.9, 200))], NARROW, "m", deadline=None)
    [(left, _, width)] = boxes(found)
    assert width == 4
    assert left + width <= NARROW


def test_baselines_are_named_and_no_name_covers_another():
    here = [route(("A", 0, 2)), *(route(("A", 0, 2), name=f"run now, {n}", class_="baseline") for n in "xyz")]
    zones = [zone(name, [grams] * 9) for grams, name in enumerate("ABCD", 1)]
    found = heatmap(atlas(*zones), here, WIDE, "m", deadline=None)
    plates = [(a["x"], a["y"]) for _, a in drawn(found) if a.get("class") == "plate"]
    assert len(plates) == len(set(plates)) == 4


def test_a_zone_without_hourly_figures_says_so_on_its_row():
    found = heatmap(atlas(zone("A", [1, 2]), zone("FLAT", [5, 5], flat=True)), [], WIDE, "m", deadline=None)
    assert sum("flat" in (a.get("class") or "").split() for _, a in drawn(found)) == 1
    assert "flat 2025 average: the same every hour" in Page(found.drawing).texts
    assert found.rows[1][4] == "any"


def test_many_zones_are_cut_but_never_those_of_the_plan():
    many = [zone(f"Z{n:03}", [n + 1.0] * 4) for n in range(100)]
    found = heatmap(atlas(*many), [route(("Z099", 0, 1)), route(("Z039", 0, 1))], WIDE, "m", deadline=None)
    shown = [row[0] for row in found.rows]
    assert len(shown) == ROWS_SHOWN
    assert shown[-2:] == ["Z039", "Z099"]
    assert "60 more zones are not drawn (means 39.0 to 99.0 g/kWh)" in found.caption


def test_regions_without_a_figure_are_listed_not_coloured():
    found = heatmap(atlas(zone("A", [1, 2]), missing={"gcp/moon": "no zone"}), [], WIDE, "m", deadline=None)
    assert "Not on the map, because there is no figure: gcp/moon." in found.caption
    assert [row[0] for row in found.rows] == ["A"]


@pytest.mark.parametrize(
    ("hours", "width", "said"),
    [(168, WIDE, "2 hours"), (336, WIDE, "3 hours"), (8784, WIDE, "72 hours"), (36, NARROW, "an hour")],
)
def test_more_hours_than_fit_are_averaged_and_said_to_be(hours, width, said):
    found = heatmap(atlas(zone("A", [n % 24 for n in range(hours)])), [], width, "m", deadline=None)
    assert f"A column is {'the mean of ' if said != 'an hour' else ''}{said} (UTC)" in found.caption


def test_a_map_that_changes_colour_every_hour_stays_small():
    restless = [zone(f"Z{n:02}", [10 if h % 2 else 700 for h in range(160)]) for n in range(ROWS_SHOWN)]
    found = heatmap(atlas(*restless), [], WIDE, "m", deadline=None)
    narrow = heatmap(atlas(*restless), [], NARROW, "m", deadline=None)
    assert len(found.drawing) + len(narrow.drawing) < 750_000


def test_the_deadline_is_marked_where_it_is_on_the_map():
    def marks(hours):
        found = heatmap(atlas(zone("A", [1] * 6)), [], WIDE, "m", deadline=HORIZON + hours * HOUR)
        return sum("deadline" in (a.get("class") or "").split() for _, a in drawn(found))

    assert (marks(5), marks(7)) == (2, 0)


def test_nothing_to_draw_is_no_figure():
    assert heatmap(atlas(), [], WIDE, "m", deadline=None) is None


def test_words_on_a_colour_can_be_read():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(f * c for f, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for level, colour in enumerate(COLOURS):
        ink = "#ffffff" if level >= DARK else "#17202a"
        dim, bright = sorted((luminance(colour), luminance(ink)))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{ink} on {colour} (WCAG 2.2, 1.4.3)"
