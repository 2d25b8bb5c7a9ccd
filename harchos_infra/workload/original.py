"""Documents of the original HarchOS: the fields that only it has, checked and mapped onto this one's.

A field that maps takes effect; each of the others is returned with the reason why it has none yet.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.document import (
    Bool,
    Command,
    GiB,
    Int,
    Model,
    Number,
    Resources,
    Text,
)
from harchos_infra.workload.quantity import parse_hours


def _seconds(value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else parse_hours(value) * 3600  # type: ignore[arg-type]


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0),
    WithJsonSchema({"type": ["string", "number"], "minimum": 0, "examples": ["30s", 3600]}),
]


class Storage(Model):
    """A volume of the original HarchOS."""

    name: Text
    """Name of the volume."""
    mount_path: Text | None = None
    """Where the job sees it."""
    size: GiB | None = None
    """Size of the volume."""
    read_only: Bool = False
    """Whether the job may only read it."""
    shared: Bool = False
    """Whether the nodes share it."""
    replicate_across_hubs: Bool = False
    """Whether every hub has a copy."""


class Autoscaling(Model):
    """Replicas of a service by load, in the original HarchOS."""

    min_replicas: Int | None = Field(default=None, ge=0)
    """Fewest replicas."""
    max_replicas: Int | None = Field(default=None, ge=1)
    """Most replicas."""
    target_concurrency: Int | None = Field(default=None, ge=1)
    """Requests at once per replica that are aimed at."""


class InitContainer(Model):
    """A command that runs to its end before the job starts."""

    name: Text
    """Name of the step."""
    command: Command
    """What is run."""


class Notifications(Model):
    """Messages of the original HarchOS."""

    on_complete: Bool = False
    """When the job is done."""
    on_failure: Bool = False
    """When the job fails."""


class CostOptimization(Model):
    """What the original HarchOS did about money."""

    prefer_spot_instances: Bool = False
    """Spot machines may be used."""
    max_cost_per_hour: Number | None = Field(default=None, gt=0)
    """USD per hour at most."""


class CarbonPolicy(Model):
    """What the original HarchOS did about carbon: a threshold at one moment."""

    enabled: Bool = True
    """Whether carbon counts."""
    threshold: Number | None = Field(default=None, gt=0)
    """gCO2/kWh above which the job pauses."""
    region: Text | None = None
    """Region whose grid is watched."""
    schedule_flexible: Bool = False
    """Whether the job may wait."""


class Routing(Model):
    """How the original HarchOS spread requests over hubs."""

    mode: Text | None = None
    """latency-based or carbon-weighted."""
    failover: Bool = False
    """Whether requests leave a hub that fails."""
    health_check_interval: Seconds | None = None
    """Time between checks."""


class RoutingCarbonPolicy(Model):
    """Which hubs the original HarchOS sent requests to, by carbon."""

    max_intensity: Number | None = Field(default=None, gt=0)
    """gCO2/kWh above which a hub gets no requests."""
    routing_mode: Text | None = None
    """greenest."""
    failover_mode: Text | None = None
    """latency."""
    rebalance_interval: Seconds | None = None
    """Time between decisions."""


class HubRequest(Model):
    """A hub that the original HarchOS was to create."""

    name: Text
    """A name like a region's."""
    replicas: Int = Field(default=1, ge=0)
    """Nodes of this hub."""
    carbon_zone: Literal["low", "medium", "high"] | None = None
    """A rough class of its grid."""
    resources: Resources = Resources()
    """What one node needs."""


class MultiHub(Model):
    """A service on several hubs, in the original HarchOS."""

    strategy: Text | None = None
    """geo-distributed or carbon-optimized."""
    routing: Routing = Routing()
    """How requests are spread."""
    carbon_policy: RoutingCarbonPolicy = RoutingCarbonPolicy()
    """Which hubs get requests."""
    hubs: Annotated[tuple[HubRequest, ...], Field(min_length=1)]
    """The hubs."""


class Metrics(Model):
    """Metrics of the original HarchOS."""

    enable: Bool = True
    """Whether metrics are collected."""
    interval: Seconds | None = None
    """Time between samples."""
    extra_labels: dict[str, str] = Field(default={})
    """Labels on each sample."""
    aggregate_across_hubs: Bool = False
    """Whether hubs are summed."""
    include_carbon_metrics: Bool = False
    """Whether carbon is among them."""


class Reporting(Model):
    """Reports of the original HarchOS."""

    carbon_footprint: Bool = False
    """Whether carbon is reported."""
    interval: Seconds | None = None
    """Time between reports."""


class OriginalFields(Model):
    """The fields of `spec` that only documents of the original HarchOS have."""

    storage: tuple[Storage, ...] = ()
    """Volumes. No effect yet."""
    autoscaling: Autoscaling | None = None
    """Replicas by load. No effect yet."""
    init_containers: tuple[InitContainer, ...] = ()
    """Commands that run, in order, before `command` on the same hub."""
    notifications: Notifications | None = None
    """Messages. No effect yet."""
    cost_optimization: CostOptimization | None = None
    """`preferSpotInstances` becomes `placement.market: any`."""
    carbon_policy: CarbonPolicy | None = None
    """`enabled: true` becomes `objective: greenest`."""
    multi_hub: MultiHub | None = None
    """One hub is planned, with the largest of the hubs' resources."""
    metrics: Metrics | None = None
    """Metrics. No effect: energy is always metered."""
    reporting: Reporting | None = None
    """Reports. No effect: every run has its carbon report."""


ORIGINAL_KEYS = frozenset(str(f.alias) for f in OriginalFields.model_fields.values())

