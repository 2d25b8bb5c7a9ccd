"""`harchos report`: what a run took, planned against realised."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from harchos_infra.report.account import Account
    from harchos_infra.report.queue import QueueReport
    from harchos_infra.runs.record import RunRecord


class ReportFormat(StrEnum):
    """Format of a report."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


def report(
    run: str | None = typer.Argument(
        None,
        metavar="RUN|QUEUE",
        help="Run, or queue of items, or the beginning of its name; default: the latest run.",
    ),
    format: ReportFormat = typer.Option(ReportFormat.TABLE, "--format", "-o", help="Output format."),
    out: Path | None = typer.Option(None, "--out", dir_okay=False, help="Write to this file instead."),
) -> None:
    """Report what a run took: energy, carbon and money, planned, realised and against the baselines."""
    from datetime import UTC, datetime

    from harchos_infra.cli.output import note, write_page
    from harchos_infra.cli.queue import named
    from harchos_infra.report.account import account
    from harchos_infra.report.method import rehearsal_label
    from harchos_infra.report.queue import QueueReport
    from harchos_infra.runs.items import Items
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    queue, names = named(ledger, run or ledger.latest())
    records = [ledger.record(name) for name in names]
    accounts = [(record, account(record, datetime.now(UTC))) for record in records]
    if queue is None:
        text = _render(format, *accounts[0])
    else:
        text = _render_queue(format, QueueReport(queue, Items(ledger).counts(queue), accounts))
    if out is None:
        typer.echo(text, nl=False)
        return
    write_page(out, text)
    if queue is not None:
        note(f"{out}: report of {queue}")
        return
    record = records[0]
    label = rehearsal_label(record)
    note(f"{out}: report of {record.id}" + (f" ({label})" if label else ""))


def _render_queue(format: ReportFormat, report: QueueReport) -> str:
    if format is ReportFormat.JSON:
        import json

        return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    if format is ReportFormat.MARKDOWN:
        from harchos_infra.report import markdown

        return markdown.render_queue(report)
    if format is ReportFormat.HTML:
        from harchos_infra.report.queue_page import render_queue_page

        return render_queue_page(report)
    from harchos_infra.report import table

    return table.render_queue(report)


def _render(format: ReportFormat, record: RunRecord, account: Account) -> str:
    if format is ReportFormat.JSON:
        import json

        from harchos_infra.report.document import document

        return json.dumps(document(record, account), indent=2, ensure_ascii=False) + "\n"
    if format is ReportFormat.MARKDOWN:
        from harchos_infra.report.markdown import render_markdown

        return render_markdown(record, account)
    if format is ReportFormat.HTML:
        from harchos_infra.report.html import render_html

        return render_html(record, account)
    from harchos_infra.report.table import render_table

    return render_table(record, account)
