"""What a hub needs to do the job, brought to its mailbox: the job, its files, its secrets, its last work.

A run has a place of its own in this machine's mailbox, `<run>/job/`: there `submit` puts the job, and from
there each hub of the run gets it, however many follow on each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.runs import workdir
from harchos_infra.runs.bandwidth import link
from harchos_infra.runs.handover import at_once, handover, handover_outputs
from harchos_infra.runs.hub import hub_spec
from harchos_infra.runs.hub_settings import hub_settings
from harchos_infra.runs.job import for_hub, job_document
from harchos_infra.runs.mailboxes import hub_box, job_box, node_boxes_of
from harchos_infra.runs.rented import forget_run_secrets, is_rented, stage_agent, store_run_secrets

if TYPE_CHECKING:
    from harchos_infra.runs.submit import Submission
    from harchos_infra.workload.loader import LoadedWorkload

_WORKDIR, _SECRETS, _JOB = "workdir.tar.gz", "secrets.json", "job.json"


def stage_run(submission: Submission, run: str) -> None:
    """Keep the job of a run until its hubs need it."""
    stage_job(submission.loaded, submission.secrets, run)


def stage_job(loaded: LoadedWorkload, secrets: Mapping[str, str], run: str) -> None:
    """Keep a job with its files and secrets under the name of a run, or of what recurs."""
    workload = loaded.workload
    box = job_box(run)
    packed = None
    if workload.spec.workdir is not None:
        packed = workdir.pack(Path(loaded.path).resolve().parent / workload.spec.workdir)
    job = job_document(workload, run=run, secret_names=frozenset(secrets))
    try:
        if packed is not None:
            box.put(_WORKDIR, packed)
        if secrets:
            box.put(_SECRETS, json.dumps(dict(secrets)).encode())
        box.put_json(_JOB, job)
    except MailboxError as error:
        raise HarchosError(
            error.what, hint=error.hint or "check the space and the permissions there"
        ) from error


def stage_again(name: str, run: str) -> None:
    """Keep the job that was staged as `name` for a run, too. HarchosError where it is not there any more."""
    source, target = job_box(name), job_box(run)
    try:
        job = source.get_json(_JOB)
        if job is None:
            raise HarchosError(
                f"the job of {name} is not staged any more in {source.url}",
                hint="submit it again: `harchos apply FILE --detach`",
            )
        for kept in (_WORKDIR, _SECRETS):
            content = source.get(kept)
            if content is not None:
                target.put(kept, content)
        target.put_json(_JOB, {**job, "run": run})
    except MailboxError as error:
        raise HarchosError(error.what, hint=error.hint) from error


def unstage_run(run: str) -> None:
    """Remove what `stage_run` left of a run that was not begun."""
    box = job_box(run)
    for entry in box.list():
        box.delete(entry.name)


def forget_secrets(run: Mapping[Any, Any], hubs: Sequence[Mapping[Any, Any]]) -> None:
    """Delete the secrets of a run that needs no other hub, here and in the clouds that its hubs were on."""
    box = job_box(run["id"])
    job = box.get_json(_JOB) or {}
    places = [hub["place"] for hub in hubs if is_rented(run, hub["place"])]
    if job.get("secret_names") and places:
        forget_run_secrets(run["id"], places)
    box.delete(_SECRETS)


def stage_hub(run: Mapping[Any, Any], hub: Mapping[Any, Any], before: Sequence[Mapping[Any, Any]]) -> str:
    """Bring the job to the mailboxes of a hub's nodes, and the work of the hubs `before`, oldest first.

    That work lies in the hub's own mailbox, from which every node takes it. Returns in words which checkpoint
    it goes on from; nothing where there is none. A node that lives already has all of it; but its agent may
    have died since it took the secrets, and the next one looks for them. A hub on a cloud gets the agent,
    too, and references to its secrets, which go to the store there. Raises MailboxError, HarchosError.
    """
    source, boxes = job_box(run["id"]), node_boxes_of(hub)
    secrets = source.get(_SECRETS)
    rented = is_rented(run, hub["place"])
    if secrets is not None and not rented:
        for node in boxes:
            node.put(_SECRETS, secrets)
    silent = [node for node in boxes if not node.exists("heartbeat.json")]
    resumed = _hand_over(run, hub, boxes[0], before) if boxes[0] in silent else ""
    if not silent:
        return resumed
    job = for_hub(source.get_json(_JOB), hub["hub"], hub_settings(hub["place"], rehearsal=run["rehearsal"]))
    if rented and secrets is not None:
        job["secret_refs"] = store_run_secrets(hub_spec(run, hub), json.loads(secrets))
    packed = source.get(_WORKDIR)
    for node in silent:
        if rented:
            stage_agent(node, hub_spec(run, hub))
        if packed is not None:
            node.put(_WORKDIR, packed)
        node.put_json(_JOB, job)
    return resumed


def _hand_over(
    run: Mapping[Any, Any], hub: Mapping[Any, Any], box: Mailbox, before: Sequence[Mapping[Any, Any]]
) -> str:
    resumed = ""
    for earlier in reversed(before):
        between = link(run, earlier["place"], hub["place"])
        number = handover(hub_box(earlier), box, between.carry if between else at_once)
        if number is not None:
            pace = f", brought at {between.gbps:.3g} Gbit/s" if between else ""
            resumed = f"goes on from checkpoint {number} of {earlier['hub']}{pace}"
            break
    for earlier in reversed(before):
        between = link(run, earlier["place"], hub["place"])
        if handover_outputs(node_boxes_of(earlier), box, between.carry if between else at_once):
            break
    return resumed
