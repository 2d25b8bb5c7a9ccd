"""What is known of a run, read from the ledger: the input of every report."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class HubSpan:
    """A hub's life. Times are real UTC; `on_run_clock` turns them into those of the run's own clock.

    In a rehearsal that clock is set to the plan's time, hours or years away, and may run `speed` times as
    fast. `schedule_offset_s` is how far it was from real time when the hub was created.
    `price_usd_hour` is per node, as accepted in the plan; `gone_at` is None until the provider lists nothing.
    """

    hub: str
    provider: str
    region: str
    zone: str
    instance_type: str
    market: str
    nodes: int
    price_usd_hour: float
    pue: float
    embodied_gco2e_hour: float | None
    created_at: datetime
    gone_at: datetime | None
    schedule_offset_s: float
    rehearsal: bool
    speed: float = 1.0

    def on_run_clock(self, real: datetime) -> datetime:
        """Return what the run's own clock shows at a real time."""
        since = real - self.created_at
        return self.created_at + timedelta(seconds=self.schedule_offset_s) + self.speed * since


@dataclass(frozen=True, slots=True)
class Measurement:
    """Energy of one node of a hub over `seconds` ending at `at` (real UTC), before PUE."""

    hub: str
    at: datetime
    seconds: float
    joules: float
    basis: str
    """`measured` or `modelled`."""
    by: str
    node: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the run's history, with its reason."""

    at: datetime
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with everything frozen in it: its plan, its hubs, its measurements, the intensities used."""

    id: str
    workload: str
    type: str
    plan: dict[str, Any]
    """The plan as `harchos.plan/1`."""
    phase: str
    outcome: str | None
    """`succeeded`, `failed`, `stopped`, `expired` or None while it lives."""
    reason: str | None
    rehearsal: bool
    created_at: datetime
    finished_at: datetime | None
    hubs: tuple[HubSpan, ...]
    measurements: tuple[Measurement, ...]
    intensities: dict[str, dict[str, Any]]
    """Per zone: `{"start": ISO, "gco2_per_kwh": [hourly], "basis": str}` on the run's own clock."""
    units: dict[str, float]
    """Functional units the job reported (`tokens`, `rows`); empty if none."""
    outputs: tuple[dict[str, Any], ...]
    """Collected files: `path`, `bytes`, `sha256`."""
    events: tuple[Event, ...]
    metrics: dict[str, list[tuple[datetime, float]]] = field(default_factory=dict)
    """What the job reported of itself over real time, by name (`loss`)."""
