"""What a workload takes on each offer: energy, carbon and money, for every candidate at once.

    kWh         = nodes x node watts / 1000 x PUE x hours
    operational = kWh x mean intensity of the zone over the window
    embodied    = nodes x share per hour x hours                    (where somebody has published one)
    transfer    = GB x kWh per GB x mean intensity of both ends     (the low end of a range; both are kept)
    USD         = nodes x price x hours + GB x egress price

Hours are those for which the machine is taken: the estimated run time; where runs of the same work on the
same machine were measured, their mean start-up and run time. Measured watts stand in for the model's
likewise. Whole instances are paid and powered: GPUs that the workload does not use idle. Data is moved once a
run, into the chosen region; in which hour is not planned, so the intensity of both ends is their mean over
the horizon. Power, price and embodied share do not depend on the start: of a candidate, only the mean
intensity does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harchos_infra.catalog import Catalog, Estimate, Offer, Region
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.course import Course
from harchos_infra.planner.fit import Miss
from harchos_infra.planner.horizon import Horizon
from harchos_infra.planner.request import Request
from harchos_infra.planner.window import HOUR_S, breakpoint_starts, earliest_least, window_means
from harchos_infra.workload.document import PowerMode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ASSUMED_GPU_UTILIZATION = 1.0
ASSUMED_CPU_UTILIZATION = 0.5


@dataclass(frozen=True, slots=True)
class Transfer:
    """Moving data from region to region: USD, and gCO2eq at the two ends of the energy range."""

    usd: float
    gco2e_low: float
    gco2e_high: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """One entry a candidate in every array. Starts are seconds from the horizon's beginning.

    `embodied_g` is NaN where nobody has published a figure; `best_mean` and `now_mean` are the mean intensity
    of the greenest window and of the one that starts at once, in g/kWh. Each offer has an entry for its
    greatest power, and may have more: for other power modes, and for schedules that are more than a window
    (`courses`, with the span from their start to their end as `duration_s`). `offer_of` is the first entry of
    the same offer.
    """

    horizon: Horizon
    nodes: int
    offers: tuple[Offer, ...]
    regions: tuple[Region, ...]
    power: tuple[Estimate, ...]
    modes: tuple[PowerMode | None, ...]
    courses: tuple[Course | None, ...]
    offer_of: Ints
    rows: Ints
    """Row of the zone in the horizon's intensity."""
    node_kw: Floats
    """Draw of one node, PUE included."""
    price_usd_hour: Floats
    embodied_g_hour: Floats
    duration_s: Ints
    energy_kwh: Floats
    compute_usd: Floats
    transfer_usd: Floats
    embodied_g: Floats
    transfer_g: Floats
    transfer_g_high: Floats
    best_start_s: Ints
    best_mean: Floats
    now_mean: Floats

    @property
    def is_first(self) -> NDArray[np.bool_]:
        """Whether an entry is the first of its offer."""
        return np.asarray(self.offer_of == np.arange(len(self.offers)))

    @property
    def has_several_entries(self) -> bool:
        """Whether an offer has more than one entry."""
        return not self.is_first.all()

    @property
    def cost_usd(self) -> Floats:
        """Compute and egress."""
        return self.compute_usd + self.transfer_usd

    @property
    def late_s(self) -> Ints:
        """Seconds by which a start at once misses the deadline; 0 or less where it is met."""
        deadline_s = self.horizon.deadline_s
        if deadline_s is None:
            return np.zeros_like(self.duration_s)
        return self.horizon.earliest_s + self.duration_s - deadline_s

    def gco2e(self, mean: Floats, *, with_embodied: bool = True) -> Floats:
        """Return operational, transfer (low) and, if asked for and where known, embodied carbon."""
        total = self.energy_kwh * mean + self.transfer_g
        return total + np.nan_to_num(self.embodied_g) if with_embodied else total


def estimate(
    request: Request, catalog: Catalog, signal: Signal, offers: Sequence[Offer]
) -> tuple[Estimates, list[tuple[Offer, Miss]]]:
    """Return the estimates of those offers that can be estimated, and of the others why not."""
    kinds = {(offer.provider, offer.instance_type): offer for offer in offers}.values()
    longest_s = max((request.longest_s(offer) for offer in kinds), default=1)
    regions = {catalog.regions[place] for place in {(o.provider, o.region) for o in offers}}
    zones = {region.zone for region in (*regions, *(region for region, _ in request.data)) if region.zone}
    figures = _Figures(request, catalog, Horizon.of(request, signal, zones, longest_s))
    found: list[_Entry] = []
    misses: list[tuple[Offer, Miss]] = []
    for offer in offers:
        machines, place = figures.machines(offer), figures.place(offer)
        if isinstance(machines, Miss):
            misses.append((offer, machines))
        elif isinstance(place, Miss):
            misses.append((offer, place))
        else:
            found += [(offer, machine, place) for machine in machines]
    return _arrays(request, figures.horizon, found), misses


