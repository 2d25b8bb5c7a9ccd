"""`harchos destroy`: stop a run and take its hub down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from harchos_infra.runs.ledger import Lease, Ledger


def destroy(
    run: str = typer.Argument(..., metavar="RUN", help="Name of the run, or the beginning of it."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Stop RUN, let its job save its work, and take its hub down."""
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.owner import new_owner

    ledger = Ledger.open()
    name = ledger.find(run)
    row = ledger.run(name)
    if row["phase"] == FINAL:
        note(f"run {name} has ended already ({row['outcome']}); its hub is gone")
        return
    if not yes:
        typer.confirm(f"Stop {name} (phase {row['phase']}) and take its hub down?", abort=True)
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
