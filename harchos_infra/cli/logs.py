"""`harchos logs`: what a run's job has printed."""

from __future__ import annotations

import sys
import time

import typer


def logs(
    run: str = typer.Argument(None, metavar="RUN", help="Name of the run (default: the latest)."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the run has ended."),
) -> None:
    """Print the output of RUN's job."""
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.logs import LogTail

    ledger = Ledger.open()
    name = ledger.find(run) if run else ledger.latest()
    tail = LogTail(ledger, name)
    while True:
        ended = ledger.run(name)["phase"] == FINAL
        sys.stdout.buffer.write(tail.read())
        sys.stdout.buffer.flush()
        if ended or not follow:
            return
        time.sleep(0.5)