class _Machine(NamedTuple):
    """What is the same wherever an instance type is rented; the embodied share is NaN where unpublished."""

    duration_s: int
    power: Estimate
    embodied_g_hour: float
    mode: PowerMode | None


class _Place(NamedTuple):
    """What is the same for every machine of a region; `row` is its zone's row of the horizon."""

    region: Region
    row: int
    transfer: Transfer


_Entry = tuple[Offer, _Machine, _Place]


class _Figures:
    """What is needed of each offer, worked out once for all that share it."""

    def __init__(self, request: Request, catalog: Catalog, horizon: Horizon) -> None:
        self._request = request
        self._catalog = catalog
        self.horizon = horizon
        self._machines: dict[tuple[str, str], tuple[_Machine, ...] | Miss] = {}
        self._places: dict[tuple[str, str], _Place | Miss] = {}

    def machines(self, offer: Offer) -> tuple[_Machine, ...] | Miss:
        """Return the instance type at its greatest power, then in each power mode of the workload."""
        key = offer.provider, offer.instance_type
        found = self._machines.get(key)
        if found is None:
            found = self._machines[key] = self._modes(offer)
        return found

    def place(self, offer: Offer) -> _Place | Miss:
        key = offer.provider, offer.region
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = self._place(self._catalog.regions[key])
        return found

    def _modes(self, offer: Offer) -> tuple[_Machine, ...] | Miss:
        gpu = self._request.spec.resources.gpu
        watts = self._catalog.power.gpu(offer) if gpu and gpu.power_modes else None
        modes = (None, *self._request.power_modes(offer.gpu_model, watts))
        machines = [self._machine(offer, mode) for mode in modes]
        if isinstance(machines[0], Miss):
            return machines[0]
        return tuple(machine for machine in machines if not isinstance(machine, Miss))

    def _machine(self, offer: Offer, mode: PowerMode | None) -> _Machine | Miss:
        duration_s = self._request.reserved_s(offer, mode)
        if duration_s is None:
            return Miss(
                "no-duration", f"spec.duration has none for {offer.gpu_model or 'a machine without GPU'}"
            )
        power = node_power(self._request, self._catalog, offer, mode)
        if isinstance(power, Miss):
            return power
        embodied = self._catalog.embodied_gco2e_hour(offer)
        return _Machine(duration_s, power, embodied[0] if embodied else nan, mode)

    def _place(self, region: Region) -> _Place | Miss:
        if region.zone is None:
            return Miss("no-zone", f"nobody has named the grid zone of {region.id}")
        row = self.horizon.rows.get(region.zone)
        if row is None:
            return Miss("no-intensity", self.horizon.unknown[region.zone])
        transfer = self._transfer(region, region.zone)
        return transfer if isinstance(transfer, Miss) else _Place(region, row, transfer)

    def _transfer(self, region: Region, zone: str) -> Transfer | Miss:
        usd = low = high = 0.0
        low_kwh, high_kwh = self._catalog.transfer_energy_kwh_per_gb
        for source, gb in self._request.data:
            if source.id == region.id:
                continue
            price = self._catalog.egress_usd_per_gb(source, region)
            if price is None:
                return Miss("no-egress-price", f"no price is known from {source.id} to {region.id}")
            if source.zone not in self.horizon.rows:
                return Miss("no-intensity", f"none for {source.id}, where data lies")
            grams = gb * (self.horizon.mean(source.zone) + self.horizon.mean(zone)) / 2
            usd, low, high = usd + gb * price, low + grams * low_kwh, high + grams * high_kwh
        return Transfer(usd, low, high)


def node_power(
    request: Request, catalog: Catalog, offer: Offer, mode: PowerMode | None = None
) -> Estimate | Miss:
    """Return the draw of one node before PUE with its basis, or why none can be given.

    In a power mode its watts take the place of the GPU's maximum.
    """
    wants, given = request.spec.resources.gpu, request.spec.utilization
    said = "spec.utilization" if given is not None else "assumed: spec.utilization is not given"
    if wants is None:
        load = ASSUMED_CPU_UTILIZATION if given is None else given
        power = catalog.power.node_watts(offer, 0, 0.0, load)
        used = f"CPU at {load:.0%}" + (", GPUs idle" if offer.gpu_count else "")
    else:
        load = ASSUMED_GPU_UTILIZATION if given is None else given
        power = catalog.power.node_watts(offer, wants.count, load, ASSUMED_CPU_UTILIZATION)
        idle = offer.gpu_count - wants.count
        used = f"{wants.count} GPU at {load:.0%}" + (f", {idle:g} idle" if idle > 0 else "")
    gpu = catalog.power.gpu(offer) if mode else None
    saved_watts = 0.0
    if mode and wants and gpu and gpu.maximum is not None:
        saved_watts = wants.count * load * (gpu.maximum - mode.watts)
        used += f", limited to {mode.watts:g} W of {gpu.maximum:g} (spec.resources.gpu.powerModes)"
    measured = _measured_power(request, catalog, offer, ASSUMED_CPU_UTILIZATION if wants else load)
    if measured is not None:
        modelled = f"modelled: {power.watts - saved_watts:.4g} W" if power else "no model"
        limited = f", less {saved_watts:.4g} W, modelled, for the limit" if saved_watts else ""
        return Estimate(measured.watts - saved_watts, f"{measured.basis}{limited}; {modelled}")
    if power is None:
        return Miss("no-power", catalog.power.missing(offer) or "no power figure")
    return Estimate(power.watts - saved_watts, f"modelled, {used} ({said}); {power.basis}")


