"""`harchos cancel`: ask for a run to stop, whoever drives it."""

from __future__ import annotations

import typer

from harchos_infra.cli.output import note


def cancel(
    run: str = typer.Argument(..., metavar="RUN", help="Name of the run, or the beginning of it."),
) -> None:
    """Ask for RUN to stop: its job may save its work, then its hub goes. Does not wait for it."""
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.owners import controllers

    ledger = Ledger.open()
    name = ledger.find(run)
    row = ledger.run(name)
    if row["phase"] == FINAL:
        note(f"run {name} has ended already ({row['outcome']})")
        return
    ledger.desire(name, "stop", "harchos cancel")
    if ledger.is_owned(name) or controllers(ledger.database):
        typer.echo(f"run {name} is asked to stop: harchos status --watch {name}")
        return
    typer.echo(f"run {name} is to stop, and no live process drives it")
    note(f"`harchos destroy {name}` takes it down from here; a controller would, too, once one is started")
