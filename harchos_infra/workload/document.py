"""The workload document: what a user writes, as typed models.

camelCase keys in YAML, snake_case attributes here. Quantities are parsed to plain numbers in the unit
the attribute names: durations in hours (`duration_h`), sizes in GiB, times as aware UTC datetimes.
The docstrings of models and attributes are the descriptions in the JSON Schema (`harchos schema`).
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from harchos_infra.workload.cron import NICKNAMES, Ticks, parse_cron, parse_timezone
from harchos_infra.workload.quantity import (
    QuantityError,
    format_gib,
    format_hours,
    format_time,
    kind_of,
    parse_count,
    parse_deadline,
    parse_gib,
    parse_hours,
    parse_positive_hours,
    parse_time,
)

API_VERSIONS = ("harchos.dev/v1", "harchos.harchcorp.io/v1")
ORIGINAL_API_VERSION = "harchos.harchcorp.io/v1"

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_DURATION = rf"({_NUMBER} ?[wdhms] ?)+|P({_NUMBER}[WD])*(T({_NUMBER}[HMS])+)?"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9:]+)"
_DURATION_SCHEMA = {"type": "string", "pattern": f"^({_DURATION})$", "examples": ["36h", "90m", "PT36H"]}
_SIZE_SCHEMA = {
    "type": ["string", "number"],
    "minimum": 0,
    "pattern": rf"^{_NUMBER} ?([kKMGTP]i?)?B?$",
    "examples": ["16Gi", "500MB", 16],
}
_COUNT_SCHEMA = {
    "type": ["string", "number"],
    "exclusiveMinimum": 0,
    "pattern": rf"^{_NUMBER}m?$",
    "examples": [4, "500m"],
}
_TIME_SCHEMA = {"type": "string", "pattern": f"^{_TIME}$", "examples": ["2026-11-24T06:00Z"]}
_DEADLINE_SCHEMA = {
    "type": "string",
    "pattern": f"^({_DURATION}|{_TIME})$",
    "examples": ["36h", "2026-11-24T06:00Z"],
}
_COMMAND_SCHEMA = {
    "type": ["string", "array"],
    "minLength": 1,
    "minItems": 1,
    "items": {"type": "string"},
}
_CRON_SCHEMA = {
    "type": "string",
    "pattern": rf"^({'|'.join(NICKNAMES)}|\S+(\s+\S+){{4}})$",
    "examples": ["0 22 * * MON-FRI", "@daily"],
}


def _format_deadline(deadline: datetime | float) -> str:
    return format_time(deadline) if isinstance(deadline, datetime) else format_hours(deadline)


def _command(value: object) -> object:
    hint = "write one text for the shell, or a list of texts: [python, train.py]"
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(word, str) for word in value):
        if value[0]:
            return tuple(value)
    elif isinstance(value, (list, tuple)) and value:
        wrong = next(i for i, word in enumerate(value) if not isinstance(word, str))
        raise QuantityError(f"word {wrong + 1} of the command is {kind_of(value[wrong])}", "put it in quotes")
    elif not isinstance(value, (str, list, tuple)):
        raise QuantityError(f"a command was expected, not {kind_of(value)}", hint)
    raise QuantityError("the command is empty", hint)


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _country(value: object) -> object:
    if not isinstance(value, str):
        raise QuantityError(
            f"a country code was expected, not {kind_of(value)}", "write two letters, such as NO"
        )
    if not re.fullmatch(r"[A-Za-z]{2}", value):
        raise QuantityError(
            f"`{value}` is not a country code", "write two letters (ISO 3166-1 alpha-2), such as NO or DE"
        )
    return value.upper()


_RESTART_WORDS = {"restart": True, "retry": True, "always": True, "never": False, "stop": False}


def _restart(value: object) -> object:
    return _RESTART_WORDS.get(value, value) if isinstance(value, str) else value


_AS_HOURS = PlainSerializer(format_hours, when_used="json")
Hours = Annotated[float, BeforeValidator(parse_hours), _AS_HOURS, WithJsonSchema(_DURATION_SCHEMA)]
PositiveHours = Annotated[
    float, BeforeValidator(parse_positive_hours), _AS_HOURS, WithJsonSchema(_DURATION_SCHEMA)
]
GiB = Annotated[
    float,
    BeforeValidator(parse_gib),
    Field(ge=0),
    PlainSerializer(format_gib, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
Cores = Annotated[float, BeforeValidator(parse_count), Field(gt=0), WithJsonSchema(_COUNT_SCHEMA)]
Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema(_TIME_SCHEMA),
]
Deadline = Annotated[
    datetime | float,
    BeforeValidator(parse_deadline),
    PlainSerializer(_format_deadline, when_used="json"),
    WithJsonSchema(_DEADLINE_SCHEMA),
]
Command = Annotated[str | tuple[str, ...], BeforeValidator(_command), WithJsonSchema(_COMMAND_SCHEMA)]
Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=255)]
GpuModel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=64)]
RegionName = Annotated[
    str, StringConstraints(pattern=r"^((aws|gcp|azure|local)/)?[a-z0-9][a-z0-9-]*$", max_length=64)
]
Country = Annotated[
    str, BeforeValidator(_country), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"})
]

ApiVersion = Literal["harchos.dev/v1", "harchos.harchcorp.io/v1"]
WorkloadType = Literal["training", "inference", "pipeline", "batch", "dev"]
Market = Literal["on-demand", "spot", "any"]
Objective = Literal["greenest", "balanced", "cheapest"]
Provider = Literal["aws", "gcp", "azure", "local"]


class Model(BaseModel):
    """Base of every part of the document: camelCase keys, unknown keys refused, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,
    )


