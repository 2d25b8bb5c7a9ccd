"""Containers labelled as a hub's, in whichever engine answers: podman, docker or both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from harchos_infra.clouds.process import MARKS
from harchos_infra.errors import HarchosError

ENGINES = ("podman", "docker")
_ANSWER_S = 20.0
_REMOVE_S = 60.0
_REMOVALS = 3
_CLIENTS = 3


@dataclass(frozen=True, slots=True)
class HubContainer:
    """A container of a hub, running or not."""

    engine: str
    id: str
    name: str
    labels: dict[str, str]


def hub_containers() -> list[HubContainer]:
    """Return every container that carries the label `harchos:hub`.

    An engine that refuses (its daemon is down, it may not run here) has none to show; what still runs in
    one is found as processes by their environment. One that hangs raises HarchosError.
    """
    found: dict[str, HubContainer] = {}
    for engine in ENGINES:
        if shutil.which(engine):
            for container in _inspect(engine):
                found.setdefault(container.id, container)
    return list(found.values())


def remove_container(engine: str, container_id: str) -> None:
    """Stop and remove one container with its anonymous volumes; one that is gone is no error.

    podman refuses the first time where the container's monitor was killed.
    """
    at_once = ("--time", "0") if engine == "podman" else ()
    for _ in range(_REMOVALS):
        removed = run_engine(engine, "rm", "--force", *at_once, "--volumes", container_id, limit_s=_REMOVE_S)
        if removed.returncode == 0:
            return
    if container_id in _ids(engine):
        raise HarchosError(f"{engine} did not remove container {container_id[:12]}: {removed.stderr.strip()}")


def _inspect(engine: str) -> list[HubContainer]:
    ids = _ids(engine)
    if not ids:
        return []
    shown = run_engine(engine, "container", "inspect", *ids)
    try:
        documents: list[dict[str, Any]] = json.loads(shown.stdout)
    except json.JSONDecodeError as error:
        raise HarchosError(f"{engine} container inspect gave no JSON: {error}") from error
    return [
        HubContainer(engine, document["Id"], document["Name"].lstrip("/"), labels)
        for document in documents
        if "harchos:hub" in (labels := document["Config"].get("Labels") or {})
    ]


def _ids(engine: str) -> list[str]:
    answer = run_engine(engine, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label=harchos:hub")
    return answer.stdout.split() if answer.returncode == 0 else []


def run_engine(
    engine: str, *arguments: str, limit_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of an engine; a client that somebody killed says nothing, and is started again.

    Raises HarchosError where it does not run, or does not answer.
    """
    for _ in range(_CLIENTS):
        done = _run_once(engine, *arguments, limit_s=limit_s)
        if done.returncode >= 0:
            break
    return done


def _run_once(engine: str, *arguments: str, limit_s: float | None) -> subprocess.CompletedProcess[str]:
    limit_s = limit_s or _ANSWER_S
    environment = {name: value for name, value in os.environ.items() if name not in MARKS}
    try:
        return subprocess.run(
            [engine, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HarchosError(
            f"{engine} {arguments[0]} did not answer within {limit_s:.0f} s",
            hint=f"restart {engine}, then run the same command again",
        ) from error
    except OSError as error:
        raise HarchosError(f"{engine} does not run: {error.strerror}") from error
