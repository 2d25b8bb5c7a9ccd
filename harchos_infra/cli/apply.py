"""`harchos apply`: carry a plan out, from provisioning to the settled record."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note
from harchos_infra.cli.policy_option import (
    PolicyOption,
    policy_for,
    recorded_with,
    refuse_if_forbidden,
)
from harchos_infra.cli.queue import claim_queue, follow_queue, say_detached_queue

if TYPE_CHECKING:
    from harchos_infra.planner.plan import Plan
    from harchos_infra.policy.loader import LoadedPolicy
    from harchos_infra.runs.ledger import Lease, Ledger
    from harchos_infra.workload.loader import LoadedWorkload

JOB_FAILED = 4
INTERRUPTED = 130


def apply(
    source: Path = typer.Argument(
        ..., metavar="PLAN|FILE", help="A plan file, or a workload to plan and apply."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    rehearse: bool = typer.Option(
        False, "--rehearse", help="Run the plan on this machine, now: a local stand-in for the chosen hub."
    ),
    speed: float | None = typer.Option(
        None,
        "--speed",
        min=1.0,
        help="How fast the rehearsal's clock runs [600 where the plan has pauses, else 1].",
    ),
    detach: bool = typer.Option(
        False, "--detach", "-d", help="Leave the run, or a workload that recurs, to a `harchos controller`."
    ),
    priority: int = typer.Option(
        0, "--priority", help="Of the runs that wait for a place, a controller starts the highest first."
    ),
    now: str | None = typer.Option(None, "--now", help="Plan as of this ISO time (workload files only)."),
    signal: str | None = typer.Option(None, "--signal", help="As of `harchos plan` (workload files only)."),
    policy: Path | None = PolicyOption,
) -> None:
    """Create the hub of a PLAN (or workload FILE), run its job, take the hub down, keep the figures."""
    from harchos_infra.cli.output import text_width
    from harchos_infra.cli.plan_view import WIDTH, render_headline
    from harchos_infra.cli.planning import is_plan_file, plan_or_replan, refuse_if_drifted
    from harchos_infra.errors import HarchosError
    from harchos_infra.provision.binary import find_binary
    from harchos_infra.runs.interrupts import heard_interrupts
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.owner import new_owner

    rules = policy_for(policy)
    plan, loaded, signal = plan_or_replan(source, now=now, signal=signal, policy=rules)
    _check_provider(plan, rehearse)
    find_binary()
    ledger = Ledger.open()
    owner = new_owner()
    if speed is not None and not rehearse:
        raise HarchosError("--speed is for rehearsals", hint="add --rehearse, or leave --speed out")
    recurs = loaded.workload.spec.schedule is not None and not is_plan_file(source)
    if recurs and detach and not rehearse:
        if now is not None:
            raise HarchosError("--now is for one run", hint="leave --now out, or --detach")
        _recur(ledger, plan, loaded, signal=signal, priority=priority, policy=rules, yes=yes)
        return
    with ExitStack() as held:
        leases = _abandoned(ledger, source, plan, rehearse=rehearse, owner=owner)
        if not leases:
            typer.echo(render_headline(plan, width=text_width(WIDTH)), nl=False)
            rules = rules or recorded_with(plan)
            refuse_if_forbidden(rules, plan, loaded)
            refuse_if_drifted(source, plan, rehearse=rehearse, policy=rules)
            if recurs:
                note("this is one occurrence; `harchos apply --detach` lets the workload recur")
            if not yes:
                _ask(plan, rehearse)
            if not detach:
                held.enter_context(heard_interrupts(threading.Event()))
            leases = _submit(
                ledger,
                plan,
                loaded,
                rehearse=rehearse,
                speed=speed,
                signal=signal,
                priority=priority,
                owner=None if detach else owner,
                once=is_plan_file(source),
                policy=rules,
            )
        elif detach:
            for lease in leases:
                ledger.release(lease)
        is_queue = loaded.workload.spec.items is not None
        if detach and is_queue:
            say_detached_queue(ledger, leases)
        elif detach:
            say_detached(ledger, leases[0].run)
        else:
            raise typer.Exit(follow_queue(ledger, leases) if is_queue else follow(ledger, leases[0]))


def follow(ledger: Ledger, lease: Lease) -> int:
    """Drive the run in the foreground; returns the exit code that its outcome has."""
    from harchos_infra.cli.progress import drive_and_show
    from harchos_infra.runs.job import SERVICE_TYPES

    if ledger.run(lease.run)["queue"] is not None:
        return follow_queue(ledger, [lease])
    if not drive_and_show(ledger, [lease]):
        say_detached(ledger, lease.run)
        return 0
    run = ledger.run(lease.run)
    rehearsal = " (rehearsal)" if run["rehearsal"] else ""
    note(f"run {run['id']}{rehearsal} {run['outcome']}: {run['reason']}")
    note(f"figures: harchos report {run['id']}")
    if run["outcome"] == "succeeded":
        return 0
    if run["desired"] == "stop":
        return INTERRUPTED
    served = run["outcome"] == "stopped" and run["type"] in SERVICE_TYPES
    return 0 if served else JOB_FAILED


def _recur(
    ledger: Ledger,
    plan: Plan,
    loaded: LoadedWorkload,
    *,
    signal: str,
    priority: int,
    policy: LoadedPolicy | None,
    yes: bool,
) -> None:
    """Hand a recurring workload to the controllers; `plan` is of its next occurrence, to be looked at."""
    from harchos_infra.cli.output import text_width
    from harchos_infra.cli.plan_view import WIDTH, render_headline
    from harchos_infra.runs import recurrence
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.workload.secret import hidden_values

    typer.echo(render_headline(plan, width=text_width(WIDTH)), nl=False)
    refuse_if_forbidden(policy, plan, loaded)
    name = loaded.workload.metadata.name
    if not yes:
        typer.confirm(f"Let {name} recur, planned anew each time?", abort=True)
    beginning = recurrence.Beginning(
        loaded=loaded,
        secrets=hidden_values(loaded),
        signal=signal,
        policy=policy.record() if policy else None,
        priority=priority,
    )
    _, replaced = recurrence.begin(ledger.database, beginning, clock=RealClock())
    place = ", in place of what it was" if replaced else ""
    typer.echo(f"{name} recurs{place}: harchos status, harchos events {name}, harchos cancel {name}")
    say_controllers(ledger, "nothing happens at its ticks until one is: start `harchos controller`")


def say_detached(ledger: Ledger, run: str) -> None:
    """Say how to watch a run that is left to a controller, and whether one is there."""
    typer.echo(f"run {run} detached: harchos status --watch {run}, harchos logs -f {run}")
    say_controllers(
        ledger,
        "nothing happens to the run until one is: start `harchos controller`, or go on here with "
        f"`harchos resume {run}`",
    )


def say_controllers(ledger: Ledger, without: str) -> None:
    """Say which controllers live; where none does, what comes of that: `without`."""
    from harchos_infra.runs.owners import controllers

    live = controllers(ledger.database)
    if live:
        note(f"controller: {', '.join(owner.place for owner in live)}")
    else:
        note(f"no controller is running, and {without}")


def _check_provider(plan: Plan, rehearse: bool) -> None:
    from harchos_infra.errors import HarchosError, InfeasibleError
    from harchos_infra.runs.mailboxes import mailbox_root
    from harchos_infra.runs.submit import check_runs

    if plan.chosen is None:
        raise InfeasibleError("nothing to apply: no candidate is feasible", hint=plan.nearest_miss)
    check_runs(plan)
    providers = {segment.provider for segment in plan.chosen.segments}
    for provider in sorted(providers) if not rehearse else ():
        mailbox_root({"provider": provider}, rehearsal=False)
    if providers == {"local"} and rehearse:
        raise HarchosError("this plan already runs on this machine", hint="leave --rehearse out")


def _abandoned(ledger: Ledger, source: Path, plan: Plan, *, rehearse: bool, owner: str) -> list[Lease]:
    """Take up the unfinished run that a dead `apply` of this plan, or of this very workload file, left.

    Of a queue all such runs. A run that was detached is a controller's to take.
    """
    from harchos_infra.cli.planning import is_plan_file
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.ledger import FINAL
    from harchos_infra.runs.submit import plan_hash

    by_plan = is_plan_file(source)
    key = ("plan_hash", plan_hash(plan)) if by_plan else ("workload_hash", plan.inputs["workload"]["sha256"])
    for row in ledger.runs():
        if row["phase"] == FINAL or row[key[0]] != key[1] or row["rehearsal"] != rehearse:
            continue
        lease = None if row["owner"] is None else ledger.claim(row["id"], owner)
        if lease is not None:
            others = claim_queue(ledger, row["queue"], owner, but=row["id"]) if row["queue"] else []
            for taken in (lease, *others):
                note(f"taking up {taken.run}, left in phase {ledger.run(taken.run)['phase']}")
            return [lease, *others]
        if by_plan:
            raise HarchosError(
                f"run {row['id']} of this plan is under way",
                hint=f"watch it with `harchos logs -f {row['id']}`",
            )
    return []


def _ask(plan: Plan, rehearse: bool) -> None:
    assert plan.chosen is not None
    hubs = plan.inputs.get("queue", {}).get("hubs", 1)
    hub = "hub" if all(len(one.segments) == 1 for one in plan.schedules) else "first hub"
    firsts = [one.segments[0] for one in plan.schedules]
    places = dict.fromkeys(f"{first.provider}/{first.region}" for first in firsts)
    what = (
        "Rehearse this plan on this machine"
        if rehearse
        else f"Create {'the' if hubs == 1 else hubs} {hub}{'s' if hubs > 1 else ''} on {' and '.join(places)}"
    )
    typer.confirm(f"{what}?", abort=True)


def _submit(
    ledger: Ledger,
    plan: Plan,
    loaded: LoadedWorkload,
    *,
    rehearse: bool,
    speed: float | None,
    signal: str,
    priority: int,
    owner: str | None,
    once: bool,
    policy: LoadedPolicy | None,
) -> list[Lease]:
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.runs.submit import Submission, submit, submit_queue
    from harchos_infra.workload.secret import hidden_values

    submission = Submission(
        plan=plan,
        loaded=loaded,
        secrets=hidden_values(loaded),
        rehearsal=rehearse,
        signal=signal,
        speed=speed,
        policy=policy.record() if policy else None,
        priority=priority,
    )
    if loaded.workload.spec.items is not None:
        return submit_queue(ledger, submission, owner=owner, clock=RealClock(), once=once)
    return [submit(ledger, submission, owner=owner, clock=RealClock(), once=once)]
