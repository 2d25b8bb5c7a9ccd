"""Derive the small data files that ship in the package from the collected public data.

Usage: python scripts/build_data.py [--source ../shared/data]

The same source gives the same bytes. docs/data.md says what each figure is; `provenance.json` beside the
files says from which repository and commit, how it was transformed and under which licence it stands.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import statistics
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
CATALOG = REPOSITORY / "harchos_infra" / "catalog" / "data"
GRID = REPOSITORY / "harchos_infra" / "grid" / "data"
SOURCES = Path(__file__).resolve().parent / "data_sources.toml"
ASSIGNMENTS = Path(__file__).resolve().parent / "zone_assignments.csv"
COLLECTED = "2026-11-23"
YEARS = (2021, 2022, 2023, 2024, 2025)
HOURS_2022 = 8760
GIB_IN_GB = 1.073741824
SERVER_LIFE_H = 35_040

# Choices among published figures; docs/data.md gives the reasons.
FLEET_PUE = {"aws": (1.14, "AWS, 2025"), "gcp": (1.1, "GCP, CCF"), "azure": (1.185, "Azure, CCF")}
MEMORY_KWH_PER_GB_HOUR = 0.000392  # CCF
CCF_KG_PER_CARD = 150  # how CCF's host figures count their GPUs
# AWS lists the memory a GPU leaves free, the other clouds the size it is sold with: one column, one meaning.
MARKETED_GIB = {"A10G": "24", "L4": "24", "L40S": "48"}
# One K80 or M60 card carries two of the GPUs that clouds count.
GPUS_ON_A_CARD = {"K80": 2, "M60": 2}
# Azure's NC series carries the PCIe cards: (model in the price list, instance prefix, card).
CARDS = (
    ("A100-80GB", "Standard_NC", "A100-PCIe-80GB"),
    ("V100-16GB", "Standard_NC", "V100-PCIe-16GB"),
)
# Upstream marks no row of it as preferred, and its last row agrees with the vendor.
CARDS_WITHOUT_PREFERENCE = ("V100-PCIe-16GB",)

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([number(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)


def number(value: float) -> str:
    return f"{value:.10g}"


# --- grid -------------------------------------------------------------------------------------------------


def build_grid(source: Path) -> set[str]:
    """Write `traces_2022.npy` and `zones.csv`; return every zone that has a figure."""
    traces = {path.name.removesuffix(".csv.gz"): trace(path) for path in trace_files(source)}
    names: dict[str, str] = {}
    annual: dict[str, dict[int, str]] = defaultdict(dict)
    for row in read(source / "regions/em_zone_annual.csv"):
        names[row["zone"]] = row["zone_name"]
        annual[row["zone"]][int(row["year"])] = row["gco2_per_kwh"]
    table = np.stack([traces[zone] for zone in sorted(traces)])
    np.save(GRID / "traces_2022.npy", table)
    index = {zone: row for row, zone in enumerate(sorted(traces))}
    rows = [
        (
            zone,
            names.get(zone, zone),
            index.get(zone, ""),
            float(table[index[zone]].mean() / 10) if zone in index else "",
            *(annual[zone].get(year, "") for year in YEARS),
            int(zone not in index or table[index[zone]].min() == table[index[zone]].max()),
        )
        for zone in sorted(traces.keys() | names.keys())
    ]
    header = ("zone", "name", "trace_row", "trace_mean", *(f"y{year}" for year in YEARS), "flat")
    write(GRID / "zones.csv", header, rows)
    return {str(row[0]) for row in rows}


def trace_files(source: Path) -> list[Path]:
    return sorted((source / "carbon/em_lifecycle_2022").glob("*.csv.gz"))


def trace(path: Path) -> np.ndarray:
    """One year of hourly intensity in tenths of a gram."""
    rows = read(path)
    if len(rows) != HOURS_2022 or rows[0]["timestamp"] != "2022-01-01T00:00:00Z":
        raise SystemExit(f"{path}: {HOURS_2022} hours of 2022 were expected")
    tenths = np.rint(np.array([float(row["gco2_per_kwh"]) for row in rows]) * 10)
    if not (tenths >= 0).all() or not (tenths <= np.iinfo(np.uint16).max).all():
        raise SystemExit(f"{path}: a value does not fit uint16 tenths of a gram")
    return tenths.astype(np.uint16)


# --- regions ----------------------------------------------------------------------------------------------


def build_regions(source: Path, zones: set[str]) -> list[Row]:
    """Write `regions.csv` from the permissively licensed zone and coordinate columns."""
    regions = read(source / "regions/cloud_regions.csv")
    assigned = {(row["provider"], row["region"]): row for row in read(ASSIGNMENTS)}
    rows = []
    for region in regions:
        zone, origin = zone_of(region, assigned.pop((region["provider"], region["region"]), None))
        if zone and zone not in zones:
            raise SystemExit(f"{region['provider']}/{region['region']}: zone {zone} has no figure")
        pue, basis = pue_of(region)
        rows.append(
            (
                region["provider"],
                region["region"],
                region["display_name"],
                zone[:2],
                float(region["alt_latitude"]),
                float(region["alt_longitude"]),
                zone,
                origin,
                pue,
                basis,
            )
        )
    if assigned:
        raise SystemExit(f"{ASSIGNMENTS}: no such region: {sorted(assigned)}")
    header = "provider region display_name country latitude longitude zone zone_source pue pue_basis"
    write(CATALOG / "regions.csv", header.split(), sorted(rows))
    return regions


def zone_of(region: Row, assignment: Row | None) -> tuple[str, str]:
    published = region["gsf_em_zone"]
    if assignment is None:
        return published, "GSF real-time-cloud" if published else ""
    if published != assignment["replaces"]:
        raise SystemExit(f"{ASSIGNMENTS}: {region['region']}: GSF names {published or 'no zone'}")
    origin = f"HarchOS in place of GSF's {published}" if published else "HarchOS from the coordinates"
    return assignment["zone"], f"{origin}: {assignment['reason']}"


def pue_of(region: Row) -> tuple[float, str]:
    if region["pue"]:
        return float(region["pue"]), f"published {region['pue_year']} (GSF)"
    value, origin = FLEET_PUE[region["provider"]]
    return value, f"provider fleet average ({origin})"


# --- offers -----------------------------------------------------------------------------------------------


def build_offers(source: Path, regions: list[Row]) -> tuple[list[Row], list[str]]:
    """Write `instances.csv`, `offers.csv` and `price_sources.csv`; return offers and what was left out."""
    known = {(row["provider"], row["region"]) for row in regions}
    listed = [
        row
        for row in read(source / "gpu/gpu_catalog_2026.csv.gz")
        if (row["provider"], row["region"]) in known
    ]
    zonal = read(source / "gpu/gpu_catalog_2024_zonal_spot.csv.gz")
    old_spot = zonal_spot(zonal)
    rows, left_out = [], []
    for row in sorted(listed, key=lambda r: (r["provider"], r["region"], r["instance_type"])):
        key = (row["provider"], row["region"], row["instance_type"])
        price = float(row["price_usd_hour"])
        spot = float(row["spot_price_usd_hour"]) if row["spot_price_usd_hour"] else old_spot.get(key)
        if spot is not None and spot > price:
            left_out.append(f"{'/'.join(key)}: spot {spot:g} above on-demand {price:g}")
            spot = None
        rows.append((*key, price, "" if spot is None else spot))
    header = ("provider", "region", "instance_type", "on_demand_usd_hour", "spot_usd_hour")
    write(CATALOG / "offers.csv", header, rows)
    build_instances(listed)
    dated = {(row["provider"], "on-demand", row["as_of"], row["source"]) for row in listed}
    dated |= {
        (row["provider"], "spot", row["as_of"], row["source"]) for row in listed if row["spot_price_usd_hour"]
    }
    dated |= {
        (row["provider"], "spot", row["as_of"], row["source"]) for row in zonal if row["provider"] != "gcp"
    }
    write(CATALOG / "price_sources.csv", ("provider", "market", "as_of", "source"), sorted(dated))
    return listed, left_out


def zonal_spot(zonal: list[Row]) -> dict[tuple[str, str, str], float]:
    """AWS's and Azure's last public spot prices, median over a region's zones; upstream's 0 is none."""
    prices = defaultdict(list)
    for row in zonal:
        if row["provider"] != "gcp" and float(row["spot_price_usd_hour"] or 0) > 0:
            key = (row["provider"], row["region"], row["instance_type"])
            prices[key].append(float(row["spot_price_usd_hour"]))
    return {key: statistics.median(values) for key, values in prices.items()}


def build_instances(listed: list[Row]) -> None:
    columns = ("provider", "instance_type", "gpu_model", "gpu_count", "gpu_memory_gib", "vcpus", "memory_gib")
    specs = {
        tuple(
            MARKETED_GIB.get(row["gpu_model"], row[column]) if column == "gpu_memory_gib" else row[column]
            for column in columns
        )
        for row in listed
    }
    if any(count > 1 for count in Counter(spec[:2] for spec in specs).values()):
        raise SystemExit("an instance type has two specifications")
    write(CATALOG / "instances.csv", columns, sorted(specs))


# --- power and embodied carbon ----------------------------------------------------------------------------


def build_power(source: Path, listed: list[Row]) -> None:
    """Write `gpu_watts.csv` and `host_watts.csv`."""
    published = read(source / "power/gpu_power.csv")
    ratio = idle_ratio(published)
    rows = [
        (model, "", *gpu_watts(model, model, published, ratio))
        for model in sorted({row["gpu_model"] for row in listed})
    ]
    rows += [(model, prefix, *gpu_watts(model, card, published, ratio)) for model, prefix, card in CARDS]
    header = ("gpu_model", "instance_prefix", "idle_watts", "max_watts", "basis")
    write(CATALOG / "gpu_watts.csv", header, sorted(rows))
    build_host_watts(source)


def idle_ratio(published: list[Row]) -> float:
    """CCF's idle watts over the TDP, median of the models that have both."""
    tdp = {row["gpu_model"]: float(row["tdp_watts"]) for row in published if row["preferred"] == "1"}
    idle = {row["gpu_model"]: float(row["idle_watts"]) for row in published if row["idle_watts"]}
    return statistics.median(idle[model] / tdp[model] for model in tdp.keys() & idle.keys())


