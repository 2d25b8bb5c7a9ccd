"""What commands do with a queue: the runs that it names, all driven here, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harchos_infra.runs.ledger import Lease, Ledger


def named(ledger: Ledger, text: str) -> tuple[str | None, list[str]]:
    """Return the queue that `text` names and its runs; else None and the one run that it names."""
    from harchos_infra.runs.items import Items

    if not any(row["id"].startswith(text) for row in ledger.runs()):
        items = Items(ledger)
        queue = items.find(text)
        if queue is not None:
            return queue, [row["id"] for row in items.runs(queue)]
    return None, [ledger.find(text)]


def follow_queue(ledger: Ledger, leases: Sequence[Lease]) -> int:
    """Drive runs of a queue in the foreground; returns the exit code that their outcomes have."""
    from harchos_infra.cli.apply import INTERRUPTED, JOB_FAILED
    from harchos_infra.cli.progress import drive_and_show
    from harchos_infra.runs.items import Items
    from harchos_infra.settings import home

    queue = ledger.run(leases[0].run)["queue"]
    if not drive_and_show(ledger, leases):
        say_detached_queue(ledger, leases)
        return 0
    runs = [ledger.run(lease.run) for lease in leases]
    for run in runs:
        note(f"run {run['id']} {run['outcome']}: {run['reason']}")
    counts = Items(ledger).counts(queue)
    note(f"queue {queue}: {counts}")
    if counts.done:
        note(f"outputs: {home() / 'runs' / queue / 'outputs'}")
    note(f"figures: harchos report {queue}")
    if counts.done == counts.total:
        return 0
    stopped = any(run["desired"] == "stop" for run in runs)
    if not stopped and not counts.failed and any(r["phase"] != "done" for r in Items(ledger).runs(queue)):
        return 0
    if counts.left or counts.failed:
        note(f"what is not done is begun once more by `harchos retry {leases[0].run}`")
    return INTERRUPTED if stopped else JOB_FAILED


def say_detached_queue(ledger: Ledger, leases: Sequence[Lease]) -> None:
    """Say how to watch a queue that is left to a controller, and whether one is there."""
    from harchos_infra.cli.apply import say_controllers

    queue = ledger.run(leases[0].run)["queue"]
    typer.echo(f"queue {queue} detached: harchos status --watch {queue}")
    for lease in leases:
        note(f"run {lease.run}: harchos logs -f {lease.run}")
    say_controllers(
        ledger,
        "nothing happens to the queue until one is: start `harchos controller`, or go on here with "
        f"`harchos resume {queue}`",
    )


def claim_queue(ledger: Ledger, queue: str, owner: str, *, but: str | None = None) -> list[Lease]:
    """Take up every unfinished run of a queue that no live process drives, `but` for one."""
    from harchos_infra.runs.items import Items
    from harchos_infra.runs.ledger import FINAL

    unfinished = (row["id"] for row in Items(ledger).runs(queue) if row["phase"] != FINAL)
    leases = (ledger.claim(run, owner) for run in unfinished if run != but)
    return [lease for lease in leases if lease is not None]
