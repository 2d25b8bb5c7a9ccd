"""The plan: what was decided, against what, and from which inputs. Serialised as `harchos.plan/1`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

SCHEMA = "harchos.plan/1"

Decision = Literal["schedule_now", "defer", "reject"]

LEFT_OUT = {"left_out": True}
"""Metadata of a field that is not written where it is None."""


@dataclass(frozen=True, slots=True)
class Segment:
    """An offer for a time span, on `nodes` machines.

    `power_watts` is the draw of one node before PUE, modelled or, as `power_basis` says, measured;
    `price_usd_hour` is per node.
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
    """One value a step, from the step in which the segment starts."""
    intensity_basis: str
    intensity_step_s: int = 3600
    gpu_limit_watts: float | None = None
    """Power mode: the limit set on each GPU; None: none."""
    restart_s: int = 0
    """Seconds at its start in which a paused job is started again."""
    save_s: int = 0
    """Seconds at its end in which a job that is paused saves its work."""
    move_usd: float = 0.0
    """Transfer of the checkpoint, and of the job's data once more, from the region of the segment before."""
    move_gco2e: float = 0.0

    @property
    def offer(self) -> tuple[str, str, str, str]:
        """What is rented: provider, region, instance type, market."""
        return self.provider, self.region, self.instance_type, self.market

    @property
    def hours(self) -> float:
        """Length of the segment."""
        return (self.end - self.start).total_seconds() / 3600

    @property
    def energy_kwh(self) -> float:
        """Energy of all nodes, PUE included."""
        return self.nodes * self.power_watts * self.pue / 1000 * self.hours

    @property
    def compute_usd(self) -> float:
        """Rent of all nodes."""
        return self.nodes * self.price_usd_hour * self.hours

    @property
    def mean_gco2_per_kwh(self) -> float:
        """Mean intensity over the segment."""
        step_s = self.intensity_step_s
        midnight = self.start.replace(hour=0, minute=0, second=0)
        begin_s = (self.start - midnight).total_seconds() % step_s
        end_s = begin_s + (self.end - self.start).total_seconds()
        weighted = sum(
            value * max(min(end_s, (i + 1) * step_s) - max(begin_s, i * step_s), 0.0)
            for i, value in enumerate(self.intensity_gco2_per_kwh)
        )
        return weighted / (end_s - begin_s)


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
    `transferGco2eHigh` (the two ends of its range). With several segments also what of it is due to saving
    and restarting (`pauseKwh`, `pauseUsd`, `pauseGco2e`, of the operational) and to moves (`moveUsd`,
    `moveGco2e`, `moveGco2eHigh`, of the transfer)."""
    gap: float = 0.0
    """By which share its score may miss the least possible, where that was not reached for certain."""

    @property
    def start(self) -> datetime:
        """When the first segment starts."""
        return self.segments[0].start

    @property
    def offers(self) -> tuple[tuple[str, str, str, str], ...]:
        """What is rented, in order, each once."""
        return tuple(dict.fromkeys(segment.offer for segment in self.segments))


@dataclass(frozen=True, slots=True)
class Part:
    """So many hubs of a queue that have one schedule: `chosen` is that of each.

    `share` of the items is planned for them together. What each does when it is there, it takes itself.
    """

    hubs: int
    share: float
    chosen: Schedule


@dataclass(slots=True)
class Rejection:
    """A candidate that lost: a constraint's reason code, or `dominated`/`ranked-lower` with its deltas.

    One that was compared has its figures, too: USD, gCO2e as compared, and its best start.
    Not frozen only because a plan makes thousands, each in a third of the time.
    """

    provider: str
    region: str
    instance_type: str
    market: str
    reason: str
    detail: str
    cost_usd: float | None = field(default=None, metadata=LEFT_OUT)
    gco2e: float | None = field(default=None, metadata=LEFT_OUT)
    start: datetime | None = field(default=None, metadata=LEFT_OUT)

    @property
    def offer(self) -> tuple[str, str, str, str]:
        """What was looked at: provider, region, instance type, market."""
        return self.provider, self.region, self.instance_type, self.market


def moment(value: datetime | str) -> datetime:
    """Return a time out of a plan's `inputs` or `horizon`: a datetime as made, text as read from a file."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def summary(considered: int, feasible: int, rejected: Iterable[Rejection]) -> dict[str, int]:
    """Return how many candidates there were, and how many were rejected for each reason, most first."""
    counts = Counter(lost.reason for lost in rejected)
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {"considered": considered, "feasible": feasible, **dict(by_count)}


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
    parts: tuple[Part, ...] | None = field(default=None, metadata=LEFT_OUT)
    """Of a queue whose hubs are not all in one place and the same hours: which are where, when. Then `chosen`
    is all of them together, and its segments may overlap."""

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """What was chosen: one schedule, or that of a hub of each part."""
        if self.parts is not None:
            return tuple(part.chosen for part in self.parts)
        return () if self.chosen is None else (self.chosen,)

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
