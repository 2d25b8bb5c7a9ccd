"""`harchos resume`: take up a run whose process has died."""

from __future__ import annotations

import typer


def resume(
    run: str = typer.Argument(..., metavar="RUN", help="Name of the run, or the beginning of it."),
) -> None:
    """Take up an unfinished RUN that no live process drives."""
    from harchos_infra.cli.apply import follow
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.owner import new_owner

    ledger = Ledger.open()
    name = ledger.find(run)
    row = ledger.run(name)
    if row["phase"] == FINAL:
        raise HarchosError(f"run {name} has ended ({row['outcome']})", hint=f"see `harchos report {name}`")
    lease = ledger.claim(name, new_owner())
    if lease is None:
        raise HarchosError(
            f"run {name} is being driven by a live process", hint=f"watch it: `harchos logs -f {name}`"
        )
    raise typer.Exit(follow(ledger, lease))
