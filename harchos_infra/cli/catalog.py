"""`harchos catalog`: ask the clouds themselves for prices, offerings and quotas."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.catalog import Catalog
    from harchos_infra.catalog.refreshed import Refreshed
    from harchos_infra.errors import HarchosError

app = typer.Typer(
    help="Ask clouds for today's prices, offerings and quotas.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def refresh(
    provider: list[str] = typer.Option(
        [], "--provider", "-p", help="Only this cloud: aws, gcp, azure; may be given again."
    ),
    format: Format = FormatOption,
) -> None:
    """Ask each configured cloud for prices, offerings and quotas; plans and `offers` use them from then on.

    Exits 1 if any region refuses.
    """
    from harchos_infra.catalog import Catalog
    from harchos_infra.cli.choice import rented_clouds
    from harchos_infra.clouds.cloud import rented_cloud
    from harchos_infra.clouds.refresh import refresh as ask
    from harchos_infra.private_file import write_private
    from harchos_infra.runs.catalog import refreshed_folder

    builtin = Catalog.builtin()
    documents, refusals = [], 0
    for name in rented_clouds(provider):
        known = {region.name for region in builtin.regions.values() if region.provider == name}
        said, refused = ask(rented_cloud(name), known)
        refreshed_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        file = refreshed_folder() / f"{name}.json"
        write_private(file, said.dumps())
        documents.append(_document(builtin, said, refused, str(file)))
        refusals += len(refused)
    if format is Format.JSON:
        print_json({"schema": "harchos.catalog-refresh/1", "providers": documents})
    else:
        _print(documents)
    if refusals:
        raise typer.Exit(1)


def _document(
    builtin: Catalog, said: Refreshed, refused: dict[str, HarchosError], file: str
) -> dict[str, Any]:
    from harchos_infra.catalog.availability import Availability

    current = builtin.with_availability(Availability([(said, said.dumps())]))
    before = {offer.key: offer.price_usd_hour for offer in builtin.offers}
    rows = []
    for region in said.regions:
        there = [o for o in current.offers if (o.provider, o.region) == (said.provider, region)]
        offered = [o for o in there if current.availability.is_offered(o)]
        moved = [o.price_usd_hour / before[o.key] - 1 for o in offered if before.get(o.key)]
        rows.append(
            {
                "region": region,
                "onDemand": sum(o.market == "on-demand" for o in offered),
                "spot": sum(o.market == "spot" for o in offered),
                "notOffered": len(there) - len(offered),
                "noQuota": sum(current.availability.short_of(o, 1) is not None for o in offered),
                "medianPriceChange": round(median(moved), 4) if moved else None,
            }
        )
    return {
        "provider": said.provider,
        "account": said.account,
        "at": f"{said.at:%Y-%m-%dT%H:%M:%SZ}",
        "file": file,
        "regions": rows,
        "refused": [{"region": r, "error": e.what, "hint": e.hint} for r, e in refused.items()],
    }


def _print(documents: list[dict[str, Any]]) -> None:
    rows = [
        [
            f"{document['provider']}/{row['region']}",
            str(row["onDemand"]),
            str(row["spot"]),
            str(row["notOffered"]),
            str(row["noQuota"]),
            "-" if row["medianPriceChange"] is None else f"{row['medianPriceChange']:+.1%}",
        ]
        for document in documents
        for row in document["regions"]
    ]
    print_table(
        ["region", "on-demand", "spot", "not offered", "no quota", "prices"], rows, right=(1, 2, 3, 4, 5)
    )
    for document in documents:
        for refusal in document["refused"]:
            note(f"error: {document['provider']}/{refusal['region']}: {refusal['error']}")
            note(f"  hint: {refusal['hint']}")
        note(f"{document['provider']}: as account {document['account']} sees it at {document['at']}")
    note(
        "Offers of the built-in catalogue: on-demand and spot are had there now; prices: the median change "
        "against the built-in ones. `harchos offers` shows each."
    )
