"""The catalogue: what can be rented where, for how much, and what it draws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import cache

from harchos_infra.catalog import latency, transfer
from harchos_infra.catalog.availability import Availability, Limit
from harchos_infra.catalog.embodied import embodied_figures
from harchos_infra.catalog.offer import Market, Offer
from harchos_infra.catalog.power import GpuWatts, HostWatts, PowerModel
from harchos_infra.catalog.region import Region
from harchos_infra.catalog.table import FOLDER, read_rows, read_table
from harchos_infra.errors import HarchosError


class Catalog:
    """Regions, offers and the figures that go with them. Immutable."""

    transfer_energy_kwh_per_gb: tuple[float, float] = transfer.ENERGY_KWH_PER_GB

    def __init__(
        self,
        regions: Mapping[tuple[str, str], Region],
        offers: Sequence[Offer],
        power: PowerModel,
        embodied: Mapping[tuple[str, str], tuple[float, str]] | None = None,
        availability: Availability | None = None,
    ) -> None:
        """Put a catalogue together; `embodied` defaults to the package's figures."""
        self.regions = regions
        self.offers = offers
        self.power = power
        self._embodied = embodied
        self.availability = availability or Availability()
        """What clouds said of these offers when they were asked."""

    @classmethod
    def builtin(cls) -> Catalog:
        """Return the catalogue of the package's own data files."""
        return _builtin()

    def region(self, text: str) -> Region:
        """Return the region that `provider/name` or a bare name means, or say what it may have meant."""
        found = [r for r in self.regions.values() if text in (r.id, r.name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = " and ".join(r.id for r in found)
            raise HarchosError(f"region {text!r} is ambiguous: {names}", hint="write it with its provider")
        from difflib import get_close_matches

        near = get_close_matches(text, list(self._names()), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`harchos regions` lists them"
        raise HarchosError(f"unknown region {text!r}", hint=hint)

    def _names(self) -> Iterator[str]:
        for region in self.regions.values():
            yield region.id
            yield region.name

    def embodied_gco2e_hour(self, offer: Offer) -> tuple[float, str] | None:
        """Return (gCO2eq per hour of one node, basis); None where nobody has published a figure."""
        figures = embodied_figures() if self._embodied is None else self._embodied
        return figures.get((offer.provider, offer.instance_type))

    def egress_usd_per_gb(self, source: Region, target: Region) -> float | None:
        """Return the list price of a GB between two regions; None where none is known."""
        return transfer.egress_usd_per_gb(source, target)

    def throughput_gbps(self, source: Region, target: Region) -> float | None:
        """Return the measured Gbit/s between two regions, VM to VM; None where nobody measured it."""
        return transfer.throughput_gbps(source, target)

    def latency_ms(self, source: Region, target: Region) -> float | None:
        """Return the measured round trip between two regions; None where nobody measured it."""
        return latency.latency_ms(source, target)

    def with_availability(self, availability: Availability) -> Catalog:
        """Return a catalogue at the prices that clouds said, which knows what can be had."""
        offers = availability.priced(self.offers, self.regions)
        return Catalog(self.regions, offers, self.power, self._embodied, availability)

    def within(self, limits: Sequence[Limit]) -> Catalog:
        """Return a catalogue of which no more than that can be had, beside what clouds said."""
        return self._having(self.availability.within(limits)) if limits else self

    def without_quotas(self) -> Catalog:
        """Return a catalogue of which any number can be had."""
        return self._having(self.availability.without_quotas())

    def _having(self, availability: Availability) -> Catalog:
        other = copy(self)
        other.availability = availability
        return other

    def with_machine(
        self,
        region: Region,
        offer: Offer,
        *,
        gpu_watts: GpuWatts | None = None,
        host_watts: HostWatts | None = None,
    ) -> Catalog:
        """Return a catalogue that also has this machine, as provider `local`, region `local`."""
        return Catalog(
            {**self.regions, (region.provider, region.name): region},
            [*self.offers, offer],
            self.power.with_machine(gpu_watts, host_watts),
            self._embodied,
            self.availability,
        )

    def only(self, offers: Collection[tuple[str, str, str, str]]) -> Catalog:
        """Return a catalogue of these offers alone, named by provider, region, instance type and market."""
        other = copy(self)
        other.offers = tuple(offer for offer in self.offers if offer.key in offers)
        return other

    def without(self, offers: Collection[tuple[str, str, str, str]]) -> Catalog:
        """Return a catalogue that lacks some offers, named by provider, region, instance type and market.

        `*` stands for any.
        """
        kept = tuple(
            offer
            for offer in self.offers
            if not any(
                all(want in ("*", has) for want, has in zip(lost, offer.key, strict=True)) for lost in offers
            )
        )
        return Catalog(self.regions, kept, self.power, self._embodied, self.availability)

    def fingerprint(self) -> str:
        """Return a sha256 of everything a plan can read from this catalogue.

        The data files enter it by their own sha256, which the provenance file lists, and what clouds said by
        the text of its files.
        """
        from hashlib import sha256

        digest = sha256((FOLDER / "provenance.json").read_bytes() + self.availability.digest.encode())
        for offer in self.offers:
            if offer.provider == "local":
                region = self.regions[offer.provider, offer.region]
                machine = (offer, region, self.power.gpu(offer), self.power.host(offer.provider))
                digest.update(repr(machine).encode())
        return digest.hexdigest()

    def ages(self) -> dict[str, dict[str, str]]:
        """Return, for a plan's inputs, where each kind of figure is from and of which day."""
        ages = {
            f"{row['provider']} {row['market']} price": {"asOf": row["as_of"], "source": row["source"]}
            for row in read_table("price_sources.csv")
        }
        ages["egress price"] = {"asOf": "2023-04-27", "source": "skyplane-project/skyplane@4602d9c"}
        ages["throughput"] = {"asOf": "2022-02", "source": "skyplane-project/skyplane"}
        ages["latency"] = {"asOf": "2022-04-16", "source": "skyplane-project/skyplane"}
        return {**ages, **self.availability.ages()}


@cache
def _builtin() -> Catalog:
    return Catalog(_regions(), tuple(_offers()), PowerModel.builtin())


def _regions() -> dict[tuple[str, str], Region]:
    return {
        (row["provider"], row["region"]): Region(
            row["provider"],
            row["region"],
            row["display_name"],
            row["country"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["zone"] or None,
            float(row["pue"]),
            row["pue_basis"],
            row["zone_source"],
        )
        for row in read_table("regions.csv")
    }


def _offers() -> Iterator[Offer]:
    specs = {
        (row[0], row[1]): (row[2], float(row[3]), float(row[4]), float(row[5]), float(row[6]))
        for row in read_rows("instances.csv")
    }
    dated = {(row[0], row[1]): (row[2], row[3]) for row in read_rows("price_sources.csv")}
    on_demand: Market = "on-demand"
    spot: Market = "spot"
    for provider, region, instance, price, spot_price in read_rows("offers.csv"):
        spec = specs[provider, instance]
        yield Offer(provider, region, instance, on_demand, *spec, float(price), *dated[provider, on_demand])
        if spot_price:
            yield Offer(provider, region, instance, spot, *spec, float(spot_price), *dated[provider, spot])