def _measured_power(request: Request, catalog: Catalog, offer: Offer, cpu_load: float) -> Estimate | None:
    """Return the node's measured draw, or that of its GPUs with the model's host; None where neither is."""
    measures = request.measured.on(offer.provider, offer.instance_type)
    if measures.watts is not None:
        return Estimate(measures.watts.mean, measures.watts.words("W"))
    gpus = measures.gpu_watts
    if gpus is None or offer.vcpus is None or offer.memory_gib is None:
        return None
    host = catalog.power.host(offer.provider)
    return Estimate(
        gpus.mean + host.watts(offer.vcpus, offer.memory_gib, cpu_load),
        f"GPUs {gpus.words('W')} ({gpus.mean:.4g} W); host modelled, {host.basis} at {cpu_load:.0%}",
    )


def _arrays(request: Request, horizon: Horizon, entries: Sequence[_Entry]) -> Estimates:
    nodes = request.nodes
    machines, places = [machine for _, machine, _ in entries], [place for _, _, place in entries]
    duration_s = np.array([machine.duration_s for machine in machines], dtype=np.int64)
    rows = np.array([place.row for place in places], dtype=np.int64)
    watts = _floats(machine.power.watts for machine in machines)
    pue = _floats(place.region.pue for place in places)
    hours = duration_s / HOUR_S
    best_start_s, best_mean, now_mean = windows(horizon, rows, duration_s)
    embodied_g_hour = _floats(machine.embodied_g_hour for machine in machines)
    price_usd_hour = _floats(offer.price_usd_hour for offer, _, _ in entries)
    is_first = np.array([machine.mode is None for machine in machines], dtype=bool)
    return Estimates(
        horizon=horizon,
        nodes=nodes,
        offers=tuple(offer for offer, _, _ in entries),
        regions=tuple(place.region for place in places),
        power=tuple(machine.power for machine in machines),
        modes=tuple(machine.mode for machine in machines),
        courses=(None,) * len(entries),
        offer_of=np.maximum.accumulate(np.where(is_first, np.arange(len(entries)), 0)),
        rows=rows,
        node_kw=watts * pue / 1000,
        price_usd_hour=price_usd_hour,
        embodied_g_hour=embodied_g_hour,
        duration_s=duration_s,
        energy_kwh=nodes * watts * pue / 1000 * hours,
        compute_usd=nodes * price_usd_hour * hours,
        transfer_usd=_floats(place.transfer.usd for place in places),
        embodied_g=nodes * embodied_g_hour * hours,
        transfer_g=_floats(place.transfer.gco2e_low for place in places),
        transfer_g_high=_floats(place.transfer.gco2e_high for place in places),
        best_start_s=best_start_s,
        best_mean=best_mean,
        now_mean=now_mean,
    )


def _floats(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64)


def windows(horizon: Horizon, rows: Ints, duration_s: Ints) -> tuple[Ints, Floats, Floats]:
    """Return the greenest start with its mean, and the mean of a start at once.

    They depend only on zone and duration: each duration is solved once, for all zones together.
    """
    best_start_s = np.full_like(duration_s, horizon.earliest_s)
    best_mean, now_mean = np.zeros(len(rows)), np.zeros(len(rows))
    for length in sorted(set(duration_s.tolist())):
        members = duration_s == length
        zones = rows[members]
        latest_s = max(horizon.latest_s(length), horizon.earliest_s)
        starts = breakpoint_starts(horizon.earliest_s, latest_s, length, horizon.step_s)
        means = window_means(horizon.intensity, starts, length, horizon.step_s)
        chosen = earliest_least(means, horizon.intensity)[zones]
        best_start_s[members] = starts[chosen]
        best_mean[members] = means[zones, chosen]
        now_mean[members] = means[zones, 0]
    return best_start_s, best_mean, now_mean
