"""Which runner a job gets: an engine that answers, else a supervised process, and why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.container import ContainerRunner, Image, probe
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.engine import Engine, EngineError, installed_engines, write_podman_conf
from harchos_infra.hub.host_image import ensure_host_image
from harchos_infra.hub.job import Job
from harchos_infra.hub.process import ProcessRunner
from harchos_infra.hub.runner import Runner, RunnerError

PULL_S = 120.0


def choose_runner(
    job: Job,
    identity: Identity,
    directory: Directory,
    checkpoints: Path,
    cgroup: Cgroup,
    cancelled: Callable[[], bool],
    *,
    meets_others: bool = False,
) -> Runner:
    """Return the runner that `engine` asks for; with `auto` the first that can run. Raises RunnerError.

    `cancelled` says that the hub is to end, so that no pull is waited for; `meets_others`: the job listens to
    those of the hub's other nodes.
    """
    refusals: list[str] = []
    for engine in _engines(job, directory, cgroup):
        try:
            engine.run("info")
            host = Image(ensure_host_image(engine), host=True)
            reachable = job.service is not None or meets_others
            network = _network(engine, host, identity, reachable=reachable)
        except EngineError as error:
            refusals.append(str(error))
            continue
        image, detail = _image(job, engine, host, cancelled)
        where = f"{engine.name}, {detail}, {'the host' if network == 'host' else 'its own'} network"
        return ContainerRunner(engine, image, job, identity, directory, checkpoints, cgroup, network, where)
    if job.engine in ("podman", "docker"):
        raise RunnerError("; ".join(refusals) or f"{job.engine} is not installed on this machine")
    why = "no engine wanted" if job.engine == "none" else "; ".join(refusals) or "no container engine here"
    unused = f", image {job.image} not used" if job.image and job.image_policy != "host" else ""
    return ProcessRunner(identity, directory, checkpoints, cgroup, why + unused)


def _engines(job: Job, directory: Directory, cgroup: Cgroup) -> list[Engine]:
    conf = None
    if os.getuid() == 0:
        conf = directory.containers_conf
        write_podman_conf(conf, cgroup)
    return [engine for engine in installed_engines(conf) if job.engine in ("auto", engine.name)]


def _network(engine: Engine, image: Image, identity: Identity, *, reachable: bool) -> str | None:
    """Return the network on which a container runs here; raises EngineError if none does.

    A job that must be reached, at 127.0.0.1 or from other nodes at the machine's address, shares the host's;
    so does any job where the engine's own network is broken.
    """
    if not reachable:
        try:
            probe(engine, image, None, identity)
            return None
        except EngineError:
            pass
    probe(engine, image, "host", identity)
    return "host"


def _image(job: Job, engine: Engine, host: Image, cancelled: Callable[[], bool]) -> tuple[Image, str]:
    """Return the image to run, and what is said of it. Raises RunnerError if it must be had and cannot."""
    if job.image is None or job.image_policy == "host":
        return host, "this machine's own Python and system, read-only"
    for name in (job.image, qualified(job.image)):
        if engine.has_image(name):
            return Image(name, host=False), f"image {name}"
    try:
        engine.run("pull", "--quiet", qualified(job.image), timeout_s=PULL_S, cancelled=cancelled)
    except EngineError as error:
        if job.image_policy == "exact":
            raise RunnerError(f"image {job.image} cannot be had: {error}") from error
        return host, f"this machine's own Python and system, since image {job.image} cannot be had ({error})"
    return Image(qualified(job.image), host=False), f"image {job.image}"


def qualified(image: str) -> str:
    """Return an image's full name; one without a registry is docker.io's, as docker takes it."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"
