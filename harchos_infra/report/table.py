"""The report as plain text that fits a terminal."""

from __future__ import annotations

from io import StringIO
from textwrap import fill

from harchos_infra.report import sections
from harchos_infra.report.account import Account
from harchos_infra.report.method import method, rehearsal_label
from harchos_infra.runs.record import RunRecord

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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    text = StringIO()
    out = Console(file=text, width=width, highlight=False, color_system=None)
    out.print(Text(sections.headline(record, account)))
    if label := rehearsal_label(record):
        out.print(Text(label))
    for make in PARTS:
        section = make(record, account)
        if not section.rows:
            continue
        out.print(f"\n{section.title}")
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, header in enumerate(section.headers):
            table.add_column(header, justify="right" if index in section.right else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*map(Text, row))
        out.print(table)
        text.writelines(_item(note, width) for note in section.notes)
    text.write("\nHow it was worked out\n")
    text.writelines(_item(sentence, width) for sentence in method(record, account))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _item(sentence: str, width: int) -> str:
    return fill(sentence, width, initial_indent="· ", subsequent_indent="  ") + "\n"