def gpu_watts(
    model: str, card: str, published: list[Row], ratio: float
) -> tuple[float | str, float | str, str]:
    """Idle and maximal watts of one GPU of `model`, which sits on `card`, and what they rest on."""
    rated = [r for r in published if r["gpu_model"] == card and r["tdp_watts"]]
    rated = [r for r in rated if r["preferred"] == "1" or card in CARDS_WITHOUT_PREFERENCE]
    modelled = [row for row in published if row["gpu_model"] == card and row["idle_watts"]]
    if not rated and not modelled:
        return "", "", "no published board power with a usable source"
    if rated:
        highest = float(rated[-1]["tdp_watts"])
        basis = f"TDP {highest:g} W ({rated[-1]['source'].split()[0]})"
    else:
        highest = float(modelled[0]["max_watts"])
        basis = f"maximum {highest:g} W (CCF, from the CPU ratio)"
    if modelled:
        idle = float(modelled[0]["idle_watts"])
        basis += f", idle {idle:g} W (CCF)"
    else:
        idle = ratio * highest
        basis += f", idle at CCF's ratio {ratio:.3f}"
    if share := GPUS_ON_A_CARD.get(model):
        idle, highest, basis = idle / share, highest / share, f"{basis}, a card of {share} GPUs"
    return round(idle, 2), round(highest, 2), basis


