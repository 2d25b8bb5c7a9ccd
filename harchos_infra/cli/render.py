"""`harchos render`: write the Terraform of a plan, to be read or applied by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.policy_option import (
    PolicyOption,
    policy_for,
    recorded_with,
    refuse_if_forbidden,
)

if TYPE_CHECKING:
    from datetime import datetime

    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.runs.submit import Submission

README = """# {run}: Terraform written by `harchos render`

{what}

| hub | where | expires |
|---|---|---|
{hubs}

Each hub has its own root and state, with the module beside it. Terraform or OpenTofu is all it takes:
nothing is downloaded, and the agent runs in the Python that `main.tf.json` names.

```
{commands}
```

The job of a hub lies in its mailbox, `mailbox/{run}/<hub>/job.json`; the heartbeat, status, logs and outputs
come to the same folder.{secrets}

`terraform destroy` stops the hub. If an apply was interrupted while it created one, `harchos sweep` finds
what is left.
"""


def render(
    plan: Path = typer.Argument(..., metavar="PLAN", help="A plan file: `harchos plan FILE --out PLAN`."),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="Directory to write; new or empty."),
    rehearse: bool = typer.Option(
        False, "--rehearse", help="A local stand-in takes the place of each hub, from now on."
    ),
    policy: Path | None = PolicyOption,
) -> None:
    """Write the Terraform root of each hub of a PLAN, standing alone with its module."""
    from datetime import UTC, datetime

    from harchos_infra.errors import HarchosError
    from harchos_infra.hub.mailbox import MailboxError
    from harchos_infra.provision.root_module import root_module

    submission = _submission(plan, rehearse=rehearse, policy=policy)
    out = out.absolute()
    specs = _specs(submission, out, now=datetime.now(UTC))
    for spec in specs:
        if spec.cloud != "local":
            raise HarchosError(
                f"a hub on {spec.cloud} needs what only `harchos apply` puts into its mailbox",
                hint="see what would be created: `harchos plan FILE --terraform`; or add --rehearse",
            )
        root_module(spec)
    _refuse_unless_empty(out)
    try:
        for spec in specs:
            _write(spec, submission)
        (out / "README.md").write_text(_readme(specs, submission), encoding="utf-8")
    except OSError as error:
        raise HarchosError(f"{error.filename or out}: {error.strerror}") from error
    except MailboxError as error:
        raise HarchosError(str(error)) from error
    for spec in specs:
        typer.echo(str(spec.workspace))


def _submission(path: Path, *, rehearse: bool, policy: Path | None) -> Submission:
    from harchos_infra.cli.planning import read_plan_file
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.submit import Submission
    from harchos_infra.workload.loader import load
    from harchos_infra.workload.secret import hidden_values

    rules = policy_for(policy)
    plan = read_plan_file(path)
    source = plan.inputs["workload"]
    loaded = load(source["path"])
    if loaded.sha256 != source["sha256"]:
        raise HarchosError(
            f"{source['path']} has changed since {path} was made",
            hint=f"plan again: harchos plan {source['path']} --out {path}",
        )
    refuse_if_forbidden(rules or recorded_with(plan), plan, loaded)
    if loaded.workload.spec.items is not None:
        raise HarchosError(
            "the hubs of a queue get their items from whoever drives it: Terraform alone gives them none",
            hint=f"carry it out with `harchos apply {path}`; `harchos plan FILE --terraform` shows its hubs",
        )
    return Submission(
        plan=plan,
        loaded=loaded,
        secrets=hidden_values(loaded),
        rehearsal=rehearse,
        signal=None,
    )


def _specs(submission: Submission, out: Path, *, now: datetime) -> list[HubSpec]:
    import sys
    from datetime import timedelta

    from harchos_infra.errors import HarchosError, InfeasibleError
    from harchos_infra.provision.hub_spec import HubSpec
    from harchos_infra.runs.submit import check_runs, plan_hash, ttl_s

    plan = submission.plan
    if plan.chosen is None:
        raise InfeasibleError("nothing to render: no candidate is feasible", hint=plan.nearest_miss)
    check_runs(plan)
    if len(plan.chosen.segments) > 1:
        raise HarchosError(
            f"the plan has {len(plan.chosen.segments)} segments, and Terraform alone hands no work over",
            hint="carry it out with `harchos apply`, or plan without `interruptible` and `scaling`",
        )
    workload = submission.loaded.workload.metadata.name
    run = f"{workload}-{plan_hash(plan)[:6]}"
    specs = []
    for number, segment in enumerate(plan.chosen.segments, start=1):
        hub = f"{run}-h{number}"
        start = now if submission.rehearsal else segment.start
        expires = start + timedelta(seconds=ttl_s(submission.loaded.workload, segment))
        if expires <= now:
            raise HarchosError(
                f"the window of this plan ended {segment.end:%Y-%m-%d %H:%M} UTC",
                hint="plan again, or add --rehearse",
            )
        specs.append(
            HubSpec(
                run=run,
                hub=hub,
                workload=workload,
                provider=segment.provider,
                region=segment.region,
                zone=segment.zone,
                instance_type=segment.instance_type,
                market=segment.market,
                nodes=segment.nodes,
                expires=expires,
                mailbox_url=(out / "mailbox").as_uri(),
                directory=out / hub,
                agent=out / "agent.pyz",
                python=Path(sys.executable),
                rehearsal=submission.rehearsal,
            )
        )
    return specs


def _refuse_unless_empty(out: Path) -> None:
    from harchos_infra.errors import HarchosError

    if out.exists() and not out.is_dir():
        raise HarchosError(f"{out} is not a directory")
    if out.is_dir() and any(out.iterdir()):
        raise HarchosError(f"{out} is not empty", hint="name a new directory, or empty this one")


def _write(spec: HubSpec, submission: Submission) -> None:
    from harchos_infra.hub.mailbox import Mailbox
    from harchos_infra.hub.nodes import node_boxes
    from harchos_infra.hub.package import build_agent
    from harchos_infra.planner.encoding import encode
    from harchos_infra.provision.root_module import write_root
    from harchos_infra.runs import workdir
    from harchos_infra.runs.hub_settings import hub_settings
    from harchos_infra.runs.job import for_hub, job_document

    workload = submission.loaded.workload
    spec.workspace.mkdir(parents=True)
    write_root(spec, spec.workspace)
    build_agent(spec.agent)
    boxes = node_boxes(Mailbox(spec.mailbox_url, spec.run, spec.hub), spec.nodes)
    if workload.spec.workdir is not None:
        packed = workdir.pack(Path(submission.loaded.path).resolve().parent / workload.spec.workdir)
        for box in boxes:
            box.put("workdir.tar.gz", packed)
    names = frozenset(submission.secrets)
    job = job_document(workload, run=spec.run, secret_names=names)
    assert submission.plan.chosen is not None
    place = encode(submission.plan.chosen.segments[0])
    settings = hub_settings(place, rehearsal=submission.rehearsal)
    for box in boxes:
        box.put_json("job.json", for_hub(job, spec.hub, settings))


def _readme(specs: list[HubSpec], submission: Submission) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(submission.secrets))
    return README.format(
        run=specs[0].run,
        what="A rehearsal: every hub is a stand-in on this machine."
        if submission.rehearsal
        else "Hubs on this machine.",
        hubs="\n".join(
            f"| `{s.hub}` | {s.provider}/{s.region}, {s.instance_type}, zone {s.zone} | {s.expires_utc} |"
            for s in specs
        ),
        commands="\n".join(
            f"cd {s.hub}/terraform && terraform init && terraform apply\nterraform destroy" for s in specs
        ),
        secrets=f" Secrets are not written: before the apply put {names} in `secrets.json` there, as"
        ' `{"NAME": "value"}`.'
        if names
        else "",
    )
