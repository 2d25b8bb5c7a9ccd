"""`harchos logs`: what a run's job has printed."""

from __future__ import annotations

import sys
import time

import typer


def logs(
    run: str = typer.Argument(
        None, metavar="RUN|QUEUE", help="Name of the run (default: the latest), or of a queue of items."
    ),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the run has ended."),
) -> None:
    """Print the output of RUN's job; of a QUEUE that of all its runs, each line marked with its run's end."""
    from harchos_infra.cli.queue import named
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.logs import LogTail, MarkedTail, mark_of

    ledger = Ledger.open()
    queue, runs = named(ledger, run) if run else (None, [ledger.latest()])
    tails = {name: LogTail(ledger, name) for name in runs}
    marked = {name: MarkedTail(tail, mark_of(name)) for name, tail in tails.items()}
    while True:
        all_ended = True
        for name, tail in tails.items():
            ended = ledger.run(name)["phase"] == FINAL
            all_ended &= ended
            is_over = ended or not follow
            sys.stdout.buffer.write(tail.read() if queue is None else marked[name].read(is_over=is_over))
        sys.stdout.buffer.flush()
        if all_ended or not follow:
            return
        time.sleep(0.5)
