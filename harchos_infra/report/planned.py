"""What the plan said: the schedules of a `harchos.plan/1` document, as figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from harchos_infra.report.carbon import Carbon, Cost
from harchos_infra.report.interval import Interval


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule's planned figures. `kwh` includes PUE; `places` are its segments in words."""

    places: tuple[str, ...]
    zones: tuple[str, ...]
    start: datetime
    finish: datetime
    kwh: float
    carbon: Carbon
    cost: Cost

    @property
    def gco2_per_kwh(self) -> float | None:
        """Mean intensity of the planned energy; None where no energy is planned."""
        operational = self.carbon.operational
        return operational / self.kwh if self.kwh and operational is not None else None

    @property
    def duration_s(self) -> float:
        """Seconds from the first segment's start to the finish."""
        return (self.finish - self.start).total_seconds()


def read_schedule(schedule: dict[str, Any]) -> Planned:
    """Read one schedule (`chosen`, a baseline, a member of `frontier`)."""
    segments = schedule["segments"]
    parts = schedule["breakdown"]
    unpublished = sorted({s["instanceType"] for s in segments if s["embodiedGco2eHour"] is None})
    known = any(s["embodiedGco2eHour"] is not None for s in segments)
    return Planned(
        places=tuple(dict.fromkeys(place(s) for s in segments)),
        zones=tuple(dict.fromkeys(s["zone"] for s in segments)),
        start=datetime.fromisoformat(segments[0]["start"]),
        finish=datetime.fromisoformat(schedule["finish"]),
        kwh=schedule["energyKwh"],
        carbon=Carbon(
            operational=parts["operationalGco2e"],
            embodied=parts["embodiedGco2e"] if known else None,
            embodied_unpublished=tuple(unpublished),
            transfer=Interval(parts["transferGco2e"], parts["transferGco2eHigh"]),
        ),
        cost=Cost(parts["computeUsd"], parts["transferUsd"]),
    )


def is_several_at_once(schedule: dict[str, Any]) -> bool:
    """Tell whether segments overlap: those of hubs of a queue in several places."""
    times = [
        (datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"])) for s in schedule["segments"]
    ]
    return any(later[0] < earlier[1] for earlier, later in pairwise(times))


def place(segment: dict[str, Any]) -> str:
    """Return a segment's place in words: `aws/eu-west-1 g6.xlarge (spot)`."""
    return f"{segment['provider']}/{segment['region']} {segment['instanceType']} ({segment['market']})"


def counted_gco2e(plan: dict[str, Any], schedule: dict[str, Any]) -> float:
    """Return a schedule's gCO2e as the plan compared its candidates: embodied carbon only if known of all."""
    embodied = "embodied" in plan["inputs"]["objective"]["carbon"]
    return float(schedule["gco2e"] - (0.0 if embodied else schedule["breakdown"]["embodiedGco2e"]))


BASELINES = {"runNowCheapest": "run now, cheapest", "runNowHome": "run now, home region"}


def baseline_name(key: str) -> str:
    """Return a baseline's name in words; a key this version does not know stands for itself."""
    return BASELINES.get(key, key)
