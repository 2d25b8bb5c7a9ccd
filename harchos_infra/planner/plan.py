"""The plan: what was decided, against what, and from which inputs. Serialised as `harchos.plan/1`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

SCHEMA = "harchos.plan/1"

Decision = Literal["schedule_now", "defer", "reject"]


@dataclass(frozen=True, slots=True)
class Segment:
    """An offer for a time span, on `nodes` machines.

    `power_watts` is the modelled draw of one node before PUE; `price_usd_hour` is per node.
    """

    provider: str
    region: str
    zone: str
    instance_type: str
    market: str
    nodes: int
    start: datetime
    end: datetime
    gpu_model: str | None
    gpu_count: float
    price_usd_hour: float
    price_as_of: str
    power_watts: float
    power_basis: str
    pue: float
    pue_basis: str
    embodied_gco2e_hour: float | None
    """Embodied share of one node and hour; None where nobody has published one."""
    intensity_gco2_per_kwh: tuple[float, ...]
    """Hourly, from the hour in which the segment starts."""
    intensity_basis: str

    @property
    def offer(self) -> tuple[str, str, str, str]:
        """What is rented: provider, region, instance type, market."""
        return self.provider, self.region, self.instance_type, self.market


@dataclass(frozen=True, slots=True)
class Schedule:
    """Segments with their totals. `gco2e` = operational + embodied (where known) + transfer (its low end)."""

    segments: tuple[Segment, ...]
    cost_usd: float
    energy_kwh: float
    """Of the machines, PUE included; transfer is not part of it."""
    gco2e: float
    finish: datetime
    breakdown: dict[str, float]
    """`computeUsd`, `transferUsd`, `operationalGco2e`, `embodiedGco2e`, `transferGco2e` and
    `transferGco2eHigh` (the two ends of its range)."""

    @property
    def start(self) -> datetime:
        """When the first segment starts."""
        return self.segments[0].start


@dataclass(slots=True)
class Rejection:
    """A candidate that lost: a constraint's reason code, or `dominated`/`ranked-lower` with its deltas.

    Not frozen only because a plan makes thousands, each in a third of the time.
    """

    provider: str
    region: str
    instance_type: str
    market: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole decision. `chosen` is None exactly when `decision` is `reject`."""

    workload: dict[str, Any]
    now: datetime
    decision: Decision
    chosen: Schedule | None
    baselines: dict[str, Schedule | None]
    """`runNowCheapest` and `runNowHome` (None: no home region named, or nothing fits there)."""
    frontier: tuple[Schedule, ...]
    rejected: tuple[Rejection, ...]
    inputs: dict[str, Any]
    nearest_miss: str | None = None
    summary: dict[str, int] = field(default_factory=dict)
    """Candidates considered, feasible, and rejected per reason code."""
    horizon: dict[str, Any] = field(default_factory=dict)
    """Intensity of the chosen zone over the hours looked at (336 at most): `zone`, `start`, `gco2PerKwh`."""

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON object (camelCase keys, UTC times with `Z`)."""
        from harchos_infra.planner.encoding import encode

        return {"schema": SCHEMA, **encode(self)}

    def dumps(self) -> str:
        """Return the plan file: the same bytes for the same inputs. Each rejected candidate has one line."""
        document = self.to_json()
        compact = json.JSONEncoder(ensure_ascii=False).encode
        lines = [compact(lost) for lost in document["rejected"]]
        text = json.dumps({**document, "rejected": []}, indent=2, ensure_ascii=False)
        if lines:
            listed = ",\n    ".join(lines)
            text = text.replace('\n  "rejected": []', f'\n  "rejected": [\n    {listed}\n  ]')
        return text + "\n"

    @classmethod
    def loads(cls, text: str) -> Plan:
        """Read a plan file back. Raises HarchosError if it is not one that this version reads."""
        from harchos_infra.planner.encoding import read_plan

        return read_plan(text)

    @classmethod
    def from_json(cls, document: Any) -> Plan:
        """Read the documented JSON object back. Raises HarchosError as `loads` does."""
        from harchos_infra.planner.encoding import decode_plan

        return decode_plan(document)
