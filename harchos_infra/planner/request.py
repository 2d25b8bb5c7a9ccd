"""What a workload asks of a plan made now: its times, names and durations, resolved against a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING

from harchos_infra.catalog import Catalog, GpuWatts, Offer, Region
from harchos_infra.catalog.gpu import matches, suggest
from harchos_infra.catalog.transfer import GB_PER_GIB
from harchos_infra.errors import HarchosError
from harchos_infra.planner.measured import Calibration, Machine, Measured
from harchos_infra.workload.document import PowerMode, Scaling, Spec, Workload
from harchos_infra.workload.without_effect import SERVICES, pauses, scales
from harchos_infra.workload.work import work_sha256

if TYPE_CHECKING:
    from harchos_infra.planner.fit import Misses
    from harchos_infra.policy.loader import LoadedPolicy

CLOUDS = frozenset({"aws", "gcp", "azure"})
ASSUMED_RESTART_S = 300
"""From the start of a hub until the job goes on, where `checkpoint.restart` is not given."""


@dataclass(frozen=True, slots=True)
class Request:
    """A workload's wishes as the planner reads them. Times are whole seconds in UTC.

    Without a deadline nothing is deferred: the only start is `earliest`. A service (`inference`, `dev`) runs
    for its `ttl`.
    """

    spec: Spec
    now: datetime
    earliest: datetime
    deadline: datetime | None
    providers: frozenset[str]
    region_ids: frozenset[str] | None
    """None: any region."""
    markets: frozenset[str]
    latency_from: Region | None
    home: Region | None
    data: tuple[tuple[Region, float], ...]
    """Where data lies and how many GB of it are read."""
    unknown: tuple[tuple[str, str], ...]
    """(constraint, sentence) for each name that means nothing, with what it may have meant."""
    untold: tuple[str, ...]
    """Data sets whose region or size is not given, so that their transfer cannot be counted."""
    measured: Measured
    """What earlier runs of this very work took, by machine."""
    policy: LoadedPolicy | None = None
    """What the plan must keep to beside the workload's own wishes."""
    refused: Misses = ()
    """What the policy forbids of the workload itself, wherever it runs."""

    @classmethod
    def of(
        cls,
        workload: Workload,
        catalog: Catalog,
        now: datetime,
        measured: Calibration | None = None,
        policy: LoadedPolicy | None = None,
    ) -> Request:
        """Resolve a workload against `catalog` at `now` (aware; fractions of a second are dropped)."""
        spec, place = workload.spec, workload.spec.placement
        now = now.replace(microsecond=0)
        names = _Names(catalog)
        deadline = spec.deadline
        if isinstance(deadline, (int, float)):
            deadline = now + timedelta(seconds=round(deadline * 3600))
        home = next((d.region for d in spec.data if d.region), None) or ""
        return cls(
            spec=spec,
            now=now,
            earliest=max(now, _whole_second(spec.earliest_start)) if spec.earliest_start else now,
            deadline=deadline.replace(microsecond=0) if deadline else None,
            providers=frozenset(place.providers) or CLOUDS,
            region_ids=names.regions(place.regions) if place.regions else None,
            markets=frozenset({"on-demand", "spot"} if place.market == "any" else {place.market}),
            latency_from=names.region("latency", place.latency_from),
            home=names.region("home", place.home_region or home),
            data=tuple(names.data(spec)),
            unknown=(*names.unknown, *_unknown_gpus(spec, catalog), *_unknown_countries(spec, catalog)),
            untold=tuple(
                f"{d.uri}: its transfer is not counted, because its {what} is not given"
                for d in spec.data
                for what in [
                    " and ".join(w for w, v in (("region", d.region), ("sizeGiB", d.size_gib)) if v is None)
                ]
                if what
            ),
            measured=measured.of(workload.metadata.name, work_sha256(workload))
            if measured and measured.entries
            else Measured(),
            policy=policy,
            refused=_refused(policy, workload),
        )

    @property
    def max_cost_usd(self) -> float:
        """USD at most, by the workload's budget and the policy; inf where neither says."""
        rules = self.policy.rules if self.policy else None
        limits = self.spec.budget.max_cost_usd, rules.max_cost_usd if rules else None
        return min((limit for limit in limits if limit is not None), default=inf)

    @property
    def max_carbon_g(self) -> float:
        """gCO2e at most, likewise."""
        rules = self.policy.rules if self.policy else None
        limits = self.spec.budget.max_carbon_kg, rules.max_carbon_kg if rules else None
        return min((limit * 1000 for limit in limits if limit is not None), default=inf)

    @property
    def nodes(self) -> int:
        """Machines rented at once; the fewest, where their number may change."""
        return self.spec.replicas if self.scaling is None else self.scaling.min_nodes

    @property
    def hubs(self) -> int:
        """Hubs that these machines are: of a queue each is one, else all of them are."""
        return 1 if self.spec.items is None else self.nodes

    @property
    def scaling(self) -> Scaling | None:
        """How the node count may change; None where it may not, or nothing is known of other counts."""
        return self.spec.scaling if scales(self.spec) else None

    @property
    def may_pause(self) -> bool:
        """Whether the job may be paused; without a deadline there is nothing to wait for."""
        return pauses(self.spec) and self.deadline is not None

    @property
    def save_s(self) -> int:
        """Seconds from the wish to stop until the checkpoint is safe."""
        checkpoint = self.spec.checkpoint
        return round(checkpoint.grace_h * 3600) if checkpoint else 0

    @property
    def restart_s(self) -> int:
        """Seconds from the start of a hub until a job goes on from its checkpoint."""
        checkpoint = self.spec.checkpoint
        hours = checkpoint.restart_h if checkpoint else None
        return ASSUMED_RESTART_S if hours is None else round(hours * 3600)

    def power_modes(self, gpu_model: str | None, watts: GpuWatts | None) -> tuple[PowerMode, ...]:
        """Return the power modes that limit a GPU model below its maximum, in the order of the document."""
        gpu = self.spec.resources.gpu
        if gpu is None or not gpu.power_modes or watts is None or watts.maximum is None:
            return ()
        return tuple(
            mode
            for mode in gpu.power_modes
            if (watts.idle or 0.0) < mode.watts < watts.maximum
            and (mode.type is None or matches(mode.type, gpu_model or ""))
        )

    def longest_s(self, offer: Offer) -> int:
        """Return for how long an offer is taken in its slowest power mode; 1 where nobody knows."""
        gpu = self.spec.resources.gpu
        modes = (None, *(gpu.power_modes if gpu else ()))
        return max(self.reserved_s(offer, mode) or 1 for mode in modes)

    def durations_s(self) -> set[int]:
        """Return every run time that the workload gives, in whole seconds."""
        models = (None, *(self.spec.duration.by_gpu if self.spec.duration else ()))
        return {seconds for seconds in map(self.duration_s, models) if seconds is not None}

    def duration_s(self, gpu_model: str | None, mode: PowerMode | None = None) -> int | None:
        """Return the estimated run time on a GPU model in whole seconds; None where none is given.

        Of several keys of `byGpu` that name the model, the longest counts. A power mode makes it longer.
        """
        spec = self.spec
        if spec.type in SERVICES and spec.ttl_h is not None:
            return max(round(spec.ttl_h * 3600), 1)
        if spec.duration is None:
            return None
        named = [key for key in spec.duration.by_gpu if matches(key, gpu_model or "")]
        hours = spec.duration.by_gpu[max(named, key=len)] if named else spec.duration.default
        if hours is None:
            return None
        return max(round(hours * 3600 / (mode.throughput if mode else 1.0)), 1)

    def reserved_s(self, offer: Offer, mode: PowerMode | None = None) -> int | None:
        """Return for how many whole seconds an offer is taken: as measured, else `duration_s`.

        Runs are measured without a limit; a power mode makes their time longer by its throughput.
        """
        return self.measured.reserved_s(
            Machine(offer.provider, offer.instance_type),
            self.duration_s(offer.gpu_model, mode),
            throughput=mode.throughput if mode else 1.0,
            service=self.spec.type in SERVICES and self.spec.ttl_h is not None,
        )