def build_host_watts(source: Path) -> None:
    """CCF's watts per vCPU, the median over a provider's microarchitectures: which one is below a GPU host
    is not in the price lists."""
    cpus = read(source / "power/cpu_watts_per_vcpu.csv")
    rows = []
    for provider in ("aws", "azure", "gcp", "any"):
        mine = [row for row in cpus if provider in (row["provider"], "any")]
        idle = statistics.median(float(row["min_watts_per_vcpu"]) for row in mine)
        highest = statistics.median(float(row["max_watts_per_vcpu"]) for row in mine)
        rows.append((provider, idle, highest, round(MEMORY_KWH_PER_GB_HOUR * 1000 * GIB_IN_GB, 4)))
    header = ("provider", "idle_watts_per_vcpu", "max_watts_per_vcpu", "memory_watts_per_gib")
    write(CATALOG / "host_watts.csv", header, rows)


def build_embodied(source: Path, listed: list[Row]) -> None:
    """Write `embodied.csv`: the share of the making of its host that an hour of an instance carries."""
    published = read(source / "power/embodied_carbon.csv")
    hosts = {host_key(row): row for row in published if row["kind"].endswith("_instance_host")}
    instances = {(row["provider"], row["instance_type"]): row for row in listed}
    rows = []
    for (provider, instance), row in sorted(instances.items()):
        family = [r for r in instances.values() if family_of(r) == family_of(row)]
        host = hosts.get((provider, instance)) or hosts.get((provider, family_of(row)[1]))
        figure = embodied_kg(row, family, host, published)
        if figure is not None:
            kilograms, basis = figure
            rows.append((provider, instance, round(kilograms * 1000 / SERVER_LIFE_H, 3), basis))
    write(CATALOG / "embodied.csv", ("provider", "instance_type", "gco2e_hour", "basis"), rows)


