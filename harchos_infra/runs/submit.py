"""From a plan to a run: the job is staged in the mailbox, then the run is written to the ledger."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from harchos_infra.errors import HarchosError
from harchos_infra.hub.items import names
from harchos_infra.planner.plan import Plan, Segment
from harchos_infra.planner.queue import of_each_hub
from harchos_infra.runs.clock import Clock, next_hour
from harchos_infra.runs.items import add_items
from harchos_infra.runs.job import SERVICE_TYPES
from harchos_infra.runs.ledger import Lease, Ledger, NewRun
from harchos_infra.runs.rejections import pack
from harchos_infra.runs.stage import stage_run, unstage_run
from harchos_infra.workload import ttl
from harchos_infra.workload.document import Workload
from harchos_infra.workload.loader import LoadedWorkload
from harchos_infra.workload.work import work_sha256

REHEARSAL_SPEED = 600.0
"""How fast the clock of a rehearsal runs that has pauses, or hubs at several times, if none is asked for."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A plan with the workload it was made from and what only the user can supply."""

    plan: Plan
    loaded: LoadedWorkload
    secrets: Mapping[str, str]
    """Every value that must stay hidden: `secrets[]` and the env values whose names say so."""
    rehearsal: bool
    signal: str | None
    """The `--signal` option; None for the default one."""
    speed: float | None = None
    """How many times as fast as real time the clock of a rehearsal runs.

    None: as fast as real time and from the planned start, or `REHEARSAL_SPEED` where there are pauses or the
    hubs of a queue start at several times.
    """
    policy: Mapping[str, str] | None = None
    """Record of the policy that the run keeps to from now on; None: that of the plan."""
    queue: str | None = None
    """The queue whose items the run does."""
    priority: int = 0
    """Of the runs that wait for a place, a controller starts the highest first."""


def plan_hash(plan: Plan) -> str:
    """Return the identity of a plan: a second `apply` of it finds the run that the first one began."""
    return _hash(_decision(plan))


def _decision(plan: Plan) -> dict[str, Any]:
    """Return a plan's document but for its rejected candidates, which follow from its inputs."""
    return {**replace(plan, rejected=()).to_json(), "rejected": None}


def _hash(decision: Mapping[str, Any]) -> str:
    said = {key: value for key, value in decision.items() if key != "rejected"}
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def submit(
    ledger: Ledger,
    submission: Submission,
    *,
    owner: str | None,
    clock: Clock,
    once: bool = False,
) -> Lease:
    """Stage the job and record the run, owned by `owner` (None: by nobody, for a controller to take).

    A run that is not recorded was never begun.

    `once`: HarchosError if another run of this very plan is under way; nothing stays staged.
    """
    return record(
        ledger, submission, lambda run: stage_run(submission, run), owner=owner, clock=clock, once=once
    )


def record(
    ledger: Ledger,
    submission: Submission,
    stage: Callable[[str], None],
    *,
    owner: str | None,
    clock: Clock,
    once: bool = False,
    also: Callable[[Connection, str], None] | None = None,
) -> Lease:
    """Do as `submit`; `stage` brings the job of the named run, `also` writes in the transaction that does."""
    check_runs(submission.plan)
    new = _new(submission, submission.plan, clock=clock)
    new = replace(new, rejected=_rejected(ledger, new, submission.plan))
    with _staged([new], [stage]):
        follow = None if also is None else lambda db: also(db, new.values["id"])
        return ledger.add_runs([new], owner=owner, once=once, also=follow)[0]


def submit_queue(
    ledger: Ledger, submission: Submission, *, owner: str | None, clock: Clock, once: bool = False
) -> list[Lease]:
    """Record the items of a queue and the runs that share it, as many as its plan has hubs, all or none.

    `once` as of `submit`; the runs carry the identity of the queue's whole plan.
    """
    whole = submission.plan
    check_runs(whole)
    workload = submission.loaded.workload
    items = workload.spec.items
    assert items is not None
    queue = f"{workload.metadata.name}-q{secrets.token_hex(3)}"
    apart = len({schedule.start for schedule in whole.schedules}) > 1
    speed = submission.speed or (REHEARSAL_SPEED if submission.rehearsal and apart else None)
    parts = [
        replace(submission, plan=plan, queue=queue, speed=speed) for plan in of_each_hub(whole, workload)
    ]
    new = [_new(part, whole, clock=clock) for part in parts]
    new[0] = replace(new[0], rejected=_rejected(ledger, new[0], whole))
    with _staged(new, [partial(stage_run, part) for part in parts]):
        waiting = items.names or names(items.total)
        return ledger.add_runs(new, owner=owner, once=once, also=lambda db: add_items(db, queue, waiting))


