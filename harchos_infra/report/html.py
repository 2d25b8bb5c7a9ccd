"""The report as one self-contained web page: inline style and drawings, no script, nothing loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from harchos_infra.report import sections
from harchos_infra.report.account import Account
from harchos_infra.report.figures import bars, curve, front, intensity, power
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.markup import Markup, tag
from harchos_infra.report.method import method, rehearsal_label
from harchos_infra.report.page import (
    HALF_PX,
    WIDE_PX,
    card,
    cards,
    figure,
    legend,
    page,
    pattern,
    table,
    titled,
)
from harchos_infra.report.planned import baseline_name
from harchos_infra.report.section import Section
from harchos_infra.report.wording import grams, interval, known, kwh, percent, share, usd, utc
from harchos_infra.runs.record import RunRecord

Draw = Callable[[RunRecord, Account, float, str], Figure | None]
Make = Callable[[RunRecord, Account], Section]

INTENSITY_LEGEND = legend(
    ("i-grid line", "grid, as planned"),
    ("i-plan line", "the plan"),
    ("i-dash", "baselines"),
    ("i-run", "the run: life of its hub, and the grid as settled"),
)
POWER_LEGEND = legend(("i-run", "measured"), ("i-modelled", "modelled"))
BARS_LEGEND = legend(
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
    return page(
        f"{record.id} – HarchOS report",
        pattern("hatch", "var(--run)"),
        _header(record, account),
        tag("main", *_main(record, account)),
        _footer(account),
    )


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
    found = [
        card(f"Energy, {here}", known(r.kwh, kwh), f"{basis}planned {kwh(p.kwh)}"),
        card(
            f"Carbon, {here}",
            interval(total, grams) if total else "unknown",
            f"gCO2e; planned {interval(planned, grams) if planned else 'unknown'}",
        ),
        card(f"Cost, {here}", usd(r.cost.total), f"planned {usd(p.cost.total)}"),
    ]
    for c in reversed(account.comparisons):
        if c.planned and c.planned.gco2e_share:
            bare = "" if c.planned.embodied_included else " without embodied"
            dollars = "" if c.planned.usd_share is None else f"; USD {share(c.planned.usd_share)}"
            found.append(
                card(
                    f"The plan saves against {baseline_name(c.key)}",
                    interval(c.planned.gco2e_share, share),
                    f"gCO2e{bare}, planned against planned{dollars}",
                    "card plan",
                )
            )
            break
    return cards(found)


def _main(record: RunRecord, account: Account) -> list[Markup]:
    def shown(make: Make) -> Markup:
        return titled(make(record, account))

    def plot(draw: Draw, width: float, key: str) -> Markup:
        return figure(partial(draw, record, account), width, key)

    halves = (("Carbon", bars.carbon_bars, "carbon"), ("Cost", bars.cost_bars, "cost"))
    return [
        tag("h2", "Where and when: grid intensity"),
        INTENSITY_LEGEND,
        plot(intensity.intensity, WIDE_PX, "intensity"),
        *_curve(record, account),
        tag("h2", "Plan, run and baselines"),
        BARS_LEGEND,
        tag("div", *(tag("div", tag("h3", t), plot(f, HALF_PX, k)) for t, f, k in halves), class_="pair"),
        *map(shown, COMPARED),
        tag("h2", "Power"),
        POWER_LEGEND,
        plot(power.power, WIDE_PX, "power"),
        table(sections.metering(record, account)),
        shown(sections.sci),
        tag("h2", "The alternatives"),
        figure(partial(front.front, record.plan), WIDE_PX, "front"),
        *map(shown, HISTORY),
        tag("h2", "How it was worked out"),
        tag("ul", *(tag("li", sentence) for sentence in method(record, account)), class_="method"),
    ]


def _curve(record: RunRecord, account: Account) -> list[Markup]:
    if curve.metric_of(record) is None:
        return []
    return [
        tag("h2", "What the job reported"),
        figure(partial(curve.curve, record, account), WIDE_PX, "curve"),
    ]


def _footer(account: Account) -> Markup:
    return tag(
        "footer", f"Counted up to {utc(account.as_of, seconds=True)}. Location-based; made by harchos report."
    )
