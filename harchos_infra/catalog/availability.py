"""Which offers can be had now, as far as clouds were asked: offered or not, and within which quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import Protocol

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.catalog.offer import Offer
from harchos_infra.catalog.refreshed import Refreshed
from harchos_infra.catalog.region import Region

Place = tuple[str, str]
"""Provider and region."""


class Limit(Protocol):
    """How much of something may be up at once, whoever says so."""

    @property
    def name(self) -> str:
        """What is limited, in words."""

    @property
    def code(self) -> str:
        """What a request to raise it names."""

    @property
    def unit(self) -> str:
        """What is counted."""

    @property
    def limit(self) -> float:
        """How many of them at most."""

    def limits(self, offer: Offer) -> bool:
        """Tell whether machines of an offer count towards it."""

    def need(self, offer: Offer, nodes: int) -> float:
        """Return how much of it a hub of that many nodes takes."""


class Availability:
    """What refreshed catalogues say of offers; without any, nothing is known of any offer."""

    def __init__(self, said: Sequence[tuple[Refreshed, str]] = ()) -> None:
        """Take what was read, each with the text of its file."""
        self._said = [refreshed for refreshed, _ in said]
        self.digest = sha256("".join(text for _, text in said).encode()).hexdigest() if said else ""
        """Of everything said; empty where nothing was."""
        self._asked: dict[Place, datetime] = {
            (one.provider, region): one.at for one in self._said for region in one.regions
        }
        self._live: dict[tuple[str, str, str, str], LiveOffer] = {
            (one.provider, o.region, o.instance_type, o.market): o for one in self._said for o in one.offers
        }
        self._quotas: dict[Place, list[Quota]] = {}
        for one in self._said:
            for quota in one.quotas:
                self._quotas.setdefault((one.provider, quota.region), []).append(quota)
        self._written: tuple[Limit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._said) or bool(self._written)

    def within(self, written: Sequence[Limit]) -> Availability:
        """Return what can be had within these limits, too."""
        narrower = copy(self)
        narrower._written = (*self._written, *written)
        return narrower

    def without_quotas(self) -> Availability:
        """Return what could be had if nothing limited how much."""
        wider = copy(self)
        wider._quotas, wider._written = {}, ()
        return wider

    def asked_at(self, offer: Offer) -> datetime | None:
        """Return when the cloud was asked about an offer's region; None: never."""
        return self._asked.get((offer.provider, offer.region))

    def is_offered(self, offer: Offer) -> bool | None:
        """Return whether the cloud offers it there; None where it was not asked."""
        return offer.key in self._live if self.asked_at(offer) else None

    def quotas(self, offer: Offer) -> Iterator[Quota]:
        """Yield the quotas that machines of the offer count towards."""
        return (q for q in self._quotas.get((offer.provider, offer.region), ()) if q.limits(offer))

    def short_of(self, offer: Offer, nodes: int, hubs: int = 1) -> Limit | None:
        """Return the first quota whose limit is below what so many hubs take, of `nodes` each.

        What is used now does not count.
        """
        written = (limit for limit in self._written if limit.limits(offer))
        limits: Iterator[Limit] = chain(self.quotas(offer), written)
        return next((q for q in limits if q.limit < hubs * q.need(offer, nodes)), None)

    def priced(self, offers: Sequence[Offer], regions: Mapping[Place, Region]) -> Sequence[Offer]:
        """Return the offers at the prices said, and after them what the tables lack of known machines."""
        if not self._said:
            return offers
        known = [self._at_price(offer) for offer in offers]
        machines = {(offer.provider, offer.instance_type): offer for offer in offers}
        keys = {offer.key for offer in offers}
        added = []
        for key in sorted(self._live.keys() - keys):
            provider, region, instance_type, _ = key
            live, machine = self._live[key], machines.get((provider, instance_type))
            if machine and live.price_usd_hour is not None and (provider, region) in regions:
                moved = replace(machine, region=region, market=live.market)
                added.append(_at(moved, live, live.price_usd_hour))
        return [*known, *added]

    def ages(self) -> dict[str, dict[str, str]]:
        """Return, for a plan's inputs, what was refreshed when."""
        return {
            f"{one.provider} prices, offerings and quotas of {len(one.regions)} regions": {
                "asOf": f"{one.at:%Y-%m-%dT%H:%M:%SZ}",
                "source": "harchos catalog refresh",
            }
            for one in self._said
        }

    def _at_price(self, offer: Offer) -> Offer:
        live = self._live.get(offer.key)
        return offer if live is None or live.price_usd_hour is None else _at(offer, live, live.price_usd_hour)


def _at(offer: Offer, live: LiveOffer, price_usd_hour: float) -> Offer:
    return replace(
        offer,
        price_usd_hour=price_usd_hour,
        price_as_of=f"{live.as_of:%Y-%m-%d}",
        price_source=live.source,
    )
