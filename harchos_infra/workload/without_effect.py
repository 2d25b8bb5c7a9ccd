"""The fields that this version reads and checks, but does not act on yet: where, and why."""

from __future__ import annotations

from collections.abc import Iterator

from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.document import Spec

SERVICES = frozenset({"inference", "dev"})
"""Types that run for their `ttl`."""


def pauses(spec: Spec) -> bool:
    """Tell whether a plan may pause the job."""
    return spec.interruptible and spec.type not in SERVICES


def _defers(spec: Spec) -> bool:
    """Tell whether the job may wait: until its deadline, or within the window of each occurrence."""
    window_h = spec.schedule.done_within_h if spec.schedule else None
    return spec.deadline is not None or window_h is not None


def scales(spec: Spec) -> bool:
    """Tell whether a plan may change the node count."""
    scaling = spec.scaling
    return scaling is not None and bool(scaling.throughput) and spec.type not in SERVICES


def without_effect(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Yield each field of a specification that has no effect yet, and the reason."""
    if spec.runtime is not None:
        yield ("spec", "runtime"), "`image` (such as docker.io/library/python:3.12) says what the job runs in"
    if spec.type in SERVICES and spec.ttl_h is not None and spec.duration is not None:
        yield ("spec", "duration"), "a service runs for its `ttl`"
    yield from _schedule(spec)
    if spec.resources.gpu is not None and spec.resources.gpu.power_modes:
        yield (
            ("spec", "resources", "gpu", "powerModes"),
            "a plan may choose one; setting it on the hub comes with a later version",
        )
    network = spec.networking
    if network is None:
        return
    if network.expose:
        yield (
            ("spec", "networking", "expose"),
            "on a cloud it opens the port to everyone; on this machine nothing",
        )
    if network.protocol != "http":
        yield ("spec", "networking", "protocol"), "the health check speaks http; the job speaks what it likes"
    if network.tls:
        yield ("spec", "networking", "tls"), "the hub serves the job's port as it is"


def _schedule(spec: Spec) -> Iterator[tuple[Path, str]]:
    is_service = spec.type in SERVICES
    if spec.interruptible and (is_service or not _defers(spec)):
        reason = "a service runs for its `ttl`" if is_service else "without a `deadline` nothing is deferred"
        yield ("spec", "interruptible"), reason
    if spec.scaling is not None and not scales(spec):
        reason = (
            "a service has `replicas` nodes in this version"
            if is_service
            else "without `throughput` nothing is known of other counts than `replicas`"
        )
        yield ("spec", "scaling"), reason
    checkpoint = spec.checkpoint
    if checkpoint is None or (pauses(spec) and _defers(spec)):
        return
    for name, value in (("sizeGiB", checkpoint.size_gib), ("restart", checkpoint.restart_h)):
        if value is not None:
            yield ("spec", "checkpoint", name), "a job that is not interruptible is not paused nor moved"
