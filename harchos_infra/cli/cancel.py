"""`harchos cancel`: ask for a run to stop, whoever drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from harchos_infra.runs.ledger import Ledger


def cancel(
    run: str = typer.Argument(
        ..., metavar="RUN|QUEUE", help="Name of a run, or of a queue of items, or the beginning of it."
    ),
) -> None:
    """Ask for RUN to stop: its job may save its work, then its hub goes. Does not wait for it.

    Of a QUEUE all runs are asked; items that are not done stay in it.
    """
    from harchos_infra.cli.queue import named
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    _, names = named(ledger, run)
    for name in names:
        _cancel(ledger, name)


def _cancel(ledger: Ledger, name: str) -> None:
    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.owners import controllers

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