class _Names:
    """Resolves names of regions and gathers those that mean nothing."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.unknown: list[tuple[str, str]] = []

    def region(self, constraint: str, text: str | None) -> Region | None:
        if not text:
            return None
        try:
            return self._catalog.region(text)
        except HarchosError as error:
            self.unknown.append((constraint, f"{error.what}: {error.hint}" if error.hint else error.what))
            return None

    def regions(self, texts: tuple[str, ...]) -> frozenset[str]:
        found: set[str] = set()
        for text in texts:
            named = {r.id for r in self._catalog.regions.values() if text in (r.id, r.name)}
            if not named:
                self.region("region", text)
            found |= named
        return frozenset(found)

    def data(self, spec: Spec) -> Iterator[tuple[Region, float]]:
        for data in spec.data:
            region = self.region("data-region", data.region)
            if region is not None and data.size_gib:
                yield region, data.size_gib * GB_PER_GIB


def _refused(policy: LoadedPolicy | None, workload: Workload) -> Misses:
    if policy is None:
        return ()
    from harchos_infra.planner.policing import of_workload

    return tuple(of_workload(policy, workload))


def _unknown_gpus(spec: Spec, catalog: Catalog) -> Iterator[tuple[str, str]]:
    wanted = spec.resources.gpu.type if spec.resources.gpu else ()
    models = sorted({offer.gpu_model for offer in catalog.offers if offer.gpu_model}) if wanted else []
    for name in wanted:
        if not any(matches(name, model) for model in models):
            near = suggest(name)
            hint = f"did you mean {' or '.join(near)}?" if near else "`harchos offers` lists them"
            yield "gpu-model", f"no offer has a GPU {name!r}: {hint}"


def _unknown_countries(spec: Spec, catalog: Catalog) -> Iterator[tuple[str, str]]:
    known = {region.country for region in catalog.regions.values()} if spec.placement.countries else set()
    for country in spec.placement.countries:
        if country not in known:
            yield "country", f"no region lies in {country!r}: known are {', '.join(sorted(known))}"


def _whole_second(moment: datetime) -> datetime:
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)
