"""`harchos sweep`: take down every hub of ours that no live process answers for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.clouds.cloud import Resource
    from harchos_infra.errors import HarchosError
    from harchos_infra.runs.sweep import Leftover, Survivor


def sweep(
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    foreign: bool = typer.Option(False, "--foreign", help="Also hubs made from other home directories."),
    all_regions: bool = typer.Option(
        False, "--all-regions", help="Also every region of every cloud that is set up here."
    ),
    cloud: list[str] = typer.Option(
        [], "--cloud", "-c", help="Only this cloud, every region of it: aws, gcp, azure; may be given again."
    ),
    format: Format = FormatOption,
) -> None:
    """List hubs without a live owner, and remove them; exits 1 if anything survives or a cloud refuses."""
    from harchos_infra.cli.choice import rented_clouds
    from harchos_infra.cli.destroy import finish
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.owner import new_owner
    from harchos_infra.runs.sweep import NO_HUB, forget_secrets, look, remove

    rented = rented_clouds(cloud) if all_regions or cloud else ()
    clouds = rented if cloud else ("local", *rented)
    ledger = Ledger.open()
    forget_secrets(ledger)
    found = look(ledger, clouds, foreign=foreign)
    leftovers = found.leftovers
    if format is Format.JSON:
        print_json(_document(leftovers, found.refusals))
    elif leftovers:
        _print(leftovers, with_clouds=bool(rented))
    for refusal in found.refusals:
        note(f"error: {refusal.what}")
        if refusal.hint:
            note(f"  hint: {refusal.hint}")
    if found.refusals:
        note("what is there is not known in full")
    if not leftovers:
        has_forgotten = "local" in clouds and _forget_namespaces()
        if not found.refusals:
            if not has_forgotten:
                note("nothing to sweep")
            return
        raise typer.Exit(1)
    if any(item.unfinished for item in leftovers):
        note("an abandoned run can go on instead: `harchos resume RUN`")
    if not yes:
        typer.confirm("Take these down?", abort=True)
    for run in sorted({item.run for item in leftovers if item.unfinished}):
        lease = ledger.claim(run, new_owner())
        if lease is not None:
            ledger.desire(run, "stop", "swept: no live process drove it")
            finish(ledger, lease)
    # Secrets belong to a run as a whole: the end of its hub may have left them.
    survivors = remove([item for item in leftovers if not item.unfinished or item.hub == NO_HUB], _say)
    _print_survivors(survivors)
    if "local" in clouds:
        _forget_namespaces()
    if survivors or found.refusals:
        raise typer.Exit(1)


def _forget_namespaces() -> bool:
    from harchos_infra.clouds.namespaces import forget_namespaces

    gone = forget_namespaces()
    if gone:
        note(f"{len(gone)} network namespaces that podman left when it was killed are gone")
    return bool(gone)


def _document(leftovers: list[Leftover], refusals: list[HarchosError]) -> dict[str, Any]:
    return {
        "schema": "harchos.sweep/1",
        "leftovers": [
            {
                "hub": item.hub,
                "run": item.run,
                "resources": len(item.resources),
                "why": item.why,
                "cloud": item.cloud,
                "usdHour": round(item.price_usd_hour, 4),
                "items": [
                    {"kind": r.kind, "id": r.id, "region": r.region, "detail": r.detail}
                    | {"usdHour": None if r.price_usd_hour is None else round(r.price_usd_hour, 4)}
                    for r in item.resources
                ],
            }
            for item in leftovers
        ],
        "refusals": [{"what": refusal.what, "hint": refusal.hint} for refusal in refusals],
    }


def _print(leftovers: list[Leftover], *, with_clouds: bool) -> None:
    if not with_clouds:
        rows = [[item.hub, item.run, str(len(item.resources)), item.why] for item in leftovers]
        print_table(["hub", "run", "resources", "why"], rows, right=[2])
        return
    rows = [
        [i.hub, i.run, i.cloud, str(len(i.resources)), f"{i.price_usd_hour:.3f}", i.why] for i in leftovers
    ]
    print_table(["hub", "run", "cloud", "resources", "$/h", "why"], rows, right=[3, 4])
    rented = [(item, r) for item in leftovers if item.cloud != "local" for r in item.resources]
    if rented:
        rows = [
            [r.hub, r.region or "global", r.kind, r.id, r.detail, _price(r.price_usd_hour)] for _, r in rented
        ]
        print_table(["hub", "region", "kind", "id", "what", "$/h"], rows, right=[5])
        together = sum(item.price_usd_hour for item in leftovers)
        note(f"together {together:.3f} USD per hour; -: no price of its own")


def _price(usd_hour: float | None) -> str:
    return "-" if usd_hour is None else f"{usd_hour:.4f}"


def _say(resource: Resource) -> None:
    if resource.provider != "local":
        note(f"deleting {resource.kind} {resource.id} ({resource.region or 'global'})")


def _print_survivors(survivors: list[Survivor]) -> None:
    for survivor in survivors:
        resource = survivor.resource
        price = "" if resource.price_usd_hour is None else f", {resource.price_usd_hour:.4f} USD per hour"
        note(f"still there: {resource.kind} {resource.id} of {resource.hub}: {resource.detail}{price}")
        if survivor.why and resource.provider != "local":
            note(f"  {survivor.why}")
