"""From a plan to a run: the job is staged in the mailbox, then the run is written to the ledger."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.planner.plan import Plan, Segment
from harchos_infra.runs import workdir
from harchos_infra.runs.clock import Clock, next_hour
from harchos_infra.runs.job import HubSettings, job_document
from harchos_infra.runs.ledger import Lease, Ledger
from harchos_infra.runs.mailboxes import mailbox_url
from harchos_infra.workload import ttl
from harchos_infra.workload.loader import LoadedWorkload
from harchos_infra.workload.work import work_sha256


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
    settings: HubSettings
    policy: Mapping[str, str] | None = None
    """Record of the policy that the run keeps to from now on; None: that of the plan."""


def plan_hash(plan: Plan) -> str:
    """Return the identity of a plan: a second `apply` of it finds the run that the first one began."""
    return hashlib.sha256(plan.dumps().encode()).hexdigest()


def submit(ledger: Ledger, submission: Submission, *, owner: str, clock: Clock, once: bool = False) -> Lease:
    """Stage the job and record the run, owned by `owner`. A run that is not recorded was never begun.

    `once`: HarchosError if another run of this very plan is under way; nothing stays staged.
    """
    plan = submission.plan
    check_runs(plan)
    workload = submission.loaded.workload
    now = clock.now()
    run = f"{workload.metadata.name}-{secrets.token_hex(3)}"
    hub = f"{run}-h1"
    _stage(submission, run, hub)
    values = _first_row(submission, run, now=now)
    try:
        return ledger.add_run(values, _accepted(submission), owner=owner, once=once)
    except HarchosError:
        _unstage(run, hub)
        raise


def _accepted(submission: Submission) -> dict[str, Any]:
    """Return the plan as it was accepted: under the policy that held then, not when the plan was made."""
    document = submission.plan.to_json()
    if submission.policy is not None:
        document["inputs"]["policy"] = dict(submission.policy)
    return document


def check_runs(plan: Plan) -> None:
    """Raise HarchosError where this version cannot carry out what a plan chose."""
    if plan.chosen is None:
        raise HarchosError("the plan chose nothing to run", hint="`harchos plan` says why")
    segment, *more = plan.chosen.segments
    spec = plan.workload["spec"]
    if more and spec.get("interruptible"):
        raise HarchosError(
            f"the plan has {len(more) + 1} segments; this version runs exactly one",
            hint="set `interruptible: false` in the workload, and plan it again",
        )
    if spec.get("scaling") and (more or segment.nodes > 1):
        raise HarchosError(
            "the plan has more than one node; this version runs a hub of one",
            hint="remove `scaling` from the workload, and plan it again",
        )
    if more:
        raise HarchosError(
            f"the plan has {len(more) + 1} segments; this version runs exactly one",
            hint="plan the workload again",
        )
    if segment.nodes > 1:
        raise HarchosError(
            f"the plan has {segment.nodes} nodes; this version runs a hub of one",
            hint="set replicas to 1",
        )
    if segment.gpu_limit_watts is not None:
        raise HarchosError(
            f"the plan limits its GPUs to {segment.gpu_limit_watts:g} W; this version does not set a limit",
            hint="remove `powerModes` from the workload, and plan it again",
        )


def _first_row(submission: Submission, run: str, *, now: datetime) -> dict[str, Any]:
    plan, workload = submission.plan, submission.loaded.workload
    assert plan.chosen is not None
    ahead_s = (plan.chosen.segments[0].start - now).total_seconds()
    return {
        "id": run,
        "workload": workload.metadata.name,
        "type": workload.spec.type,
        "plan_hash": plan_hash(plan),
        "workload_hash": submission.loaded.sha256,
        "rehearsal": submission.rehearsal,
        "schedule_offset_s": ahead_s if submission.rehearsal else 0.0,
        "signal": submission.signal,
        "ttl_s": ttl_s(submission),
        "phase": "wait",
        "desired": "run",
        "next_at": next_hour(now).timestamp(),
        "work": work_sha256(workload),
        "planned_at": plan.now.timestamp(),
        "created_at": now.timestamp(),
        "intensities": {},
        "units": {},
        "outputs": [],
    }


def ttl_s(submission: Submission) -> float:
    """Return the hub's time to live in seconds: `ttl`, else 1.5 x the planned time and half an hour."""
    ttl_h = submission.loaded.workload.spec.ttl_h
    if ttl_h is not None:
        return float(ttl_h * 3600)
    assert submission.plan.chosen is not None
    return default_ttl_s(submission.plan.chosen.segments[0])


def default_ttl_s(segment: Segment) -> float:
    """Return a hub's time to live in seconds where its workload sets none."""
    return ttl.default_ttl_s((segment.end - segment.start).total_seconds())


def _stage(submission: Submission, run: str, hub: str) -> None:
    workload = submission.loaded.workload
    box = Mailbox(mailbox_url(), run, hub)
    packed = None
    if workload.spec.workdir is not None:
        packed = workdir.pack(Path(submission.loaded.path).resolve().parent / workload.spec.workdir)
    job = job_document(
        workload, run=run, hub=hub, secret_names=frozenset(submission.secrets), settings=submission.settings
    )
    try:
        if packed is not None:
            box.put("workdir.tar.gz", packed)
        if submission.secrets:
            box.put("secrets.json", json.dumps(dict(submission.secrets)).encode())
        box.put_json("job.json", job)
    except MailboxError as error:
        raise HarchosError(str(error), hint="check the space and the permissions there") from error


def _unstage(run: str, hub: str) -> None:
    box = Mailbox(mailbox_url(), run, hub)
    for entry in box.list():
        box.delete(entry.name)
