"""`harchos status`: runs as the ledger has them, hubs as the machine shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.clouds.cloud import Resource
    from harchos_infra.runs.ledger import Ledger


def status(
    run: str = typer.Argument(None, metavar="RUN", help="Only this run (name or the beginning of it)."),
    all_: bool = typer.Option(False, "--all", "-a", help="Ended runs too, not only the last ten."),
    format: Format = FormatOption,
) -> None:
    """Show the runs and every live hub."""
    from harchos_infra.clouds.cloud import cloud
    from harchos_infra.runs.ledger import FINAL, Ledger
    from harchos_infra.runs.sweep import is_ours

    ledger = Ledger.open()
    rows = ledger.runs()
    if run is not None:
        name = ledger.find(run)
        rows = [row for row in rows if row["id"] == name]
    elif not all_:
        rows = [row for row in rows if row["phase"] != FINAL] + [
            row for row in rows if row["phase"] == FINAL
        ][-10:]
    everything = [r for r in cloud("local").list() if run is None or r.run == name]
    resources = [r for r in everything if is_ours(r)]
    elsewhere = {r.hub for r in everything} - {r.hub for r in resources}
    runs = [_describe(ledger, row) for row in rows]
    if format is Format.JSON:
        print_json({"schema": "harchos.runs/1", "runs": runs, "hubs": [_hub(r) for r in resources]})
        return
    _print(runs, resources, each=run is not None)
    if elsewhere:
        note(f"hubs of other home directories on this machine: {', '.join(sorted(elsewhere))}")


def _describe(ledger: Ledger, row: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.logs import LogTail

    segment = row["segments"][row["segment"]]
    alive = row["phase"] != FINAL
    hub = LogTail(ledger, row["id"]).status() if alive else {}
    return {
        "run": row["id"],
        "workload": row["workload"],
        "rehearsal": row["rehearsal"],
        "phase": row["phase"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "driven": alive and ledger.is_owned(row["id"]),
        "start": segment["start"],
        "moved": ledger.last_event(row["id"], "moved"),
        "place": f"{segment['provider']}/{segment['region']}",
        "instanceType": segment["instanceType"],
        "createdAt": datetime.fromtimestamp(row["created_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hubStates": {h["hub"]: h["state"] for h in ledger.hubs(row["id"])},
        "job": hub.get("phase"),
        "endpoint": hub.get("endpoint"),
    }


def _hub(resource: Resource) -> dict[str, Any]:
    return {
        "provider": resource.provider,
        "kind": resource.kind,
        "id": resource.id,
        "run": resource.run,
        "hub": resource.hub,
        "expires": resource.expires.isoformat() if resource.expires else None,
        "detail": resource.detail,
    }


def _print(runs: list[dict[str, Any]], resources: list[Resource], *, each: bool) -> None:
    if runs:
        print_table(
            ["run", "phase", "outcome", "place", "instance type", "created (UTC)", "endpoint"],
            [
                [
                    r["run"] + (" (rehearsal)" if r["rehearsal"] else ""),
                    r["phase"] + ("" if r["driven"] or r["phase"] == "done" else " (abandoned)"),
                    r["outcome"] or r["job"] or "-",
                    r["place"],
                    r["instanceType"],
                    r["createdAt"][:16].replace("T", " "),
                    r["endpoint"] or "-",
                ]
                for r in runs
            ],
        )
    else:
        typer.echo("no runs")
    if resources:
        typer.echo("live on this machine:")
        print_table(["hub", "what is there", "ends itself (UTC)"], _counted(resources))
        if each:
            print_table(["kind", "id", "detail"], [[r.kind, r.id, _line(r.detail)] for r in resources])
    else:
        typer.echo("no live hub on this machine")
    for waiting in (r for r in runs if r["phase"] == "wait"):
        note(f"{waiting['run']} waits for {waiting['start']}")
    for run in (r for r in runs if r["moved"]):
        note(f"{run['run']} moved: {run['moved']}")
    if any(not r["driven"] and r["phase"] != "done" for r in runs):
        note("abandoned: no live process drives it; `harchos resume RUN` goes on, `harchos sweep` ends it")


def _counted(resources: list[Resource]) -> list[list[str]]:
    from collections import Counter

    rows = []
    for hub in sorted({r.hub for r in resources}):
        of_hub = [r for r in resources if r.hub == hub]
        kinds = Counter(r.kind for r in of_hub)
        plurals = {"process": "processes"}
        what = [f"{n} {kind if n == 1 else plurals.get(kind, kind + 's')}" for kind, n in kinds.items()]
        expires = next((f"{r.expires:%Y-%m-%d %H:%M}" for r in of_hub if r.expires), "-")
        rows.append([hub, ", ".join(what), expires])
    return rows


def _line(detail: str) -> str:
    line = " ".join(detail.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
