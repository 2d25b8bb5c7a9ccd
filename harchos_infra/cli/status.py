"""`harchos status`: runs as the ledger has them, hubs as the machine shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.clouds.cloud import Resource
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.owners import Owner
    from harchos_infra.runs.recurrence import Recurrence

WATCH_S = 0.5


@dataclass(frozen=True)
class _Seen:
    """What there is to show."""

    runs: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    resources: list[Resource]
    elsewhere: set[str]
    controllers: list[Owner]
    recurring: list[dict[str, Any]]


def status(
    run: str = typer.Argument(
        None, metavar="RUN|QUEUE", help="Only this run, or this queue's (name or the beginning of it)."
    ),
    all_: bool = typer.Option(False, "--all", "-a", help="Ended runs too, not only the last ten."),
    watch: bool = typer.Option(
        False, "--watch", "-w", help="Go on, showing every change, until all runs shown have ended."
    ),
    format: Format = FormatOption,
) -> None:
    """Show the runs and every live hub."""
    from harchos_infra.cli.queue import named
    from harchos_infra.runs.ledger import Ledger

    ledger = Ledger.open()
    names = None if run is None else named(ledger, run)[1]
    if watch:
        _watch(ledger, names, format)
        return
    _show(_look(ledger, names, all_=all_), format, each=run is not None)


def _watch(ledger: Ledger, names: list[str] | None, format: Format) -> None:
    """Show the state whenever it has changed; on a terminal in the place of the one before."""
    import sys
    import time

    before = None
    while True:
        seen = _look(ledger, names, all_=False)
        hubs = {resource.hub for resource in seen.resources}
        news = seen.runs, seen.queues, hubs, seen.controllers, seen.recurring
        if news != before:
            if format is Format.TABLE and sys.stdout.isatty():
                typer.echo("\x1b[H\x1b[2J", nl=False)
            _show(replace(seen, elsewhere=set()), format, each=names is not None)
            sys.stdout.flush()
        before = news
        if all(run["phase"] == "done" for run in seen.runs):
            return
        time.sleep(WATCH_S)


def _show(seen: _Seen, format: Format, *, each: bool) -> None:
    if format is Format.JSON:
        hubs = [_hub(r) for r in seen.resources]
        controllers = [
            {"place": owner.place, "since": owner.since.isoformat(timespec="seconds")}
            for owner in seen.controllers
        ]
        print_json(
            {
                "schema": "harchos.runs/1",
                "runs": seen.runs,
                "queues": seen.queues,
                "hubs": hubs,
                "controllers": controllers,
                "recurring": seen.recurring,
            }
        )
        return
    _print(seen, each=each)
    if seen.elsewhere:
        note(f"hubs of other home directories on this machine: {', '.join(sorted(seen.elsewhere))}")


def _look(ledger: Ledger, names: list[str] | None, *, all_: bool) -> _Seen:
    from harchos_infra.clouds.cloud import cloud
    from harchos_infra.runs import recurrence
    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.owners import controllers
    from harchos_infra.runs.sweep import is_ours

    rows = ledger.runs()
    if names is not None:
        rows = [row for row in rows if row["id"] in names]
    elif not all_:
        rows = [row for row in rows if row["phase"] != FINAL] + [
            row for row in rows if row["phase"] == FINAL
        ][-10:]
    everything = [r for r in cloud("local").list() if names is None or r.run in names]
    resources = [r for r in everything if is_ours(r)]
    return _Seen(
        runs=[_describe(ledger, row) for row in rows],
        queues=[_queue(ledger, queue) for queue in dict.fromkeys(row["queue"] for row in rows) if queue],
        resources=resources,
        elsewhere={r.hub for r in everything} - {r.hub for r in resources},
        controllers=controllers(ledger.database),
        recurring=[_describe_recurring(r) for r in recurrence.live(ledger.database)] if names is None else [],
    )


def _describe(ledger: Ledger, row: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.logs import LogTail

    segment = row["segments"][row["segment"]]
    alive = row["phase"] != FINAL
    hub = LogTail(ledger, row["id"]).status() if alive else {}
    return {
        "run": row["id"],
        "queue": row["queue"],
        "workload": row["workload"],
        "rehearsal": row["rehearsal"],
        "phase": row["phase"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "driven": alive and ledger.is_owned(row["id"]),
        "detached": alive and row["owner"] is None,
        "priority": row["priority"],
        "queued": ledger.last_event(row["id"], "queue") if row["phase"] == "wait" else None,
        "start": segment["start"],
        "moved": ledger.last_event(row["id"], "moved"),
        "place": f"{segment['provider']}/{segment['region']}",
        "nodes": segment["nodes"],
        "instanceType": segment["instanceType"],
        "createdAt": datetime.fromtimestamp(row["created_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hubStates": {h["hub"]: h["state"] for h in ledger.hubs(row["id"])},
        "job": hub.get("phase"),
        "endpoint": hub.get("endpoint"),
    }


def _describe_recurring(recurring: Recurrence) -> dict[str, Any]:
    from datetime import UTC, datetime

    from harchos_infra.planner.encoding import utc_text

    schedule, last = recurring.schedule, recurring.last
    return {
        "workload": recurring.workload,
        "recurrence": recurring.id,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "doneWithin": schedule.model_dump(mode="json", by_alias=True)["doneWithin"],
        "nextTick": utc_text(recurring.next.tick),
        "nextCloses": utc_text(recurring.next.closes),
        "last": None
        if last is None
        else {
            "tick": utc_text(datetime.fromtimestamp(last["tick"], UTC)),
            "state": last["state"],
            "detail": last["detail"],
            "run": last["run"],
            "phase": last["phase"],
            "outcome": last["outcome"],
        },
    }


def _queue(ledger: Ledger, queue: str) -> dict[str, Any]:
    from dataclasses import asdict

    from harchos_infra.runs.items import Items
    from harchos_infra.runs.ledger import FINAL

    items = Items(ledger)
    runs = items.runs(queue)
    left = sum(row["phase"] != FINAL for row in runs)
    return {"queue": queue, "runs": len(runs), "runsLeft": left, **asdict(items.counts(queue))}


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


def _print(seen: _Seen, *, each: bool) -> None:
    runs, resources = seen.runs, seen.resources
    if runs:
        print_table(
            ["run", "phase", "outcome", "place", "instance type", "created (UTC)", "endpoint"],
            [
                [
                    r["run"] + (" (rehearsal)" if r["rehearsal"] else ""),
                    r["phase"] + _driver(r),
                    r["outcome"] or r["job"] or "-",
                    r["place"],
                    f"{r['nodes']} x {r['instanceType']}" if r["nodes"] > 1 else r["instanceType"],
                    r["createdAt"][:16].replace("T", " "),
                    r["endpoint"] or "-",
                ]
                for r in runs
            ],
        )
    else:
        typer.echo("no runs")
    if seen.queues:
        print_table(
            ["queue", "runs left", "items done", "failed", "on hubs", "waiting"],
            [
                [
                    *(q["queue"], f"{q['runsLeft']} of {q['runs']}", str(q["done"])),
                    *(str(q["failed"]), str(q["assigned"]), str(q["waiting"])),
                ]
                for q in seen.queues
            ],
        )
    if resources:
        typer.echo("live on this machine:")
        print_table(["hub", "what is there", "ends itself (UTC)"], _counted(resources))
        if each:
            print_table(["kind", "id", "detail"], [[r.kind, r.id, _line(r.detail)] for r in resources])
    else:
        typer.echo("no live hub on this machine")
    if seen.recurring:
        typer.echo("recurring:")
        print_table(
            ["workload", "schedule", "next window (UTC)", "last tick (UTC)", "what became of it"],
            [_recurring_cells(r) for r in seen.recurring],
        )
    for waiting in (r for r in runs if r["phase"] == "wait"):
        note(f"{waiting['run']} {waiting['queued'] or 'waits for ' + waiting['start']}")
    for run in (r for r in runs if r["moved"]):
        note(f"{run['run']} moved: {run['moved']}")
    for owner in seen.controllers:
        note(f"controller: {owner.place}, since {owner.since:%Y-%m-%d %H:%M} UTC")
    if any(r["detached"] for r in runs) and not seen.controllers:
        note("detached: a `harchos controller` takes it up, and none is running")
    if any(_driver(r) == " (abandoned)" for r in runs):
        note("abandoned: no live process drives it; `harchos resume RUN` goes on, `harchos sweep` ends it")


def _recurring_cells(recurring: dict[str, Any]) -> list[str]:
    tick, closes = (recurring[key][:16].replace("T", " ") for key in ("nextTick", "nextCloses"))
    last = recurring["last"]
    became = "-"
    if last is not None:
        became = " ".join(filter(None, (last["run"], last["outcome"] or last["phase"]))) or last["state"]
    return [
        recurring["workload"],
        f"{recurring['cron']} {recurring['timezone']}",
        tick if recurring["doneWithin"] is None else f"{tick} to {closes}",
        "-" if last is None else last["tick"][:16].replace("T", " "),
        became,
    ]


def _driver(run: dict[str, Any]) -> str:
    if run["driven"] or run["phase"] == "done":
        return ""
    return " (detached)" if run["detached"] else " (abandoned)"


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
