"""`harchos retry`: begin an ended run's job once more."""

from __future__ import annotations

import typer

from harchos_infra.cli.output import note


def retry(
    run: str = typer.Argument(
        ..., metavar="RUN", help="Name of the run, or the beginning of it; of a queue any run that has ended."
    ),
    detach: bool = typer.Option(False, "--detach", "-d", help="Leave the run to a `harchos controller`."),
) -> None:
    """Submit the plan of RUN, which has ended, again: the same job and files, in a new run.

    Of a queue it does the items that are not done, those that failed included.
    A start that is over is planned anew. Secrets are not kept: their values are read from this shell.
    """
    from harchos_infra.cli.apply import follow, say_detached
    from harchos_infra.provision.binary import find_binary
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.owner import new_owner
    from harchos_infra.runs.retry import submit_again

    find_binary()
    ledger = Ledger.open()
    lease = submit_again(ledger, ledger.find(run), owner=None if detach else new_owner(), clock=RealClock())
    note(f"run {lease.run} does the job of {ledger.find(run)} again")
    if detach:
        say_detached(ledger, lease.run)
        return
    raise typer.Exit(follow(ledger, lease))