def host_key(row: Row) -> tuple[str, str]:
    """Azure's rows say `NC4as T4 v3` for `Standard_NC4as_T4_v3`."""
    provider = row["kind"].removesuffix("_instance_host")
    item = row["item"]
    return provider, f"Standard_{item.replace(' ', '_')}" if provider == "azure" else item


def family_of(row: Row) -> tuple[str, str]:
    """What shares one kind of host: AWS `g4dn`, GCP `a2-highgpu`, Azure `NC…as_T4_v3` by its GPU."""
    name = row["instance_type"]
    if row["provider"] == "aws":
        return "aws", name.split(".")[0].replace("g3s", "g3")
    if row["provider"] == "gcp":
        return "gcp", name.rsplit("-", 1)[0]
    return "azure", name[:11] + row["gpu_model"]


def embodied_kg(
    row: Row, family: list[Row], host: Row | None, published: list[Row]
) -> tuple[float, str] | None:
    gpus = float(row["gpu_count"])
    if host is not None:
        whole, cards = float(host["embodied_kgco2e"]), float(host["of_which_gpus_kgco2e"])
        gpu_share = gpus / (cards / CCF_KG_PER_CARD)
        vcpu_share = float(row["vcpus"]) / max(float(r["vcpus"]) for r in family)
        return cards * gpu_share + (whole - cards) * vcpu_share, "CCF host; GPUs by count, the rest by vCPU"
    by_item = {r["item"]: float(r["embodied_kgco2e"]) for r in published}
    if row["gpu_model"] == "H100-SXM":
        server = by_item["p5.48xlarge-class (8x H100)"] / 8
        return gpus * (
            by_item["H100-SXM"] + server
        ), "EcoLogits: H100 (NVIDIA PCF) and an eighth of its server"
    if row["gpu_model"].startswith("A100"):
        return gpus * by_item["A100"], "Chien et al. 2023: A100 with an eighth of its server"
    return None


# --- network ----------------------------------------------------------------------------------------------


