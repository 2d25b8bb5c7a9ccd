"""The frame of every page: one file with inline style and drawings, no script, nothing loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.resources import files

from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.markup import Markup, join, tag
from harchos_infra.report.section import Section

Draw = Callable[[float, str], Figure | None]
"""Draws a figure of a width in pixels; the key makes its ids unique on the page."""

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")
"""A cell whose date and hour stay on one line."""
WIDE_PX, HALF_PX, NARROW_PX = 976.0, 468.0, 360.0


def page(title: str, *body: Markup) -> str:
    """Return the whole document."""
    style = Markup(files("harchos_infra.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n"


def card(name: str, big: str, small: str, class_: str = "card") -> Markup:
    """Return one headline figure; numbers of the small print are not parted from their units."""
    return tag(
        "div",
        tag("dt", name),
        tag("dd", big, class_="big", style="margin-left:0"),
        tag("dd", re.sub(r"(?<=\d) (?=\S)", "\u00a0", small), class_="small"),
        class_=class_,
    )


def cards(entries: Iterable[Markup]) -> Markup:
    """Return headline figures side by side."""
    return tag("dl", *entries, class_="cards")


def legend(*entries: tuple[str, str]) -> Markup:
    """Return what marks mean: their classes, and words."""
    return tag(
        "ul", *(tag("li", tag("i", class_=class_), words) for class_, words in entries), class_="legend"
    )


def pattern(key: str, colour: str) -> Markup:
    """Return a diagonal hatch that drawings fill with as `url(#key)`."""
    hatch = tag(
        "pattern",
        tag("path", d="M0 6L6 0", stroke=colour, stroke_width="1.5"),
        id=key,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    return tag("svg", tag("defs", hatch), width=0, height=0, aria_hidden="true", style="position:absolute")


def figure(draw: Draw, width: float, key: str) -> Markup:
    """Return a drawing for wide screens and one for phones, with its caption and its data as a table."""
    wide, narrow = draw(width, key), draw(NARROW_PX, f"{key}-narrow")
    if wide is None or narrow is None:
        return tag("p", "No data.", class_="kind")
    return tag(
        "figure",
        tag("div", wide.drawing, class_="wide-only"),
        tag("div", narrow.drawing, class_="small-only"),
        tag("figcaption", wide.caption),
        details("Data of this figure", table(Section("", wide.headers, wide.rows, wide.right))),
    )


def details(summary: str, *content: str) -> Markup:
    """Return content that is unfolded when asked for."""
    return tag("details", tag("summary", summary), *content)


def titled(section: Section) -> Markup:
    """Return a table under its heading; nothing where it has no row."""
    return join(tag("h2", section.title), table(section)) if section.rows else Markup()


def table(section: Section) -> Markup:
    """Return a table with its notes."""

    def kind(index: int, words: str) -> str | None:
        return "right" if index in section.right else "time" if TIME.fullmatch(words) else None

    head = (tag("th", words, scope="col", class_=kind(i, words)) for i, words in enumerate(section.headers))
    rows = (
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=kind(0, row[0])),
            *(tag("td", c, class_=kind(i, c)) for i, c in enumerate(row[1:], 1)),
        )
        for row in section.rows
    )
    notes = (
        tag("ul", *(tag("li", note) for note in section.notes), class_="notes") if section.notes else Markup()
    )
    few = "few" if len(section.headers) < 5 else None
    cells = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=few)
    return join(
        tag("div", cells, class_="table", tabindex=0, role="group", aria_label=section.title or "data"), notes
    )
