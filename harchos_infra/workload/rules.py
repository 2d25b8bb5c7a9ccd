"""What must hold between the fields of a workload, beyond what each field's own type says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.document import Spec
from harchos_infra.workload.secret import is_secret_name
from harchos_infra.workload.without_effect import scales

QUEUES = ("batch", "pipeline")
"""Types that may have items."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. `at` is the place to point at; `about` the fields it looked at, for it to hold."""

    at: Path
    message: str
    hint: str | None = None
    about: tuple[Path, ...] = ()
    is_warning: bool = False


def check(spec: Spec) -> Iterator[Finding]:
    """Yield every finding about a specification, in no particular order."""
    yield from _command(spec)
    yield from _times(spec)
    yield from _repetition(spec)
    yield from _progress(spec)
    yield from _scaling(spec)
    yield from _items(spec)
    yield from _objective(spec)
    yield from _service(spec)
    yield from _gpus(spec)
    yield from _environment(spec)


def _command(spec: Spec) -> Iterator[Finding]:
    if spec.command is None:
        what = "an image alone is not run by its own command" if spec.image else "there is nothing to run"
        yield Finding(("spec", "command"), f"`command` is missing: {what}", "add `command: python train.py`")
    if spec.workdir is not None and PurePosixPath(spec.workdir).is_absolute():
        yield Finding(
            ("spec", "workdir"), "must be relative to the document", "write a folder beside this file"
        )


def _times(spec: Spec) -> Iterator[Finding]:
    deadline, start = ("spec", "deadline"), ("spec", "earliestStart")
    if isinstance(spec.deadline, datetime) and spec.earliest_start and spec.deadline <= spec.earliest_start:
        yield Finding(deadline, "the deadline is not after earliestStart", "raise it", about=(start,))
    shortest = _shortest_hours(spec)
    scaled = spec.scaling.throughput if spec.scaling is not None and scales(spec) else ()
    fastest = max(scaled) / scaled[0] if scaled else 1.0
    if isinstance(spec.deadline, float) and shortest is not None and spec.deadline * fastest < shortest:
        yield Finding(
            deadline,
            "the deadline is shorter than the duration: no plan can meet it",
            about=(("spec", "duration"),),
            is_warning=True,
        )
    if spec.ttl_h is not None and shortest is not None and spec.ttl_h < shortest:
        yield Finding(
            ("spec", "ttl"),
            "the hub ends itself before the job is done: ttl is shorter than the duration",
            "raise ttl",
            about=(("spec", "duration"),),
        )


def _repetition(spec: Spec) -> Iterator[Finding]:
    if spec.schedule is None:
        return
    schedule = ("spec", "schedule")
    for name, value in (("deadline", spec.deadline), ("earliestStart", spec.earliest_start)):
        if value is not None:
            yield Finding(
                ("spec", name),
                f"each tick of `schedule` opens a window of its own, beside which there is no {name}",
                "remove it; `schedule.doneWithin` says by when each occurrence is done",
                about=(schedule,),
            )
    shortest, window = _shortest_hours(spec), spec.schedule.done_within_h
    if window is not None and shortest is not None and window < shortest:
        yield Finding(
            (*schedule, "doneWithin"),
            "the window is shorter than the duration: no plan can meet it",
            about=(("spec", "duration"),),
            is_warning=True,
        )


def _shortest_hours(spec: Spec) -> float | None:
    if spec.duration is None or spec.type in ("inference", "dev"):
        return None
    known = [*spec.duration.by_gpu.values(), spec.duration.default]
    hubs = spec.items.max_hubs if spec.items is not None else 1
    return min((hours / hubs for hours in known if hours is not None), default=None)


def _progress(spec: Spec) -> Iterator[Finding]:
    checkpoint = ("spec", "checkpoint")
    if spec.interruptible and spec.checkpoint is None and spec.items is None:
        yield Finding(
            ("spec", "interruptible"),
            "an interruptible job without `checkpoint` loses its work at each pause",
            "add `checkpoint: {path: checkpoints}`, or remove interruptible",
            about=(checkpoint,),
        )
    elif spec.type == "training" and spec.placement.market != "on-demand" and spec.checkpoint is None:
        yield Finding(
            ("spec", "placement", "market"),
            "a spot machine can be taken away, and without `checkpoint` the work is lost",
            "add `checkpoint: {path: checkpoints}`",
            about=(checkpoint,),
            is_warning=True,
        )
    if spec.checkpoint is not None and ".." in PurePosixPath(spec.checkpoint.path).parts:
        yield Finding(
            (*checkpoint, "path"),
            "leads out of the job's working directory",
            "write a path such as checkpoints, or an absolute one",
        )


