"""`harchos cancel`: ask for a run to stop, whoever drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from harchos_infra.runs.ledger import Ledger


def cancel(
    run: str = typer.Argument(
        ...,
        metavar="RUN|QUEUE|NAME",
        help="Name of a run or of a queue of items, or the beginning of it; or of a recurring workload.",
    ),
) -> None:
    """Ask for RUN to stop: its job may save its work, then its hub goes. Does not wait for it.

    Of a QUEUE all runs are asked; items that are not done stay in it. The NAME of a recurring workload ends
    its recurring; a run of it that is under way goes on.
    """
    from harchos_infra.cli.queue import named
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    if _end_recurrence(ledger, run):
        return
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


def _end_recurrence(ledger: Ledger, name: str) -> bool:
    """End the recurrence that `name` means; False where it means a run."""
    from harchos_infra.runs import recurrence
    from harchos_infra.runs.clock import RealClock

    row = recurrence.find(ledger.database, name)
    if row is None:
        return False
    if row["ended_at"] is not None:
        if any(run["id"].startswith(name) for run in ledger.runs()):
            return False
        note(f"{row['workload']} recurs no more already")
        return True
    recurrence.end(ledger.database, row["id"], "harchos cancel", clock=RealClock())
    typer.echo(f"{row['workload']} recurs no more")
    busy = recurrence.run_under_way(ledger.database, row["id"])
    if busy is not None:
        note(f"its run {busy} goes on; `harchos cancel {busy}` stops it")
    return True
