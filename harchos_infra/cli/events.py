"""`harchos events`: the history of a run, with its reasons."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harchos_infra.runs.ledger import Ledger

PERIOD_S = 0.5


def events(
    run: str = typer.Argument(
        None, metavar="RUN|NAME", help="Name of the run (default: the latest), or of a recurring workload."
    ),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until it has ended."),
    format: Format = FormatOption,
) -> None:
    """Print every change, decision and outside call of RUN, or what became of the ticks of NAME.

    With --follow, JSON is one document a line.
    """
    from harchos_infra.runs import recurrence
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    recurring = recurrence.find(ledger.database, run) if run else None
    if recurring is not None:
        name, found = str(recurring["id"]), _events_of_recurring(ledger, recurring["id"], follow)
    else:
        name = ledger.find(run) if run else ledger.latest()
        found = _events(ledger, name, follow)
    if format is Format.JSON and not follow:
        of = {"run": name} if recurring is None else {"recurrence": name}
        print_json({"schema": "harchos.events/1", **of, "events": list(found)})
        return
    for event in found:
        if format is Format.JSON:
            sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
        else:
            typer.echo(f"{event['at'][:19].replace('T', ' ')}  {event['kind']:<9}  {event['detail']}")
        sys.stdout.flush()


def _events(ledger: Ledger, run: str, follow: bool) -> Iterator[dict[str, Any]]:
    from harchos_infra.runs.ledger import FINAL

    seen = 0
    while True:
        ended = ledger.run(run)["phase"] == FINAL
        for row in ledger.events(run, after=seen):
            seen = row["id"]
            yield _event(row)
        if ended or not follow:
            return
        time.sleep(PERIOD_S)


def _events_of_recurring(ledger: Ledger, name: str, follow: bool) -> Iterator[dict[str, Any]]:
    from harchos_infra.runs import recurrence

    seen = 0
    while True:
        row = recurrence.find(ledger.database, name)
        for event in recurrence.events(ledger.database, name, after=seen):
            seen = event["id"]
            yield {**_event(event), "run": event["run"]}
        if row is None or row["ended_at"] is not None or not follow:
            return
        time.sleep(PERIOD_S)


def _event(row: Mapping[Any, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds")
    return {"id": row["id"], "at": at, "kind": row["kind"], "detail": row["detail"]}
