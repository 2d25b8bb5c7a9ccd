"""The policy document: what an organisation allows, as typed models.

camelCase keys in YAML, snake_case attributes here, quantities in the unit that the attribute names. A rule
that is not there allows everything. The docstrings are the descriptions in the JSON Schema
(`harchos schema policy`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from harchos_infra.workload.document import Country, Model, Number, PositiveHours, Provider, Text

RegionPattern = Annotated[
    str, StringConstraints(pattern=r"^((aws|gcp|azure|local)/)?[a-z0-9*][a-z0-9*-]*$", max_length=64)
]
InstanceTypePattern = Annotated[
    str, StringConstraints(pattern=r"^((aws|gcp|azure|local)/)?[A-Za-z0-9*][A-Za-z0-9*._-]*$", max_length=96)
]


def _labels(value: object) -> object:
    """Return label names as a mapping: any value will do."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, ("*",))
    return value


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


_PATTERNS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ]
}
Patterns = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_more),
    WithJsonSchema(_PATTERNS_SCHEMA, mode="validation"),
]
Labels = Annotated[
    dict[Text, Patterns],
    Field(min_length=1),
    BeforeValidator(_labels),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": _PATTERNS_SCHEMA, "minProperties": 1},
            ]
        },
        mode="validation",
    ),
]


class PolicyMetadata(Model):
    """Name of the policy."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Lower-case letters, digits and dashes; plans name it."""


class Rules(Model):
    """What is allowed. Lists name what may be used, and nothing else may."""

    providers: tuple[Provider, ...] = Field(default=(), min_length=1)
    """Clouds that may be used; `local` is the machine that harchos runs on."""
    regions: tuple[RegionPattern, ...] = Field(default=(), min_length=1)
    """Regions that may be used: `aws/eu-north-1`, `eu-*` of any cloud, `gcp/*`."""
    countries: tuple[Country, ...] = Field(default=(), min_length=1)
    """Countries that may be used, two letters each."""
    instance_types: tuple[InstanceTypePattern, ...] = Field(default=(), min_length=1)
    """Machines that may be rented: `g6.xlarge`, `aws/g6.*`."""
    markets: tuple[Literal["on-demand", "spot"], ...] = Field(default=(), min_length=1)
    """Markets that may be rented on."""
    max_price_usd_hour: Number | None = Field(default=None, gt=0, alias="maxPrice")
    """USD an hour at most, of all machines that a run has at once."""
    max_intensity_gco2_per_kwh: Number | None = Field(default=None, gt=0, alias="maxIntensity")
    """gCO2 per kWh at most, as the mean over the energy of a run."""
    max_ttl_h: PositiveHours | None = Field(default=None, alias="maxTtl")
    """How long a hub may live at most, whatever its job does."""
    max_cost_usd: Number | None = Field(default=None, gt=0, alias="maxCost")
    """USD at most for a run."""
    max_carbon_kg: Number | None = Field(default=None, gt=0, alias="maxCarbon")
    """kgCO2eq at most for a run."""
    required_labels: Labels = Field(default={})
    """Labels that `metadata.labels` of a workload must have: names, or the values that each may have."""


class Policy(Model):
    """A policy of HarchOS: what every plan, and every run, must keep to."""

    api_version: Literal["harchos.dev/v1"]
    """Always `harchos.dev/v1`."""
    kind: Literal["Policy"]
    """Always `Policy`."""
    metadata: PolicyMetadata
    """Name of the policy."""
    spec: Rules
    """What is allowed."""
