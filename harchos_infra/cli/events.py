"""`harchos events`: the history of a run, with its reasons."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harchos_infra.runs.ledger import Ledger

PERIOD_S = 0.5


def events(
    run: str = typer.Argument(None, metavar="RUN", help="Name of the run (default: the latest)."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the run has ended."),
    format: Format = FormatOption,
) -> None:
    """Print every change, decision and outside call of RUN. With --follow, JSON is one document a line."""
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    name = ledger.find(run) if run else ledger.latest()
    if format is Format.JSON and not follow:
        print_json({"schema": "harchos.events/1", "run": name, "events": list(_events(ledger, name, False))})
        return
    for event in _events(ledger, name, follow):
        if format is Format.JSON:
            sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
        else:
            typer.echo(f"{event['at'][:19].replace('T', ' ')}  {event['kind']:<9}  {event['detail']}")
        sys.stdout.flush()


def _events(ledger: Ledger, run: str, follow: bool) -> Iterator[dict[str, Any]]:
    from datetime import UTC, datetime

    from harchos_infra.runs.ledger import FINAL

    seen = 0
    while True:
        ended = ledger.run(run)["phase"] == FINAL
        for row in ledger.events(run, after=seen):
            seen = row["id"]
            at = datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds")
            yield {"id": seen, "at": at, "kind": row["kind"], "detail": row["detail"]}
        if ended or not follow:
            return
        time.sleep(PERIOD_S)