def _new(submission: Submission, whole: Plan, *, clock: Clock) -> NewRun:
    """Return the run of a plan that is all of `whole`, which gives its identity, or a part of it."""
    run = f"{submission.loaded.workload.metadata.name}-{secrets.token_hex(3)}"
    document = _decision(submission.plan)
    identity = _hash(document) if submission.plan is whole else plan_hash(whole)
    return NewRun(
        {**_first_row(submission, run, now=clock.now()), "plan_hash": identity},
        _accepted(submission, document),
    )


def _rejected(ledger: Ledger, new: NewRun, whole: Plan) -> bytes | None:
    """Return the rejected candidates of a plan to be stored with its run, None where they are already."""
    return None if ledger.has_rejected(new.values["plan_hash"]) else pack(whole.rejected)


@contextmanager
def _staged(runs: Sequence[NewRun], stages: Sequence[Callable[[str], None]]) -> Iterator[None]:
    """Bring the jobs of runs that are recorded within; where they are not, nothing of them stays."""
    try:
        for run, stage in zip(runs, stages, strict=True):
            stage(run.values["id"])
        yield
    except HarchosError:
        for run in runs:
            unstage_run(run.values["id"])
        raise


def _accepted(submission: Submission, document: dict[str, Any]) -> dict[str, Any]:
    """Return the plan as it was accepted: under the policy that held then, not when the plan was made."""
    if submission.policy is not None:
        document["inputs"]["policy"] = dict(submission.policy)
    return document


def check_runs(plan: Plan) -> None:
    """Raise HarchosError where this version cannot carry out what a plan chose."""
    if plan.chosen is None:
        raise HarchosError("the plan chose nothing to run", hint="`harchos plan` says why")
    if any(loses_work(one.segments, plan.workload["spec"]) for one in plan.schedules):
        raise HarchosError(
            "the plan changes the number of nodes, and without `checkpoint` the work is lost each time",
            hint="add `checkpoint: {path: checkpoints}` to the workload, or remove `scaling`",
        )
    for segment in plan.chosen.segments:
        if segment.nodes > 1 and plan.workload["spec"]["type"] in SERVICE_TYPES:
            raise HarchosError(
                f"the plan has {segment.nodes} nodes; this version runs a service on one",
                hint="set replicas to 1",
            )
        if segment.gpu_limit_watts is not None:
            raise HarchosError(
                f"the plan limits its GPUs to {segment.gpu_limit_watts:g} W; this version sets no limit",
                hint="remove `powerModes` from the workload, and plan it again",
            )


def loses_work(segments: Sequence[Segment], spec: Mapping[str, Any]) -> bool:
    """Tell whether a schedule changes the number of nodes of a job that has no checkpoint to go on from."""
    return len({segment.nodes for segment in segments}) > 1 and "checkpoint" not in spec


def _first_row(submission: Submission, run: str, *, now: datetime) -> dict[str, Any]:
    plan, workload = submission.plan, submission.loaded.workload
    assert plan.chosen is not None
    segments = plan.chosen.segments
    speed = submission.speed or (REHEARSAL_SPEED if submission.rehearsal and len(segments) > 1 else 1.0)
    shown = segments[0].start if speed == 1.0 else plan.now
    return {
        "id": run,
        "workload": workload.metadata.name,
        "type": workload.spec.type,
        "workload_hash": submission.loaded.sha256,
        "rehearsal": submission.rehearsal,
        "schedule_offset_s": (shown - now).total_seconds() if submission.rehearsal else 0.0,
        "speed": speed if submission.rehearsal else 1.0,
        "signal": submission.signal,
        "ttl_s": ttl_s(workload, segments[0]),
        "phase": "wait",
        "desired": "run",
        "priority": submission.priority,
        "next_at": next_hour(now).timestamp(),
        "work": work_sha256(workload),
        "planned_at": plan.now.timestamp(),
        "created_at": now.timestamp(),
        "intensities": {},
        "units": {},
        "outputs": [],
        "queue": submission.queue,
    }


def ttl_s(workload: Workload, segment: Segment) -> float:
    """Return a hub's time to live in seconds: `ttl`, else 1.5 x the planned time and half an hour."""
    ttl_h = workload.spec.ttl_h
    if ttl_h is not None:
        return float(ttl_h * 3600)
    return ttl.default_ttl_s((segment.end - segment.start).total_seconds())
