"""The fields that this version reads and checks, but does not act on yet: where, and why."""

from __future__ import annotations

from collections.abc import Iterator

from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.document import Spec


def without_effect(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Yield each field of a specification that has no effect yet, and the reason."""
    if spec.runtime is not None:
        yield ("spec", "runtime"), "`image` (such as docker.io/library/python:3.12) says what the job runs in"
    if spec.type in ("inference", "dev") and spec.ttl_h is not None and spec.duration is not None:
        yield ("spec", "duration"), "a service runs for its `ttl`"
    if spec.interruptible:
        yield (
            ("spec", "interruptible"),
            "a plan has one segment in this version: a job is not paused and resumed",
        )
    if spec.scaling is not None:
        yield ("spec", "scaling"), "a run has `replicas` nodes from its start to its end in this version"
    if spec.checkpoint is not None and spec.checkpoint.size_gib is not None:
        yield ("spec", "checkpoint", "sizeGiB"), "a run stays on one hub in this version: nothing is moved"
    network = spec.networking
    if network is None:
        return
    if network.expose:
        yield ("spec", "networking", "expose"), "the service is reached on the hub itself in this version"
    if network.protocol != "http":
        yield ("spec", "networking", "protocol"), "the health check speaks http; the job speaks what it likes"
    if network.tls:
        yield ("spec", "networking", "tls"), "the hub serves the job's port as it is"
    if network.enable_inter_node:
        yield ("spec", "networking", "enableInterNode"), "hubs of several nodes come with a later version"
