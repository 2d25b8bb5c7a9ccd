"""The report as one self-contained web page: inline style and drawings, no script, nothing loaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files

from harchos_infra.report import sections
from harchos_infra.report.account import Account
from harchos_infra.report.figures import bars, front, intensity, power
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.markup import Markup, join, tag
from harchos_infra.report.method import method, rehearsal_label
from harchos_infra.report.planned import baseline_name
from harchos_infra.report.sections import Section
from harchos_infra.report.wording import grams, interval, known, kwh, percent, share, usd, utc
from harchos_infra.runs.record import RunRecord

Draw = Callable[[RunRecord, Account, float, str], Figure | None]
Make = Callable[[RunRecord, Account], Section]
WIDE_PX, HALF_PX, NARROW_PX = 976.0, 468.0, 360.0

HATCH = tag(
    "svg",
    tag(
        "defs",
        tag(
            "pattern",
            tag("path", d="M0 6L6 0", stroke="var(--run)", stroke_width="1.5"),
            id="hatch",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        ),
    ),
    width=0,
    height=0,
    aria_hidden="true",
    style="position:absolute",
)


def _legend(*entries: tuple[str, str]) -> Markup:
    return tag(
        "ul", *(tag("li", tag("i", class_=class_), words) for class_, words in entries), class_="legend"
    )


INTENSITY_LEGEND = _legend(
    ("i-grid line", "grid, as planned"),
    ("i-plan line", "the plan"),
    ("i-dash", "baselines"),
    ("i-run", "the run: life of its hub, and the grid as settled"),
)
POWER_LEGEND = _legend(("i-run", "measured"), ("i-modelled", "modelled"))
BARS_LEGEND = _legend(
    ("i-base", "operational, or compute"),
    ("i-base i-embodied", "embodied"),
    ("i-base i-transfer", "transfer"),
)
COMPARED: tuple[Make, ...] = (
    sections.planned_and_realised,
    sections.baselines,
    sections.run_against_baselines,
    sections.intensity_alone,
)
HISTORY: tuple[Make, ...] = (
    sections.rejections,
    sections.hubs,
    sections.timeline,
    sections.outputs,
    sections.inputs,
)


def render_html(record: RunRecord, account: Account) -> str:
    """Return the page."""
    style = Markup(files("harchos_infra.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{record.id} – HarchOS report"),
        tag("style", style),
    )
    body = tag(
        "body", HATCH, _header(record, account), tag("main", *_main(record, account)), _footer(account)
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(record: RunRecord, account: Account) -> Markup:
    state = record.outcome or f"{record.phase}, not finished"
    label = rehearsal_label(record)
    kind = f"Report of a {'rehearsal of a ' if record.rehearsal else ''}{record.type} workload"
    return tag(
        "header",
        tag("p", kind, class_="kind"),
        tag("h1", record.id, tag("span", state, class_=f"state {record.outcome or ''}")),
        tag(
            "p", sections.where(account.planned), f", zone {', '.join(account.planned.zones)}", class_="where"
        ),
        tag("p", record.reason, class_="where") if record.reason else Markup(),
        tag("p", label, class_="banner", role="note") if label else Markup(),
        _cards(record, account),
    )


def _cards(record: RunRecord, account: Account) -> Markup:
    p, r = account.planned, account.realised
    total, planned = r.carbon.total(), p.carbon.total()
    here = "rehearsed here" if record.rehearsal else "realised"
    sure = sum(m.kwh for m in r.meters if m.basis == "measured")
    basis = ""
    if r.kwh_before_pue:
        part = sure / r.kwh_before_pue
        basis = {0.0: "modelled; ", 1.0: "measured; "}.get(part, f"{percent(part)} measured; ")
    cards = [
        _card(f"Energy, {here}", known(r.kwh, kwh), f"{basis}planned {kwh(p.kwh)}"),
        _card(
            f"Carbon, {here}",
            interval(total, grams) if total else "unknown",
            f"gCO2e; planned {interval(planned, grams) if planned else 'unknown'}",
        ),
        _card(f"Cost, {here}", usd(r.cost.total), f"planned {usd(p.cost.total)}"),
    ]
    for c in reversed(account.comparisons):
        if c.planned and c.planned.gco2e_share:
            bare = "" if c.planned.embodied_included else " without embodied"
            dollars = "" if c.planned.usd_share is None else f"; USD {share(c.planned.usd_share)}"
            cards.append(
                _card(
                    f"The plan saves against {baseline_name(c.key)}",
                    interval(c.planned.gco2e_share, share),
                    f"gCO2e{bare}, planned against planned{dollars}",
                    "card plan",
                )
            )
            break
    return tag("dl", *cards, class_="cards")


def _card(name: str, big: str, small: str, class_: str = "card") -> Markup:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", big, class_="big", style="margin-left:0"),
        tag("dd", re.sub(r"(?<=\d) (?=\S)", "\u00a0", small), class_="small"),
        class_=class_,
    )


def _main(record: RunRecord, account: Account) -> list[Markup]:
    def table(make: Make, *, heading: bool = True) -> Markup:
        section = make(record, account)
        if not section.rows:
            return Markup()
        return join(tag("h2", section.title) if heading else Markup(), _table(section))

    def plot(draw: Draw, width: float, key: str) -> Markup:
        return _figure(draw, record, account, width, key)

    halves = (("Carbon", bars.carbon_bars, "carbon"), ("Cost", bars.cost_bars, "cost"))
    return [
        tag("h2", "Where and when: grid intensity"),
        INTENSITY_LEGEND,
        plot(intensity.intensity, WIDE_PX, "intensity"),
        tag("h2", "Plan, run and baselines"),
        BARS_LEGEND,
        tag("div", *(tag("div", tag("h3", t), plot(f, HALF_PX, k)) for t, f, k in halves), class_="pair"),
        *map(table, COMPARED),
        tag("h2", "Power"),
        POWER_LEGEND,
        plot(power.power, WIDE_PX, "power"),
        table(sections.metering, heading=False),
        table(sections.sci),
        tag("h2", "The alternatives"),
        plot(front.front, WIDE_PX, "front"),
        *map(table, HISTORY),
        tag("h2", "How it was worked out"),
        tag("ul", *(tag("li", sentence) for sentence in method(record, account)), class_="method"),
    ]


def _figure(draw: Draw, record: RunRecord, account: Account, width: float, key: str) -> Markup:
    wide = draw(record, account, width, key)
    narrow = draw(record, account, NARROW_PX, f"{key}-narrow")
    if wide is None or narrow is None:
        return tag("p", "No data.", class_="kind")
    return tag(
        "figure",
        tag("div", wide.drawing, class_="wide-only"),
        tag("div", narrow.drawing, class_="small-only"),
        tag("figcaption", wide.caption),
        tag("details", tag("summary", "Data of this figure"), _table(Section("", wide.headers, wide.rows))),
    )


def _table(section: Section) -> Markup:
    def side(index: int) -> str | None:
        return "right" if index in section.right else None

    head = (tag("th", words, scope="col", class_=side(i)) for i, words in enumerate(section.headers))
    rows = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", c, class_=side(i)) for i, c in enumerate(row[1:], 1)),
        )
        for row in section.rows
    )
    notes = (
        tag("ul", *(tag("li", note) for note in section.notes), class_="notes") if section.notes else Markup()
    )
    few = "few" if len(section.headers) < 5 else None
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=few)
    return join(
        tag("div", table, class_="table", tabindex=0, role="group", aria_label=section.title or "data"), notes
    )


def _footer(account: Account) -> Markup:
    return tag(
        "footer", f"Counted up to {utc(account.as_of, seconds=True)}. Location-based; made by harchos report."
    )
