"""From a workload and its segment to `harchos.job/1`, the document that an agent carries out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.runs.hub_settings import HubSettings
from harchos_infra.workload.document import Spec, Workload

SAMPLE_S = 2.0
GRACE_S = 30.0
SERVICE_TYPES = ("inference", "dev")


def for_hub(job: Mapping[str, Any], hub: str, settings: HubSettings) -> dict[str, Any]:
    """Return a run's job (`job_document`) as `job.json` of one of its hubs."""
    return {
        **job,
        "hub": hub,
        "engine": settings.engine,
        "image_policy": settings.image_policy if job["image"] else "host",
        "power_model": dict(settings.power_model),
    }


def job_document(workload: Workload, *, run: str, secret_names: frozenset[str]) -> dict[str, Any]:
    """Return what every hub of a run is asked to do: `job.json` (docs/architecture.md) without the hub's own.

    Values of secrets are not in it.
    """
    spec = workload.spec
    if spec.command is None:
        raise HarchosError(f"workload {workload.metadata.name!r} has no `command`", hint="add `spec.command`")
    checkpoint = spec.checkpoint
    gpu = spec.resources.gpu
    return {
        "schema": "harchos.job/1",
        "run": run,
        "workload": workload.metadata.name,
        "type": spec.type,
        "command": argv(spec.command),
        "image": spec.image,
        "env": {e.name: e.value for e in spec.env if e.name not in secret_names},
        "secret_names": sorted(secret_names),
        "workdir": spec.workdir is not None,
        "resources": {
            "cpus": spec.resources.cpu,
            "memory_gib": spec.resources.memory_gib,
            "gpus": gpu.count if gpu else 0,
        },
        "checkpoint": None
        if checkpoint is None
        else {
            "path": checkpoint.path,
            "interval_s": None if checkpoint.interval_h is None else checkpoint.interval_h * 3600,
            "grace_s": checkpoint.grace_h * 3600,
            "command": None if checkpoint.command is None else argv(checkpoint.command),
        },
        "service": _service(spec),
        "items": spec.items is not None,
        "max_retries": spec.restart_policy.max_retries if spec.restart_policy.on_failure else 0,
        "grace_s": GRACE_S if checkpoint is None else checkpoint.grace_h * 3600,
        "sample_s": SAMPLE_S,
    }


def argv(command: str | tuple[str, ...]) -> list[str]:
    """Return a command as an argument list; a string is given to the shell, as in a Dockerfile."""
    if isinstance(command, tuple):
        return list(command)
    try:
        shlex.split(command)
    except ValueError as error:
        raise HarchosError(
            f"command cannot be parsed: {error}", hint="check the quotes of `spec.command`"
        ) from error
    return ["/bin/sh", "-c", command]


def _service(spec: Spec) -> dict[str, Any] | None:
    port = spec.networking.port if spec.networking else None
    check = spec.health_check
    if check is not None and check.http_get.port is not None:
        port = port or check.http_get.port
    if port is None:
        return None
    return {
        "port": port,
        "expose": bool(spec.networking and spec.networking.expose),
        "health_path": check.http_get.path if check else None,
        "initial_delay_s": check.initial_delay_seconds if check else 0.0,
        "period_s": check.period_seconds if check else 2.0,
    }
