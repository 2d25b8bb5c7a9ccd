"""The report of a queue as one self-contained web page."""

from __future__ import annotations

from functools import partial

from harchos_infra.report.account import Account
from harchos_infra.report.figures.lanes import lanes
from harchos_infra.report.markup import Markup, tag
from harchos_infra.report.page import WIDE_PX, card, cards, figure, legend, page, titled
from harchos_infra.report.queue import QueueReport, items_in_words
from harchos_infra.report.wording import grams, interval, known, kwh, usd, utc
from harchos_infra.runs.record import RunRecord

LANES_LEGEND = legend(("i-box", "a hub as planned"), ("i-run", "a hub's life"))


def render_queue_page(report: QueueReport) -> str:
    """Return the page."""
    return page(
        f"{report.queue} – HarchOS report", _header(report), tag("main", *_main(report)), _footer(report)
    )


def _header(report: QueueReport) -> Markup:
    counts, label = report.counts, report.label
    state = "done" if not counts.left else "not finished"
    if counts.failed:
        state += f", {counts.failed} failed"
    whole = "succeeded" if counts.done == counts.total else "failed" if counts.failed else ""
    return tag(
        "header",
        tag(
            "p",
            f"Report of a {'rehearsal of a ' if report.is_rehearsal else ''}queue of items",
            class_="kind",
        ),
        tag("h1", report.queue, tag("span", state, class_=f"state {whole}")),
        tag("p", f"{counts}, on {report.runs_in_words}", class_="where"),
        tag("p", label, class_="banner", role="note") if label else Markup(),
        _cards(report),
    )


def _cards(report: QueueReport) -> Markup:
    here = "rehearsed here" if report.is_rehearsal else "realised"
    planned_kwh, planned_g, planned_usd = report.planned
    total, each = report.gco2e, report.gco2e_per_item
    found = [
        card("Items done", f"{report.counts.done}", f"of {report.counts.total}"),
        card(f"Energy, {here}", known(report.kwh, kwh), f"planned {kwh(planned_kwh)}"),
        card(
            f"Carbon, {here}",
            interval(total, grams) if total else "unknown",
            f"gCO2e; planned {grams(planned_g)}",
        ),
        card(f"Cost, {here}", usd(report.usd), f"planned {usd(planned_usd)}"),
    ]
    if each is not None and report.usd_per_item is not None:
        found.append(card("An item that was done", grams(each), f"gCO2e, and {usd(report.usd_per_item)}"))
    return cards(found)


def _main(report: QueueReport) -> list[Markup]:
    names = [_name(record, account) for record, account in report.runs]
    return [
        tag("h2", "When and where its hubs were"),
        LANES_LEGEND,
        figure(partial(lanes, report.runs, names), WIDE_PX, "lanes"),
        titled(report.section()),
    ]


def _name(record: RunRecord, account: Account) -> str:
    region = account.planned.places[0].split()[0]
    return f"{record.id.rpartition('-')[2]}, {region}: items {items_in_words(record)}"


def _footer(report: QueueReport) -> Markup:
    as_of = max(account.as_of for _, account in report.runs)
    return tag(
        "footer",
        f"Counted up to {utc(as_of, seconds=True)}. Location-based; made by harchos report. "
        "Each run has a page of its own: harchos report RUN --format html.",
    )
