"""The report as Markdown, for a pull request or a wiki page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harchos_infra.report import sections
from harchos_infra.report.account import Account
from harchos_infra.report.method import method, rehearsal_label
from harchos_infra.report.section import Section
from harchos_infra.runs.record import RunRecord

if TYPE_CHECKING:
    from harchos_infra.report.queue import QueueReport

PARTS = (
    sections.planned_and_realised,
    sections.baselines,
    sections.run_against_baselines,
    sections.intensity_alone,
    sections.sci,
    sections.metering,
    sections.hubs,
    sections.rejections,
    sections.inputs,
)


def render_markdown(record: RunRecord, account: Account) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    lines = [f"# Report of {_escape(record.id)}", "", _escape(sections.headline(record, account)), ""]
    if label := rehearsal_label(record):
        lines += [f"> **{_escape(label)}**", ""]
    for make in PARTS:
        section = make(record, account)
        if section.rows:
            lines += [f"## {_escape(section.title)}", "", *_table(section), ""]
            lines += [f"- {_escape(note)}" for note in section.notes] + [""] * bool(section.notes)
    lines += ["## How it was worked out", "", *(f"- {_escape(s)}" for s in method(record, account))]
    return "\n".join(lines) + "\n"


def render_queue(report: QueueReport) -> str:
    """Return the report of a queue as GitHub-flavoured Markdown."""
    section = report.section()
    lines = [f"# Report of {_escape(report.queue)}", "", _escape(report.headline), ""]
    lines += [f"## {_escape(section.title)}", "", *_table(section), ""]
    lines += [f"- {_escape(note)}" for note in section.notes]
    return "\n".join(lines) + "\n"


def _table(section: Section) -> list[str]:
    rules = ("--:" if i in section.right else ":--" for i in range(len(section.headers)))
    return [_row(section.headers), f"| {' | '.join(rules)} |", *map(_row, section.rows)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: str) -> str:
    """Keep text from acting as Markdown or HTML."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", flat).replace("&", "&amp;")
