"""`harchos regions`: every cloud region with its grid zone, yearly intensity and PUE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.catalog.region import Region
    from harchos_infra.grid.replay import Zone


def regions(
    provider: str | None = typer.Option(None, "--provider", "-p", help="Only this cloud: aws, gcp, azure."),
    country: str | None = typer.Option(None, "--country", "-c", help="Only this country (two letters)."),
    format: Format = FormatOption,
) -> None:
    """List cloud regions with grid zone, yearly carbon intensity and PUE."""
    from harchos_infra.catalog.catalog import Catalog
    from harchos_infra.cli.choice import check_choice
    from harchos_infra.grid.replay import builtin_replay

    everything = Catalog.builtin().regions.values()
    check_choice("provider", provider, {region.provider for region in everything})
    check_choice("country", country and country.upper(), {region.country for region in everything})
    signal = builtin_replay()
    rows = [
        (region, signal.zone(region.zone) if region.zone else None)
        for region in everything
        if provider in (None, region.provider) and (country is None or country.upper() == region.country)
    ]
    if format is Format.JSON:
        print_json({"schema": "harchos.regions/1", "regions": [_document(*row) for row in rows]})
        return
    print_table(
        ["region", "place", "country", "zone", "gCO2e/kWh", "hourly", "PUE"],
        [_cells(*row) for row in rows],
        right=(4, 6),
    )
    note(
        f"{len(rows)} regions. gCO2e/kWh: newest yearly average (Electricity Maps, ODbL). "
        "hourly: a 2022 trace to replay; flat: the yearly average all year. * PUE: provider's fleet average."
    )


def _cells(region: Region, zone: Zone | None) -> list[str]:
    newest = zone.newest() if zone else None
    return [
        region.id,
        region.display_name,
        region.country,
        region.zone or "-",
        f"{newest[1]:.0f}" if newest else "-",
        "-" if zone is None else "flat" if zone.flat else "yes",
        f"{region.pue:.2f}{' ' if region.pue_basis.startswith('published') else '*'}",
    ]


def _document(region: Region, zone: Zone | None) -> dict[str, Any]:
    newest = zone.newest() if zone else None
    return {
        "provider": region.provider,
        "region": region.name,
        "displayName": region.display_name,
        "country": region.country,
        "latitude": region.latitude,
        "longitude": region.longitude,
        "zone": region.zone,
        "zoneSource": region.zone_source,
        "yearlyGco2PerKwh": newest[1] if newest else None,
        "year": newest[0] if newest else None,
        "hourly": zone is not None and not zone.flat,
        "pue": region.pue,
        "pueBasis": region.pue_basis,
    }
