"""What an hour of a node costs in each zone: the catalogue's cheapest on-demand offer of one GPU model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.catalog import Catalog, Offer
from harchos_infra.catalog.gpu import matches, suggest
from harchos_infra.catalog.transfer import GB_PER_GIB
from harchos_infra.errors import HarchosError
from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prices:
    """By row of the series: USD per node and hour (NaN: no offer), and the offer; USD per GB between rows."""

    gpu: str
    usd_hour: Floats
    offers: tuple[Offer | None, ...]
    egress_usd_gb: Floats

    @classmethod
    def of(cls, gpu: str, series: Series, catalog: Catalog) -> Prices:
        """Look the model up in the regions of each zone; raise HarchosError where none of them offers it."""
        cheapest: dict[str, Offer] = {}
        for offer in catalog.offers:
            zone = catalog.regions[offer.provider, offer.region].zone
            wanted = offer.market == "on-demand" and matches(gpu, offer.gpu_model or "")
            if wanted and zone in series.zones:
                known = cheapest.get(zone)
                if known is None or _order(offer) < _order(known):
                    cheapest[zone] = offer
        if not cheapest:
            near = suggest(gpu)
            raise HarchosError(
                f"no zone of the signal has an on-demand offer of a GPU {gpu!r}",
                hint=f"did you mean {' or '.join(near)}?" if near else "`harchos offers` lists them",
            )
        offers = tuple(cheapest.get(zone) for zone in series.zones)
        usd = np.array([offer.price_usd_hour if offer else np.nan for offer in offers])
        return cls(gpu, usd, offers, _egress(catalog, offers))

    def check_homes(self, jobs: Jobs, series: Series, path: str) -> None:
        """Raise HarchosError for the first job whose home has no offer: running now there has no price."""
        without = np.flatnonzero(np.isnan(self.usd_hour[jobs.home]))
        if len(without):
            job = int(without[0])
            raise HarchosError(
                f"{path}:{jobs.lines[job]}: home_zone: no on-demand offer of {self.gpu} in "
                f"{series.zones[jobs.home[job]]}",
                hint="leave --gpu out to simulate without prices",
            )

    def usd(self, jobs: Jobs, spans: Spans) -> Floats:
        """Return the USD of each job: node-hours and egress; NaN where an egress price is not known."""
        hours = (spans.end_s - spans.start_s) / HOUR_S
        paid = jobs.nodes[spans.job] * hours * self.usd_hour[spans.zone]
        first = np.concatenate([[True], spans.job[1:] != spans.job[:-1]])
        came_from = np.where(first, jobs.home[spans.job], np.roll(spans.zone, 1))
        gb = jobs.state_gib[spans.job] * GB_PER_GIB
        moved = np.where(gb > 0, gb * self.egress_usd_gb[came_from, spans.zone], 0.0)
        return np.bincount(spans.job, weights=paid + moved, minlength=len(jobs)).astype(np.float64)


def _order(offer: Offer) -> tuple[float, str, str, str]:
    return offer.price_usd_hour, offer.provider, offer.region, offer.instance_type


def _egress(catalog: Catalog, offers: tuple[Offer | None, ...]) -> Floats:
    """Return USD per GB between the regions of the offers; NaN where there is none, or no price."""
    egress = np.full((len(offers), len(offers)), np.nan)
    regions = {row: catalog.regions[o.provider, o.region] for row, o in enumerate(offers) if o is not None}
    for source, here in regions.items():
        for target, there in regions.items():
            price = catalog.egress_usd_per_gb(here, there)
            egress[source, target] = 0.0 if source == target else np.nan if price is None else price
    return egress