_WHOLE_BLOCKS = {
    "storage": "a hub has one disk and no volumes; `workdir` brings files, `checkpoint` and outputs are kept",
    "autoscaling": "a run has a fixed number of nodes in this version",
    "notifications": "nothing is sent; the exit code of `harchos apply` says how the job ended",
    "metrics": "every run is metered each few seconds; `harchos report` shows it",
    "reporting": "every run has its carbon report: `harchos report`",
    "multiHub": "one hub is planned in this version, with the largest of the `hubs[].resources`; "
    "hub names, replicas and routing have no effect",
}
_CATEGORY_TYPES = {
    "pytorch-training": "training",
    "llm-inference": "inference",
    "multi-hub": "inference",
    "data-pipelines": "pipeline",
}


@dataclass(frozen=True, slots=True)
class Adoption:
    """A specification without original fields, and those without effect: where, and why."""

    spec: dict[str, Any]
    without_effect: tuple[tuple[Path, str], ...]


def adopt(spec: Mapping[str, Any], original: OriginalFields) -> Adoption:
    """Map the original's fields onto this version's; what the document says in this version's words wins."""
    mapped = {key: value for key, value in spec.items() if key not in ORIGINAL_KEYS}
    ignored: list[tuple[Path, str]] = [
        (("spec", key), why) for key, why in _WHOLE_BLOCKS.items() if key in spec
    ]
    ignored += [(("spec", *path), why) for path, why in _partial(spec, original)]
    if original.cost_optimization and original.cost_optimization.prefer_spot_instances:
        _default_market(mapped)
    if original.carbon_policy and original.carbon_policy.enabled and "carbonPrice" not in spec:
        mapped.setdefault("objective", "greenest")
    if _is_meeting_point(spec):
        mapped["networking"] = {key: value for key, value in spec["networking"].items() if key != "port"}
        ignored.append((("spec", "networking", "port"), "where the nodes meet, not a service"))
    if original.multi_hub and "resources" not in spec:
        mapped["resources"] = _largest(original.multi_hub.hubs)
    if original.init_containers and isinstance(spec.get("command"), (str, list)):
        steps = [*(c.command for c in original.init_containers), spec["command"]]
        mapped["command"] = " && ".join(_as_step(step) for step in steps)
    return Adoption(mapped, tuple(ignored))


def infer_type(spec: Mapping[str, Any], labels: object) -> str:
    """Return the type of a document that has none: from its `category` label, else from its fields.

    A cron schedule makes a pipeline; a health check, autoscaling, several hubs or a port for others than the
    job's own nodes make an inference service; GPUs make a training; everything else is a batch.
    """
    category = labels.get("category") if isinstance(labels, dict) else None
    if isinstance(category, str) and category in _CATEGORY_TYPES:
        return _CATEGORY_TYPES[category]
    networking = spec.get("networking")
    serves = isinstance(networking, dict) and "port" in networking and not networking.get("enableInterNode")
    resources = spec.get("resources")
    if "schedule" in spec:
        return "pipeline"
    if serves or spec.keys() & {"healthCheck", "autoscaling", "multiHub"}:
        return "inference"
    return "training" if isinstance(resources, dict) and resources.get("gpu") else "batch"


def _partial(spec: Mapping[str, Any], original: OriginalFields) -> Iterator[tuple[Path, str]]:
    """Yield the fields without effect of those blocks of which other fields have one."""
    if original.cost_optimization and original.cost_optimization.max_cost_per_hour is not None:
        yield (
            ("costOptimization", "maxCostPerHour"),
            "the planner bounds the cost of the whole run: `budget: {maxCost: …}`",
        )
    policy = spec.get("carbonPolicy")
    if not isinstance(policy, dict):
        return
    reasons = {
        "threshold": "no threshold decides here: the planner compares all hours until `deadline`",
        "region": "every region is compared: `placement.regions` bounds them, `homeRegion` is the baseline",
        "scheduleFlexible": "`deadline` says how long the job may wait, `interruptible` whether it may pause",
    }
    yield from ((("carbonPolicy", key), why) for key, why in reasons.items() if key in policy)
    if policy.get("enabled") is False:
        yield ("carbonPolicy", "enabled"), "carbon is always counted; `objective: cheapest` ranks by price"


def _is_meeting_point(spec: Mapping[str, Any]) -> bool:
    """Return whether `networking.port` is where the nodes of a job meet, not where a service listens."""
    network = spec.get("networking")
    if not isinstance(network, dict) or "port" not in network or "healthCheck" in spec:
        return False
    return network.get("enableInterNode") is True and network.get("expose") is not True


def _default_market(spec: dict[str, Any]) -> None:
    placement = spec.get("placement", {})
    if isinstance(placement, dict):
        spec["placement"] = {"market": "any"} | placement


def _largest(hubs: tuple[HubRequest, ...]) -> dict[str, Any]:
    """Return resources that suffice for each of the hubs, with any of their GPU models."""
    needs = [hub.resources for hub in hubs]
    gpus = [need.gpu for need in needs if need.gpu]
    largest: dict[str, Any] = {}
    if cores := [need.cpu for need in needs if need.cpu is not None]:
        largest["cpu"] = max(cores)
    if memories := [need.memory_gib for need in needs if need.memory_gib is not None]:
        largest["memory"] = max(memories)
    if gpus:
        models = list(dict.fromkeys(model for gpu in gpus for model in gpu.type))
        largest["gpu"] = {"count": max(gpu.count for gpu in gpus), "type": models}
    return largest


def _as_step(command: str | tuple[str, ...] | list[str]) -> str:
    text = command if isinstance(command, str) else shlex.join(str(word) for word in command)
    return f"(\n{text.strip()}\n)"
