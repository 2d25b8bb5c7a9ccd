"""The derived data files hold what the collected data says they hold."""

import csv
import hashlib
import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

import harchos_infra
from harchos_infra.catalog import Catalog
from harchos_infra.grid.replay import builtin_replay

PACKAGE = Path(harchos_infra.__file__).parent
CATALOG = Catalog.builtin()
SIGNAL = builtin_replay()


def test_every_public_region_of_three_clouds_is_there():
    assert Counter(provider for provider, _ in CATALOG.regions) == {"aws": 34, "gcp": 43, "azure": 60}


def test_118_regions_have_an_hourly_trace_and_every_other_a_yearly_average():
    zones = [SIGNAL.zone(region.zone) for region in CATALOG.regions.values() if region.zone]
    assert len(zones) == 137
    assert sum(zone.trace_row is not None for zone in zones) == 118
    assert all(zone.newest() is not None for zone in zones)


def test_every_region_says_where_its_zone_comes_from():
    for region in CATALOG.regions.values():
        assert region.zone_source == "GSF real-time-cloud" or region.zone_source.startswith("HarchOS"), (
            region.id
        )
        assert region.country == region.zone[:2]


@pytest.mark.parametrize(
    ("region", "zone", "wrong"),
    [
        ("gcp/me-central1", "QA", "AE"),
        ("azure/westus", "US-CAL-CISO", "US-NW-BPAT"),
        ("azure/northcentralus", "US-MIDA-PJM", "US-MIDW-MISO"),
    ],
)
def test_a_published_zone_in_another_place_is_replaced_and_the_reason_given(region, zone, wrong):
    found = CATALOG.region(region)
    assert found.zone == zone
    assert found.zone_source.startswith(f"HarchOS in place of GSF's {wrong}: ")


def test_60_regions_have_a_pue_of_their_own():
    published = [r for r in CATALOG.regions.values() if r.pue_basis.startswith("published")]
    assert Counter(r.provider for r in published) == {"aws": 21, "azure": 26, "gcp": 13}
    assert all("fleet average" in r.pue_basis for r in CATALOG.regions.values() if r not in published)
    assert all(1.0 < r.pue < 2.0 for r in CATALOG.regions.values())


def test_offers_are_the_newest_lists_and_the_last_public_spot_prices():
    counted = Counter((offer.provider, offer.market, offer.price_as_of) for offer in CATALOG.offers)
    assert counted == {
        ("aws", "on-demand", "2026-01-21"): 787,
        ("aws", "spot", "2024-02-21"): 443,
        ("azure", "on-demand", "2026-06-18"): 833,  # 859 without the 26 of Jio
        ("azure", "spot", "2023-12-08"): 174,
        ("gcp", "on-demand", "2026-08-03"): 384,
        ("gcp", "spot", "2026-08-03"): 384,
    }


def test_every_offer_is_in_a_known_region_with_a_price_a_day_and_a_source():
    for offer in CATALOG.offers:
        assert (offer.provider, offer.region) in CATALOG.regions
        assert offer.price_usd_hour > 0
        assert date.fromisoformat(offer.price_as_of) < date(2026, 11, 23)
        assert "@" in offer.price_source


def test_no_spot_price_is_above_on_demand_and_the_three_left_out_are_named():
    prices = {(o.provider, o.region, o.instance_type, o.market): o.price_usd_hour for o in CATALOG.offers}
    for (*place, market), price in prices.items():
        if market == "spot":
            assert price <= prices[*place, "on-demand"]
    left_out = json.loads((PACKAGE / "catalog/data/provenance.json").read_text())["spot_left_out"]
    assert [line.split(":")[0] for line in left_out] == [
        f"aws/{region}/p5.48xlarge" for region in ("us-east-1", "us-east-2", "us-west-2")
    ]


def test_each_offer_appears_once():
    keys = Counter((o.provider, o.region, o.instance_type, o.market) for o in CATALOG.offers)
    assert max(keys.values()) == 1


@pytest.mark.parametrize("room", ["catalog", "grid"])
def test_provenance_names_source_licence_and_checksum_of_every_file(room):
    folder = PACKAGE / room / "data"
    entries = {
        entry["file"]: entry for entry in json.loads((folder / "provenance.json").read_text())["files"]
    }
    assert set(entries) == {path.name for path in folder.iterdir() if path.suffix in (".csv", ".npy")}
    for name, entry in entries.items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest(), name
        assert entry["source"] and entry["licence"] and entry["transformation"]
        assert entry["collected"] == "2026-11-23"


def test_licence_notices_lie_beside_the_data_and_all_of_it_is_small():
    notices = {
        path.name for room in ("catalog", "grid") for path in (PACKAGE / room / "data").glob("LICENSE*")
    }
    assert notices == {"LICENSE-ODbL", "LICENSE-CC-BY-SA-4.0", "LICENSE-NOTICES"}
    files = [path for room in ("catalog", "grid") for path in (PACKAGE / room / "data").iterdir()]
    assert sum(path.stat().st_size for path in files) < 4_000_000


def test_embodied_carbon_is_given_only_where_someone_published_it():
    known = {o.gpu_model for o in CATALOG.offers if CATALOG.embodied_gco2e_hour(o)}
    unknown = {o.gpu_model for o in CATALOG.offers if not CATALOG.embodied_gco2e_hour(o)}
    assert {"A100-40GB", "A100-80GB", "H100-SXM", "V100-16GB"} <= known
    assert {"H200", "B200", "L4", "L40S", "MI300X", "A10G", "H100-NVL"} <= unknown - known


def test_an_hour_of_a_p4d_carries_its_share_of_four_years():
    p4d = next(o for o in CATALOG.offers if o.instance_type == "p4d.24xlarge")
    grams, basis = CATALOG.embodied_gco2e_hour(p4d)
    assert grams == pytest.approx(4676.79 * 1000 / 35_040, abs=1e-3)
    assert "CCF" in basis


def test_a_part_of_a_host_carries_a_part_of_it():
    by_type = {o.instance_type: CATALOG.embodied_gco2e_hour(o) for o in CATALOG.offers}
    assert by_type["p3.2xlarge"][0] == pytest.approx(by_type["p3.16xlarge"][0] / 8, abs=1e-3)
    assert by_type["g3s.xlarge"][0] < by_type["g3.4xlarge"][0] < by_type["g3.16xlarge"][0]


def test_instance_specifications_are_whole():
    with (PACKAGE / "catalog/data/instances.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 134
    assert all(all(row.values()) for row in rows)
