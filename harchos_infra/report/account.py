"""The account of a run: planned and realised energy, carbon, money and time, on a stated boundary."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from math import fsum

from harchos_infra.errors import HarchosError
from harchos_infra.report.carbon import Carbon, Cost
from harchos_infra.report.energy import (
    JOULES_PER_KWH,
    Emission,
    Gap,
    IntensitySeries,
    emission,
    metered,
    planned_intensity,
)
from harchos_infra.report.interval import Interval
from harchos_infra.report.planned import Planned, read_schedule
from harchos_infra.report.saving import Comparison, saving
from harchos_infra.report.sci import Sci, score
from harchos_infra.runs.record import HubSpan, Measurement, RunRecord


@dataclass(frozen=True, slots=True)
class HubAccount:
    """One hub: `end` is when it was gone, or the moment up to which a living one is counted (real UTC)."""

    span: HubSpan
    end: datetime
    alive: bool
    measured_any: bool
    emission: Emission
    embodied_gco2e: float | None
    usd: float
    metered_s: float
    gaps: tuple[Gap, ...]

    @property
    def lived_s(self) -> float:
        """Seconds from creation to the end."""
        return (self.end - self.span.created_at).total_seconds()

    @property
    def started(self) -> datetime:
        """Creation on the run's own clock."""
        return self.span.on_run_clock(self.span.created_at)

    @property
    def ended(self) -> datetime:
        """End on the run's own clock."""
        return self.span.on_run_clock(self.end)


@dataclass(frozen=True, slots=True)
class Meter:
    """What one kind of meter contributed, before PUE."""

    basis: str
    by: str
    kwh: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Realised:
    """What the run really took, up to `as_of`.

    `kwh` includes PUE and is None where nothing was metered. `start` and `finish` are on the run's own
    clock; `finish` is None while a hub lives. `hub_s` counts each hub's life, once per node, and `metered_s`
    what of it was metered.
    """

    kwh: float | None
    kwh_before_pue: float | None
    kwh_without_intensity: float
    carbon: Carbon
    cost: Cost
    start: datetime | None
    finish: datetime | None
    hub_s: float
    metered_s: float
    meters: tuple[Meter, ...]
    gaps: tuple[Gap, ...]

    @property
    def gco2_per_kwh(self) -> float | None:
        """Mean intensity of the energy whose hours have an intensity."""
        known = (self.kwh or 0.0) - self.kwh_without_intensity
        return self.carbon.operational / known if known > 0 and self.carbon.operational is not None else None

    @property
    def coverage(self) -> float | None:
        """Share of the hubs' lives that was metered; None where no hub lived."""
        return self.metered_s / self.hub_s if self.hub_s > 0 else None

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first hub's creation until the last hub was gone."""
        return (self.finish - self.start).total_seconds() if self.start and self.finish else None


@dataclass(frozen=True, slots=True)
class Account:
    """All figures of a report. `as_of` is the moment (real UTC) up to which a living run is counted."""

    as_of: datetime
    alive: bool
    planned: Planned
    planned_at: datetime
    realised: Realised
    hubs: tuple[HubAccount, ...]
    comparisons: tuple[Comparison, ...]
    sci: Sci

    @property
    def wait_s(self) -> float:
        """Seconds that the plan put the start off."""
        return (self.planned.start - self.planned_at).total_seconds()

    @property
    def start_delay_s(self) -> float | None:
        """Seconds from the planned start until the first hub was created; negative is early."""
        start = self.realised.start
        return (start - self.planned.start).total_seconds() if start else None

    @property
    def finish_delay_s(self) -> float | None:
        """Seconds from the planned finish until the last hub was gone; negative is early."""
        finish = self.realised.finish
        return (finish - self.planned.finish).total_seconds() if finish else None


def account(record: RunRecord, now: datetime | None = None) -> Account:
    """Compute the account of a run; pure.

    A hub that lives still is counted up to `now`, without `now` up to the last thing the record knows of.
    """
    if record.plan["chosen"] is None:
        raise HarchosError(f"{record.id}: its plan chose nothing, so there is nothing to account for")
    as_of = now or _last_known(record)
    series = intensities(record)
    by_hub: dict[str, list[Measurement]] = defaultdict(list)
    for m in record.measurements:
        by_hub[m.hub].append(m)
    hubs = tuple(_hub(span, by_hub[span.hub], series.get(span.zone), as_of) for span in record.hubs)
    planned = read_schedule(record.plan["chosen"])
    realised = _realised(record, hubs, planned)
    return Account(
        as_of=as_of,
        alive=any(hub.alive for hub in hubs),
        planned=planned,
        planned_at=datetime.fromisoformat(record.plan["now"]),
        realised=realised,
        hubs=hubs,
        comparisons=tuple(
            _compare(key, schedule and read_schedule(schedule), planned, record, realised)
            for key, schedule in record.plan["baselines"].items()
        ),
        sci=score(record, realised.carbon, realised.hub_s),
    )


