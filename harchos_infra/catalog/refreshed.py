"""What a cloud said when the catalogue was last refreshed: `harchos.catalog/1`, a file a cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harchos_infra.catalog.live import LiveOffer, Quota
from harchos_infra.errors import HarchosError

SCHEMA = "harchos.catalog/1"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Offers and quotas of the regions asked, as one account sees them; of others nothing is known."""

    provider: str
    account: str
    at: datetime
    regions: tuple[str, ...]
    offers: tuple[LiveOffer, ...]
    quotas: tuple[Quota, ...]

    def dumps(self) -> str:
        """Return the file's text."""
        document = {
            "schema": SCHEMA,
            "provider": self.provider,
            "account": self.account,
            "at": _text(self.at),
            "regions": {
                region: {
                    "offers": [_offer_document(o) for o in self.offers if o.region == region],
                    "quotas": [_quota_document(q) for q in self.quotas if q.region == region],
                }
                for region in self.regions
            },
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> Refreshed:
        """Read a file's text; ValueError, KeyError or TypeError where it is none of ours."""
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}, not {SCHEMA!r}")
        regions = document["regions"]
        return cls(
            document["provider"],
            document["account"],
            datetime.fromisoformat(document["at"]),
            tuple(regions),
            tuple(_offer(name, row) for name, said in regions.items() for row in said["offers"]),
            tuple(_quota(name, row) for name, said in regions.items() for row in said["quotas"]),
        )


def read_refreshed(folder: Path) -> tuple[tuple[Refreshed, str], ...]:
    """Return what each cloud said, with the file's text; empty where nothing was refreshed."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            text = path.read_text(encoding="utf-8")
            found.append((Refreshed.loads(text), text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HarchosError(
                f"{path}: not a refreshed catalogue: {error}",
                hint=f"harchos catalog refresh --provider {path.stem}, or remove the file",
            ) from error
    return tuple(found)


def _offer_document(offer: LiveOffer) -> dict[str, Any]:
    return {
        "instanceType": offer.instance_type,
        "market": offer.market,
        "priceUsdHour": offer.price_usd_hour,
        "availabilityZones": list(offer.availability_zones),
        "asOf": _text(offer.as_of),
        "source": offer.source,
    }


def _offer(region: str, row: Mapping[str, Any]) -> LiveOffer:
    return LiveOffer(
        region,
        row["instanceType"],
        row["market"],
        row["priceUsdHour"],
        tuple(row["availabilityZones"]),
        datetime.fromisoformat(row["asOf"]),
        row["source"],
    )


def _quota_document(quota: Quota) -> dict[str, Any]:
    return {
        "name": quota.name,
        "code": quota.code,
        "covers": list(quota.covers),
        "market": quota.market,
        "unit": quota.unit,
        "limit": quota.limit,
        "used": quota.used,
        **({"everywhere": True} if quota.everywhere else {}),
    }


def _quota(region: str, row: Mapping[str, Any]) -> Quota:
    return Quota(
        region,
        row["name"],
        row["code"],
        tuple(row["covers"]),
        row["market"],
        row["unit"],
        row["limit"],
        row["used"],
        row.get("everywhere", False),
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