def _scaling(spec: Spec) -> Iterator[Finding]:
    if scales(spec) and "replicas" in spec.model_fields_set:
        yield Finding(
            ("spec", "replicas"),
            "`replicas` and `scaling` both say how many nodes there are",
            "remove `replicas`: `duration` is the run time with `minNodes`",
            about=(("spec", "scaling"),),
        )


def _items(spec: Spec) -> Iterator[Finding]:
    if spec.items is None:
        return
    items: Path = ("spec", "items")
    if spec.type not in QUEUES:
        yield Finding(
            items,
            f"a workload of type {spec.type} has no items",
            f"set `type` to {' or '.join(QUEUES)}",
            about=(("spec", "type"),),
        )
    if spec.replicas > 1:
        yield Finding(
            ("spec", "replicas"),
            "each hub of a queue has one node",
            "remove it: `items: {maxHubs: …}` says how many hubs there are",
            about=(items,),
        )
    if spec.schedule is not None:
        yield Finding(
            ("spec", "schedule"),
            "a queue of items does not recur in this version",
            "remove it, and apply the workload when its items are there",
            about=(items,),
        )
    if spec.scaling is not None:
        yield Finding(
            ("spec", "scaling"),
            "`scaling` and `items` both divide the work",
            "remove it: `items: {maxHubs: …}` says how many hubs there are",
            about=(items,),
        )
    if spec.checkpoint is not None:
        yield Finding(
            ("spec", "checkpoint"),
            "each item is done from its beginning, so that nothing is resumed",
            "remove `checkpoint`: an item that was not finished is done again",
            about=(items,),
        )
    if spec.networking is not None and spec.networking.port is not None:
        yield Finding(("spec", "networking"), "a queue serves nothing", "remove `networking`", about=(items,))


def _objective(spec: Spec) -> Iterator[Finding]:
    if spec.objective is not None and spec.carbon_price_usd_per_t is not None:
        yield Finding(
            ("spec", "carbonPrice"),
            "`objective` and `carbonPrice` say the same thing in two ways",
            "keep one of them",
            about=(("spec", "objective"),),
        )
    if spec.placement.max_latency_ms is not None and spec.placement.latency_from is None:
        yield Finding(
            ("spec", "placement", "maxLatencyMs"),
            "says how far, but not from where",
            "add `latencyFrom: aws/eu-west-1`",
            about=(("spec", "placement", "latencyFrom"),),
        )


def _service(spec: Spec) -> Iterator[Finding]:
    port = spec.networking.port if spec.networking else None
    if spec.health_check is not None and port is None and spec.health_check.http_get.port is None:
        yield Finding(
            ("spec", "healthCheck"),
            "a health check needs a port",
            "add `networking: {port: 8080}`",
            about=(("spec", "networking"),),
        )
    if spec.networking is not None and spec.networking.expose and port is None:
        yield Finding(
            ("spec", "networking", "expose"), "nothing to expose without a port", "add `port: 8080`"
        )


def _gpus(spec: Spec) -> Iterator[Finding]:
    named = spec.duration.by_gpu if spec.duration else {}
    gpu = spec.resources.gpu
    wanted = {_model(name) for name in gpu.type} if gpu else set()
    for name in named:
        if gpu is None or (wanted and _model(name) not in wanted):
            yield Finding(
                ("spec", "duration", "byGpu", name),
                f"a duration for {name}, which `resources.gpu` does not ask for",
                about=(("spec", "resources"),),
                is_warning=True,
            )


def _model(name: str) -> str:
    return re.sub(r"^nvidia|[^a-z0-9]", "", name.lower())


def _environment(spec: Spec) -> Iterator[Finding]:
    for index, secret in enumerate(spec.secrets):
        if secret.env is not None and secret.file is not None:
            yield Finding(
                ("spec", "secrets", index), "a secret has both `env` and `file`", "keep one of them"
            )
    seen: dict[str, Path] = {}
    for part, names in (("env", [e.name for e in spec.env]), ("secrets", [s.name for s in spec.secrets])):
        for index, name in enumerate(names):
            path: Path = ("spec", part, index, "name")
            if name in seen:
                yield Finding(path, f"`{name}` is given twice", "remove one of them", about=(seen[name],))
            seen.setdefault(name, path)
            if part == "env" and is_secret_name(name):
                yield Finding(
                    path,
                    f"the value of `{name}` stands in the file; it is kept out of plan, logs and report",
                    f"`secrets: [{{name: {name}}}]` keeps it out of the file as well",
                    is_warning=True,
                )
