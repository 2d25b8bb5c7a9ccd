"""`harchos resume`: take up a run whose process has died."""

from __future__ import annotations

import typer


def resume(
    run: str = typer.Argument(
        ..., metavar="RUN|QUEUE", help="Name of a run, or of a queue of items, or the beginning of it."
    ),
) -> None:
    """Take up an unfinished RUN that no live process drives, or every such run of a QUEUE."""
    from harchos_infra.cli.apply import follow
    from harchos_infra.cli.queue import claim_queue, follow_queue, named
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.owner import new_owner

    ledger = Ledger.open()
    queue, names = named(ledger, run)
    if queue is not None:
        leases = claim_queue(ledger, queue, new_owner())
        if not leases and all(ledger.run(name)["phase"] == FINAL for name in names):
            raise HarchosError(
                f"every run of queue {queue} has ended",
                hint=f"see `harchos report {queue}`; `harchos retry {names[0]}` does what is not done",
            )
        if not leases:
            raise HarchosError(
                f"the runs of queue {queue} are being driven by live processes",
                hint=f"watch it: `harchos status --watch {queue}`",
            )
        raise typer.Exit(follow_queue(ledger, leases))
    (name,) = names
    row = ledger.run(name)
    if row["phase"] == FINAL:
        raise HarchosError(f"run {name} has ended ({row['outcome']})", hint=f"see `harchos report {name}`")
    lease = ledger.claim(name, new_owner())
    if lease is None:
        raise HarchosError(
            f"run {name} is being driven by a live process", hint=f"watch it: `harchos logs -f {name}`"
        )
    raise typer.Exit(follow(ledger, lease))