def intensities(record: RunRecord) -> dict[str, IntensitySeries]:
    """Return each zone's intensity: the settled one, and until the run is settled the plan's own."""
    if record.intensities:
        return {zone: IntensitySeries.parse(entry) for zone, entry in record.intensities.items()}
    return {s["zone"]: planned_intensity(s) for s in record.plan["chosen"]["segments"]}


def _last_known(record: RunRecord) -> datetime:
    times = [record.created_at, *(m.at for m in record.measurements), *(e.at for e in record.events)]
    times += [hub.gone_at or hub.created_at for hub in record.hubs]
    return max(times)


def _hub(
    span: HubSpan, measurements: list[Measurement], series: IntensitySeries | None, as_of: datetime
) -> HubAccount:
    end = span.gone_at or max(as_of, span.created_at)
    node_hours = span.speed * (end - span.created_at).total_seconds() / 3600 * span.nodes
    seconds, gaps = metered(span, end, measurements)
    return HubAccount(
        span=span,
        end=end,
        alive=span.gone_at is None,
        measured_any=bool(measurements),
        emission=emission(span, measurements, series),
        embodied_gco2e=None if span.embodied_gco2e_hour is None else span.embodied_gco2e_hour * node_hours,
        usd=span.price_usd_hour * node_hours,
        metered_s=seconds,
        gaps=gaps,
    )


def _realised(record: RunRecord, hubs: tuple[HubAccount, ...], planned: Planned) -> Realised:
    metered_any = any(hub.measured_any for hub in hubs)
    known = metered_any or not hubs
    kwh = fsum(hub.emission.kwh for hub in hubs)
    moved = bool(hubs) and not record.rehearsal
    start = min((hub.started for hub in hubs), default=None)
    alive = any(hub.alive for hub in hubs)
    return Realised(
        kwh=kwh if known else None,
        kwh_before_pue=fsum(m.joules for m in record.measurements) / JOULES_PER_KWH if known else None,
        kwh_without_intensity=fsum(hub.emission.kwh_without_intensity for hub in hubs),
        carbon=_carbon(hubs, known, planned.carbon.transfer if moved else Interval(0.0, 0.0)),
        cost=Cost(fsum(hub.usd for hub in hubs), planned.cost.transfer if moved else 0.0),
        start=start,
        finish=None if alive else max((hub.ended for hub in hubs), default=None),
        hub_s=fsum(hub.lived_s * hub.span.nodes for hub in hubs),
        metered_s=fsum(hub.metered_s for hub in hubs),
        meters=_meters(record.measurements),
        gaps=tuple(gap for hub in hubs for gap in hub.gaps),
    )


def _carbon(hubs: tuple[HubAccount, ...], known: bool, transfer: Interval) -> Carbon:
    """Sum the hubs; operational is unknown where energy was metered but no hour of it has an intensity."""
    emitted = fsum(hub.emission.gco2e for hub in hubs)
    kwh = fsum(hub.emission.kwh for hub in hubs)
    without = fsum(hub.emission.kwh_without_intensity for hub in hubs)
    if kwh > 0 and emitted == 0 and without >= kwh:
        known = False
    published = [hub.embodied_gco2e for hub in hubs if hub.embodied_gco2e is not None]
    return Carbon(
        operational=emitted if known else None,
        embodied=fsum(published) if published or not hubs else None,
        embodied_unpublished=tuple(
            sorted({hub.span.instance_type for hub in hubs if hub.embodied_gco2e is None})
        ),
        transfer=transfer,
    )


def _meters(measurements: tuple[Measurement, ...]) -> tuple[Meter, ...]:
    parts: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for m in measurements:
        parts[m.basis, m.by].append(m)
    return tuple(
        Meter(basis, by, fsum(m.joules for m in part) / JOULES_PER_KWH, fsum(m.seconds for m in part))
        for (basis, by), part in sorted(parts.items())
    )


def _compare(
    key: str, baseline: Planned | None, planned: Planned, record: RunRecord, realised: Realised
) -> Comparison:
    if baseline is None:
        return Comparison(key, None, None, None, "the plan has no such baseline", None)
    reason = _not_comparable(record, realised)
    return Comparison(
        key=key,
        baseline=baseline,
        planned=saving(baseline, planned.carbon, planned.cost),
        realised=None if reason else saving(baseline, realised.carbon, realised.cost),
        realised_reason=reason,
        later_s=(planned.finish - baseline.finish).total_seconds(),
    )


def _not_comparable(record: RunRecord, realised: Realised) -> str | None:
    """Say why the run must not be set against a baseline, None where it may be."""
    if record.rehearsal:
        return "this is a rehearsal, its energy is of this machine"
    if record.outcome is None:
        return "the run is not finished"
    if record.outcome != "succeeded":
        return f"the run {record.outcome}: the baseline's work was not done"
    if realised.finish is None:
        return "a hub is still alive"
    if realised.carbon.operational is None:
        return "no operational carbon is known"
    if realised.kwh_without_intensity > 0:
        return "part of the energy has no intensity"
    return None
