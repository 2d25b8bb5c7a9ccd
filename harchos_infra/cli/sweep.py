"""`harchos sweep`: take down every hub of ours that no live process answers for."""

from __future__ import annotations

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table


def sweep(
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    foreign: bool = typer.Option(False, "--foreign", help="Also hubs made from other home directories."),
    format: Format = FormatOption,
) -> None:
    """List hubs without a live owner, and remove them; exits 1 if anything survives."""
    from harchos_infra.cli.destroy import finish
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.owner import new_owner
    from harchos_infra.runs.sweep import find_leftovers, forget_secrets, remove

    ledger = Ledger.open()
    forget_secrets(ledger)
    leftovers = find_leftovers(ledger, foreign=foreign)
    rows = [[item.hub, item.run, str(len(item.resources)), item.why] for item in leftovers]
    if format is Format.JSON:
        found = [{"hub": hub, "run": run, "resources": int(n), "why": why} for hub, run, n, why in rows]
        print_json({"schema": "harchos.sweep/1", "leftovers": found})
    elif rows:
        print_table(["hub", "run", "resources", "why"], rows, right=[2])
    if not leftovers:
        note("nothing to sweep")
        return
    if any(item.unfinished for item in leftovers):
        note("an abandoned run can go on instead: `harchos resume RUN`")
    if not yes:
        typer.confirm("Take these down?", abort=True)
    for run in sorted({item.run for item in leftovers if item.unfinished}):
        lease = ledger.claim(run, new_owner())
        if lease is not None:
            ledger.desire(run, "stop", "swept: no live process drove it")
            finish(ledger, lease)
    survivors = remove([item for item in leftovers if not item.unfinished])
    for resource in survivors:
        note(f"still there: {resource.kind} {resource.id} of {resource.hub}: {resource.detail}")
    if survivors:
        raise typer.Exit(1)
