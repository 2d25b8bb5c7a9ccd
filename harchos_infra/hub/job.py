"""`job.json`: what a hub is asked to do (`harchos.job/1`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCHEMA = "harchos.job/1"
_POLICIES = ("exact", "exact-or-host", "host")
_ENGINES = ("auto", "podman", "docker", "none")
SECRET_STORES = ("ssm", "gcpsm", "azkv")
"""Schemes of references to secrets (`secret_reference.py`)."""


class JobError(Exception):
    """`job.json` is not one this agent can carry out; says which field and why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the job saves its progress, how often that is uploaded, how it is asked and for how long."""

    path: str
    interval_s: float | None
    grace_s: float
    command: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Service:
    """A port that is served; `health_path` None: ready when the port accepts a connection."""

    port: int
    health_path: str | None
    initial_delay_s: float
    period_s: float


@dataclass(frozen=True, slots=True)
class PowerModel:
    """Watts that stand in for a meter; `source` says where they come from."""

    cpu_watts_per_core_idle: float
    cpu_watts_per_core_max: float
    memory_watts_per_gib: float
    gpu_watts_idle: float
    gpu_watts_max: float
    source: str


@dataclass(frozen=True, slots=True)
class Job:
    """The job of one hub. Times in seconds, memory in GiB."""

    run: str
    hub: str
    workload: str
    command: tuple[str, ...]
    image: str | None
    image_policy: str
    engine: str
    env: dict[str, str]
    secret_names: tuple[str, ...]
    secret_refs: dict[str, str]
    """Where those secrets are read from that the controller did not send itself."""
    workdir: bool
    cpus: float | None
    memory_gib: float | None
    gpus: int
    checkpoint: Checkpoint | None
    service: Service | None
    items: bool
    """Whether the job is done once for each item that `items.json` names."""
    max_retries: int
    grace_s: float
    sample_s: float
    power_model: PowerModel

    @classmethod
    def parse(cls, value: Any) -> Job:
        """Read the document; raises JobError that names the field."""
        document = _Fields(value, "job.json")
        if document.get("schema", str) != SCHEMA:
            raise JobError(f"job.json: schema {document.get('schema', str)!r} is not {SCHEMA!r}")
        resources = document.below("resources")
        return cls(
            run=document.get("run", str),
            hub=document.get("hub", str),
            workload=document.get("workload", str),
            command=_argv(document, "command"),
            image=document.optional("image", str),
            image_policy=document.choice("image_policy", _POLICIES),
            engine=document.choice("engine", _ENGINES),
            env=_environment(document),
            secret_names=tuple(document.get("secret_names", list)),
            secret_refs=_secret_refs(document),
            workdir=document.get("workdir", bool),
            cpus=resources.optional("cpus", float),
            memory_gib=resources.optional("memory_gib", float),
            gpus=resources.get("gpus", int),
            checkpoint=_checkpoint(document),
            service=_service(document),
            items=bool(document.optional("items", bool)),
            max_retries=document.get("max_retries", int),
            grace_s=document.get("grace_s", float),
            sample_s=document.get("sample_s", float),
            power_model=_power_model(document.below("power_model")),
        )


class _Fields:
    """Typed access to a JSON object, with errors that name the place."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise JobError(f"{place}: an object was expected, not {type(value).__name__}")
        self._value = value
        self.place = place

    def get(self, name: str, kind: type) -> Any:
        if name not in self._value:
            raise JobError(f"{self.place}: {name} is missing")
        value = self._value[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise JobError(f"{self.place}: {name} is {value!r}, not of type {kind.__name__}")
        return value

    def optional(self, name: str, kind: type) -> Any:
        return None if self._value.get(name) is None else self.get(name, kind)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value: str = self.get(name, str)
        if value not in choices:
            raise JobError(f"{self.place}: {name} {value!r} is not one of {', '.join(choices)}")
        return value

    def below(self, name: str) -> _Fields:
        return _Fields(self.get(name, dict), f"{self.place}: {name}")

    def optional_below(self, name: str) -> _Fields | None:
        return None if self._value.get(name) is None else self.below(name)


def _argv(fields: _Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name, list)
    if not value or not all(isinstance(word, str) for word in value):
        raise JobError(f"{fields.place}: {name} is not a list of words")
    return tuple(value)


def _environment(document: _Fields) -> dict[str, str]:
    env: dict[str, Any] = document.get("env", dict)
    for name, value in env.items():
        if not isinstance(value, str) or "\0" in value or not name or "=" in name:
            raise JobError(f"job.json: env {name!r} is not a name with a text")
    return env


def _secret_refs(document: _Fields) -> dict[str, str]:
    refs: dict[str, Any] = document.optional("secret_refs", dict) or {}
    names = document.get("secret_names", list)
    for name, reference in refs.items():
        if not isinstance(reference, str) or reference.partition("://")[0] not in SECRET_STORES:
            raise JobError(f"job.json: secret_refs {name!r} is not a reference to {', '.join(SECRET_STORES)}")
        if name not in names:
            raise JobError(f"job.json: secret_refs {name!r} is not among secret_names")
    return refs


def _checkpoint(document: _Fields) -> Checkpoint | None:
    fields = document.optional_below("checkpoint")
    if fields is None:
        return None
    return Checkpoint(
        path=fields.get("path", str),
        interval_s=fields.optional("interval_s", float),
        grace_s=fields.get("grace_s", float),
        command=_argv(fields, "command") if fields.optional("command", list) is not None else None,
    )


def _service(document: _Fields) -> Service | None:
    fields = document.optional_below("service")
    if fields is None:
        return None
    return Service(
        port=fields.get("port", int),
        health_path=fields.optional("health_path", str),
        initial_delay_s=fields.get("initial_delay_s", float),
        period_s=fields.get("period_s", float),
    )


def _power_model(fields: _Fields) -> PowerModel:
    return PowerModel(
        cpu_watts_per_core_idle=fields.get("cpu_watts_per_core_idle", float),
        cpu_watts_per_core_max=fields.get("cpu_watts_per_core_max", float),
        memory_watts_per_gib=fields.get("memory_watts_per_gib", float),
        gpu_watts_idle=fields.get("gpu_watts_idle", float),
        gpu_watts_max=fields.get("gpu_watts_max", float),
        source=fields.get("source", str),
    )