class Metadata(Model):
    """Name and labels of the workload."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Lower-case letters, digits and dashes; becomes part of run and hub names."""
    labels: dict[str, str] = {}
    """Free text for your own use; copied into the plan."""


class PowerMode(Model):
    """A limit on the power of each GPU, and what it leaves of the throughput."""

    watts: Number = Field(gt=0)
    """Watts that each GPU draws at most; a GPU whose maximum is not above it has no such mode."""
    throughput: Number = Field(gt=0, le=1)
    """Share of the throughput without the limit: the run time is divided by it."""
    type: GpuModel | None = None
    """GPU model that the mode is for; every model if absent."""


class Gpu(Model):
    """GPUs of one node."""

    count: Int = Field(default=1, ge=1, le=64)
    """GPUs in one node."""
    type: Annotated[
        tuple[GpuModel, ...],
        BeforeValidator(_one_or_more),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, mode="validation"
        ),
    ] = ()
    """A model or a list of acceptable ones (`L4`, `nvidia-a100`, `H100`); any model if absent."""
    memory_gib: GiB | None = Field(default=None, alias="memory")
    """Memory that one GPU must have at least."""
    power_modes: tuple[PowerMode, ...] = Field(default=(), max_length=16)
    """Power limits that the planner may choose, each a candidate beside the full power."""


class Resources(Model):
    """What one node needs at least."""

    cpu: Cores | None = None
    """vCPUs."""
    memory_gib: GiB | None = Field(default=None, alias="memory")
    """Main memory."""
    gpu: Gpu | None = None
    """GPUs; a node without any if absent."""


class Duration(Model):
    """Estimated run time. `duration: 6h` is short for `duration: {default: 6h}`."""

    default: PositiveHours | None = None
    """Run time on a GPU model that `byGpu` does not name."""
    by_gpu: dict[GpuModel, PositiveHours] = {}
    """Run time per GPU model: `{L4: 20m, T4: 35m}`."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return value if isinstance(value, (dict, cls)) or value is None else {"default": value}


class Checkpoint(Model):
    """How the job saves its progress: SIGTERM (or `command`) asks for a checkpoint."""

    path: Text = "checkpoints"
    """Folder of the checkpoints, in the job's working directory or absolute; `$HARCHOS_CHECKPOINT_DIR`."""
    interval_h: PositiveHours | None = Field(default=None, alias="interval")
    """How often the hub uploads checkpoints while the job runs."""
    size_gib: GiB | None = Field(default=None, alias="sizeGiB")
    """Size of one checkpoint: what a move to another region transfers."""
    restart_h: Hours | None = Field(default=None, alias="restart")
    """Time from the start of a hub until the job goes on from its checkpoint: a pause pays for it."""
    command: Command | None = None
    """Asks the job for a checkpoint, in place of SIGTERM."""
    grace_h: Hours = Field(default=30 / 3600, alias="grace")
    """How long the job may take to checkpoint and end."""


class Data(Model):
    """An input data set, and where it lies."""

    uri: Text
    """Address of the data set (`s3://bucket/prefix`)."""
    region: RegionName | None = None
    """Region it lies in (`aws/eu-west-1`)."""
    size_gib: GiB | None = Field(default=None, alias="sizeGiB")
    """How much of it the job reads."""


class Placement(Model):
    """Hard constraints on where the workload may run."""

    providers: tuple[Provider, ...] = ()
    """Clouds that may be used; all clouds if absent. `local` is this machine."""
    regions: tuple[RegionName, ...] = ()
    """Regions that may be used: `aws/eu-west-1`, or `eu-west-1` of any cloud."""
    countries: tuple[Country, ...] = ()
    """Countries that may be used (data residency), two letters each."""
    market: Market = "on-demand"
    """Which price is paid: on-demand, spot, or whichever is better."""
    max_latency_ms: Number | None = Field(default=None, gt=0)
    """Round-trip time to `latencyFrom` at most, in milliseconds."""
    latency_from: Text | None = None
    """Region from which `maxLatencyMs` is counted."""
    home_region: RegionName | None = None
    """Region of the baseline that the saving is counted against; not a constraint."""


