"""The report as plain text that fits a terminal."""

from __future__ import annotations

from io import StringIO
from textwrap import fill
from typing import TYPE_CHECKING

from harchos_infra.report import sections
from harchos_infra.report.account import Account
from harchos_infra.report.method import method, rehearsal_label
from harchos_infra.report.section import Section
from harchos_infra.runs.record import RunRecord

if TYPE_CHECKING:
    from rich.console import Console

    from harchos_infra.report.queue import QueueReport

PARTS = (
    sections.planned_and_realised,
    sections.baselines,
    sections.run_against_baselines,
    sections.intensity_alone,
    sections.sci,
    sections.metering,
)


def render_table(record: RunRecord, account: Account, *, width: int = 80) -> str:
    """Return the report as text of at most `width` columns."""
    from rich.console import Console
    from rich.text import Text

    text = StringIO()
    out = Console(file=text, width=width, highlight=False, color_system=None)
    out.print(Text(sections.headline(record, account)))
    if label := rehearsal_label(record):
        out.print(Text(label))
    for make in PARTS:
        _print(out, make(record, account), width)
    text.write("\nHow it was worked out\n")
    text.writelines(_item(sentence, width) for sentence in method(record, account))
    return _tidy(text.getvalue())


def render_queue(report: QueueReport, *, width: int = 80) -> str:
    """Return the report of a queue as text of at most `width` columns."""
    from rich.console import Console
    from rich.text import Text

    text = StringIO()
    out = Console(file=text, width=width, highlight=False, color_system=None)
    out.print(Text(report.headline))
    _print(out, report.section(), width)
    return _tidy(text.getvalue())


def _print(out: Console, section: Section, width: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if not section.rows:
        return
    out.print(f"\n{section.title}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, header in enumerate(section.headers):
        table.add_column(header, justify="right" if index in section.right else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*map(Text, row))
    out.print(table)
    out.file.writelines(_item(note, width) for note in section.notes)


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _item(sentence: str, width: int) -> str:
    return fill(sentence, width, initial_indent="· ", subsequent_indent="  ") + "\n"
