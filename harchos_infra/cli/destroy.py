"""`harchos destroy`: stop a run and take its hub down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from harchos_infra.runs.ledger import Lease, Ledger


def destroy(
    run: str = typer.Argument(
        ..., metavar="RUN|QUEUE", help="Name of a run, or of a queue of items, or the beginning of it."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Stop RUN, let its job save its work, and take its hub down; of a QUEUE every run and hub."""
    from harchos_infra.cli.queue import named
    from harchos_infra.runs.ledger import FINAL, Ledger

    ledger = Ledger.open()
    queue, names = named(ledger, run)
    for name in names:
        row = ledger.run(name)
        if row["phase"] == FINAL:
            note(f"run {name} has ended already ({row['outcome']}); its hub is gone")
            continue
        if not yes:
            typer.confirm(f"Stop {name} (phase {row['phase']}) and take its hub down?", abort=True)
        if queue is not None:  # the other runs stop meanwhile
            ledger.desire(name, "stop", "harchos destroy")
    for name in names:
        if ledger.run(name)["phase"] != FINAL:
            _destroy(ledger, name)


def _destroy(ledger: Ledger, name: str) -> None:
    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.owner import new_owner

    ledger.desire(name, "stop", "harchos destroy")
    lease = ledger.claim(name, new_owner())
    if lease is not None:
        finish(ledger, lease)
        return
    note("the process that drives the run has been told; waiting for it")
    while ledger.run(name)["phase"] != FINAL:
        if not ledger.is_owned(name) and (lease := ledger.claim(name, new_owner())) is not None:
            finish(ledger, lease)
            return
        time.sleep(0.5)
    note(f"run {name}: hub gone")


def finish(ledger: Ledger, lease: Lease) -> None:
    """Drive a run that is to stop to its end."""
    from harchos_infra.cli.progress import drive_and_show

    if drive_and_show(ledger, [lease]):
        note(f"run {lease.run}: {ledger.run(lease.run)['outcome']}, hub gone")
    else:
        note(f"run {lease.run} detached; it still is to stop")