def build_egress(source: Path, regions: list[Row]) -> None:
    """Write `egress.csv`, a matrix of USD per GB from row to column; the column `internet` comes last."""
    known = {f"{row['provider']}/{row['region']}" for row in regions}
    prices: dict[tuple[str, str], float] = {}
    for row in read(source / "network/egress_price_per_gb.csv.gz"):
        origin = place(row["src_provider"], row["src_region"])
        target = (
            "internet" if row["dst_provider"] == "internet" else place(row["dst_provider"], row["dst_region"])
        )
        if origin in known and target in known | {"internet"}:
            prices[origin, target] = float(row["usd_per_gb"])
    for row in read(source / "network/gcp_internet_egress_2026.csv"):
        if row["destination"] == "worldwide_excl_china_australia" and row["tier_tb_per_month"] == "0-1":
            prices[f"gcp/{row['src_region']}", "internet"] = round(float(row["usd_per_gib"]) / GIB_IN_GB, 4)
    write_matrix(CATALOG / "egress.csv", prices, [*sorted({t for _, t in prices} - {"internet"}), "internet"])


def place(provider: str, region: str) -> str:
    """The egress grid names GCP's regions by a zone of theirs (`us-east1-b`)."""
    name = region.rsplit("-", 1)[0] if provider == "gcp" and region[-2] == "-" else region
    return f"{provider}/{name}"


def build_latency(source: Path) -> None:
    """Write `latency.csv`, a matrix of round-trip milliseconds on the clouds' premium networks.

    A round trip is the same both ways, so the lower of the two directions' averages stands for both.
    """
    measured = defaultdict(list)
    for row in read(source / "network/latency_multicloud_2022.csv.gz"):
        if row["src_network_tier"] == row["dst_network_tier"] == "PREMIUM":
            origin = f"{row['src_provider']}/{row['src_region']}"
            target = f"{row['dst_provider']}/{row['dst_region']}"
            measured[origin, target].append(float(row["avg_rtt_ms"]))
    median = {pair: statistics.median(values) for pair, values in measured.items()}
    both = {pair: round(min(value, median.get(pair[::-1], value)), 1) for pair, value in median.items()}
    write_matrix(CATALOG / "latency.csv", both, sorted({target for _, target in both}))


def build_throughput(source: Path) -> None:
    """Write `throughput.csv`, a matrix of Gbit/s between regions on the clouds' premium networks."""
    measured = {
        (f"{row['src_provider']}/{row['src_region']}", f"{row['dst_provider']}/{row['dst_region']}"): round(
            float(row["throughput_received_gbps"]), 2
        )
        for row in read(source / "network/throughput_multicloud_2022.csv.gz")
        if row["src_network_tier"] == row["dst_network_tier"] == "PREMIUM"
    }
    write_matrix(CATALOG / "throughput.csv", measured, sorted({target for _, target in measured}))


def write_matrix(path: Path, cells: dict[tuple[str, str], float], columns: list[str]) -> None:
    rows = sorted({origin for origin, _ in cells})
    write(
        path,
        ("from", *columns),
        ([row, *(cells.get((row, column), "") for column in columns)] for row in rows),
    )


# --- provenance -------------------------------------------------------------------------------------------


def write_provenance(folder: Path, entries: list[Row], extra: dict[str, object]) -> None:
    files = [
        {
            **entry,
            "collected": COLLECTED,
            "sha256": hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest(),
        }
        for entry in entries
    ]
    document = {"schema": "harchos.provenance/1", "files": files, **extra}
    (folder / "provenance.json").write_text(
        json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive the package's data files.")
    parser.add_argument("--source", type=Path, default=REPOSITORY.parent / "shared" / "data")
    source = parser.parse_args().source
    if not (source / "README.md").is_file():
        raise SystemExit(f"{source}: the collected data is not there; name its folder with --source")
    for folder in (CATALOG, GRID):
        folder.mkdir(parents=True, exist_ok=True)
    zones = build_grid(source)
    regions = build_regions(source, zones)
    listed, left_out = build_offers(source, regions)
    build_power(source, listed)
    build_embodied(source, listed)
    build_egress(source, regions)
    build_latency(source)
    build_throughput(source)
    sources = tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    write_provenance(GRID, sources["grid"], {})
    write_provenance(CATALOG, sources["catalog"], {"spot_left_out": left_out})
    for path in sorted((*CATALOG.iterdir(), *GRID.iterdir())):
        print(f"{path.stat().st_size:>9,}  {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