class Budget(Model):
    """Hard limits of the whole run."""

    max_cost_usd: Number | None = Field(default=None, gt=0, alias="maxCost")
    """USD at most."""
    max_carbon_kg: Number | None = Field(default=None, gt=0, alias="maxCarbon")
    """kgCO2eq at most."""


class Scaling(Model):
    """Bounds on the node count and the relative throughput at each; `duration` is that with `minNodes`."""

    min_nodes: Int = Field(default=1, ge=1, le=10_000)
    """Fewest nodes."""
    max_nodes: Int = Field(default=1, ge=1, le=10_000)
    """Most nodes."""
    throughput: tuple[Annotated[Number, Field(gt=0)], ...] = ()
    """Relative throughput with `minNodes`, `minNodes` + 1, … `maxNodes` nodes."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise QuantityError(
                f"minNodes {self.min_nodes} is more than maxNodes {self.max_nodes}", "raise maxNodes"
            )
        counts = self.max_nodes - self.min_nodes + 1
        if self.throughput and len(self.throughput) != counts:
            raise QuantityError(
                f"throughput has {len(self.throughput)} entries for {counts} node counts",
                f"write one for each count from {self.min_nodes} to {self.max_nodes}",
            )
        return self


_ITEM = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_ITEM_HINT = "write letters, digits, `.`, `_` and `-`: a folder is named after it"


def _item_name(value: object) -> object:
    if not isinstance(value, str):
        raise QuantityError(f"the name of an item was expected, not {kind_of(value)}", "put it in quotes")
    if len(value) > 128 or not re.fullmatch(_ITEM, value):
        raise QuantityError(f"`{value[:40]}` is not the name of an item", _ITEM_HINT)
    return value


ItemName = Annotated[
    str,
    BeforeValidator(_item_name),
    WithJsonSchema({"type": "string", "pattern": _ITEM, "maxLength": 128}, mode="validation"),
]


class Items(Model):
    """A queue: the job is run once for each item, on one hub or several; each item is done exactly once."""

    count: Int | None = Field(default=None, ge=1, le=100_000)
    """How many items there are; their names are their numbers from 0."""
    names: tuple[ItemName, ...] | None = Field(default=None, min_length=1, max_length=100_000, alias="list")
    """The names of the items, in place of `count`."""
    max_hubs: Int = Field(default=1, ge=1, le=100)
    """How many hubs may work on them at once."""

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if (self.count is None) == (self.names is None):
            what = "neither `count` nor `list`" if self.count is None else "both `count` and `list`"
            raise QuantityError(f"items has {what}", "write one of them: `items: {count: 240}`")
        twice = sorted(name for name, n in Counter(self.names or ()).items() if n > 1)
        if twice:
            raise QuantityError(f"item `{twice[0]}` is listed twice", "an item is done once: list it once")
        return self

    @property
    def total(self) -> int:
        """How many items there are."""
        return self.count if self.count is not None else len(self.names or ())


class Secret(Model):
    """A value that is read when the run is submitted; it is in no plan, state, log or report."""

    name: EnvName
    """Environment variable that the job finds it in."""
    env: EnvName | None = None
    """Variable of your own environment to read; the same name if neither `env` nor `file` is given."""
    file: Text | None = None
    """File to read, relative to the workload document."""


class EnvVar(Model):
    """One environment variable of the job. The value is never shown in plan, state, log or report."""

    name: EnvName
    """Name of the variable."""
    value: str = Field(repr=False)
    """Its value; put numbers and true/false in quotes."""


class HttpGet(Model):
    """An HTTP request that answers 2xx when the service is healthy."""

    path: str = Field(default="/", pattern="^/")
    """Path of the request."""
    port: Int | None = Field(default=None, ge=1, le=65535)
    """Port; `networking.port` if absent."""


class HealthCheck(Model):
    """Gate of `ready` for a service."""

    http_get: HttpGet = HttpGet()
    """The request that is made."""
    initial_delay_seconds: Number = Field(default=0, ge=0)
    """Seconds before the first request."""
    period_seconds: Number = Field(default=2, gt=0)
    """Seconds between requests."""


class Networking(Model):
    """The port a service listens on, and whether it is exposed."""

    expose: Bool = False
    """Whether the service is to be reached from outside the hub."""
    port: Int | None = Field(default=None, ge=1, le=65535)
    """Port the service listens on."""
    protocol: Text = "http"
    """Protocol of the service."""
    tls: Bool = False
    """Whether the service is to be reached over TLS."""
    enable_inter_node: Bool = False
    """Whether nodes of one job reach each other; `port` is then their meeting point, not a service."""


class RestartPolicy(Model):
    """Restarts of a failed job on the same hub."""

    on_failure: Annotated[
        Bool,
        BeforeValidator(_restart),
        WithJsonSchema({"enum": [True, False, *_RESTART_WORDS]}, mode="validation"),
    ] = False
    """Whether a job that fails is started again: true or `restart`, false or `never`."""
    max_retries: Int = Field(default=0, ge=0, le=100)
    """How many times at most."""


class Repetition(Model):
    """When the workload is run again and again: each tick of `cron` opens a window, in which it runs once."""

    cron: Annotated[str, BeforeValidator(parse_cron), WithJsonSchema(_CRON_SCHEMA)]
    """Minute, hour, day of month, month, weekday: `0 22 * * MON-FRI`; or `@daily` and its like."""
    timezone: Annotated[str, BeforeValidator(parse_timezone), WithJsonSchema({"type": "string"})] = "UTC"
    """Time zone of `cron`, such as Europe/Paris."""
    done_within_h: PositiveHours | None = Field(default=None, alias="doneWithin")
    """Length of the window, in which the job is run when it is best; without it, it starts at the tick."""

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.done_within_h is None:
            return self
        period_h = Ticks(self.cron, self.timezone).shortest_h()
        if self.done_within_h > period_h:
            raise QuantityError(
                f"doneWithin is {format_hours(self.done_within_h)}, and `{self.cron}` comes again "
                f"after {format_hours(period_h)}",
                f"shorten doneWithin to {format_hours(period_h)} at most",
            )
        return self


class Spec(Model):
    """What to run, what it needs, by when, and where it may run."""

    type: WorkloadType
    """What kind of workload this is; it decides what a report counts per (SCI)."""
    command: Command | None = None
    """What is run: one text for the shell, or a list of words."""
    image: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][^\s]*$", max_length=512)] | None = None
    """Container image; without one the command runs with the hub's own programs."""
    runtime: Text | None = None
    """Language and version (`python:3.11`), as in the original HarchOS."""
    workdir: Text | None = None
    """Folder, relative to this document, that travels to the hub as the job's working directory."""
    env: tuple[EnvVar, ...] = ()
    """Environment variables of the job."""
    secrets: tuple[Secret, ...] = ()
    """Environment variables whose values are read when the run is submitted."""
    replicas: Int = Field(default=1, ge=1, le=10_000)
    """Nodes, all alike."""
    resources: Resources = Resources()
    """What one node needs at least."""
    duration: Duration | None = None
    """Estimated run time; a service with a `ttl` runs for that."""
    utilization: Number | None = Field(default=None, gt=0, le=1)
    """Mean load of the GPUs (of the processor, without GPUs) from 0 to 1."""
    schedule: Repetition | None = None
    """When the workload is run again and again; in place of `deadline` and `earliestStart`."""
    deadline: Deadline | None = None
    """When the job must be done: a time, or a duration from the moment of planning."""
    earliest_start: Time | None = None
    """Before this time nothing starts."""
    interruptible: Bool = False
    """Whether the job may be paused and resumed from its checkpoint."""
    checkpoint: Checkpoint | None = None
    """How the job saves its progress."""
    data: tuple[Data, ...] = ()
    """Input data sets."""
    placement: Placement = Placement()
    """Where the workload may run."""
    objective: Objective | None = None
    """What the planner minimises, within the constraints."""
    carbon_price_usd_per_t: Number | None = Field(default=None, ge=0, alias="carbonPrice")
    """USD per tCO2eq that the planner adds to the price; in place of `objective`."""
    budget: Budget = Budget()
    """Hard limits of the whole run."""
    scaling: Scaling | None = None
    """Bounds on the node count."""
    items: Items | None = None
    """The items of a queue, for each of which the job is run once; `duration` is that of all, on one hub."""
    ttl_h: PositiveHours | None = Field(default=None, alias="ttl")
    """The hub ends itself after this time, whatever happens."""
    networking: Networking | None = None
    """The port a service listens on."""
    health_check: HealthCheck | None = None
    """When a service counts as ready."""
    restart_policy: RestartPolicy = RestartPolicy()
    """Restarts of a failed job."""


class Workload(Model):
    """A workload of HarchOS: what to run, what it needs, by when, and where it may run."""

    api_version: ApiVersion
    """`harchos.dev/v1`; documents of the original HarchOS have `harchos.harchcorp.io/v1`."""
    kind: Literal["Workload"]
    """Always `Workload`."""
    metadata: Metadata
    """Name and labels."""
    spec: Spec
    """What to run, what it needs, by when, and where it may run."""
