"""`harchos carbon`: the intensity of a region's grid over the next hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.forecast_option import Forecast, ForecastOption, signal_for
from harchos_infra.cli.moment import NowOption, parse_now
from harchos_infra.cli.output import SIGNAL_HELP, Format, FormatOption, note, print_json, print_table
from harchos_infra.cli.sparkline import sparkline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harchos_infra.catalog.region import Region
    from harchos_infra.grid.signal import Intensity, Signal

DEFAULT_HOURS = 96
SignalOption = typer.Option(
    None,
    "--signal",
    metavar="SIGNAL",
    help=SIGNAL_HELP,
)


def carbon(
    place: str = typer.Argument(metavar="REGION|ZONE", help="Region (aws/eu-west-1) or grid zone (DE)."),
    hours: int | None = typer.Option(
        None, "--hours", "-H", min=1, max=8760, help="How many hours; 96, or what a live source forecasts."
    ),
    now: str | None = NowOption,
    signal: str | None = SignalOption,
    forecast: Forecast | None = ForecastOption,
    format: Format = FormatOption,
) -> None:
    """Show the carbon intensity of a region or grid zone, hour by hour."""
    from harchos_infra.grid.parse import parse_signal

    moment = parse_now(now)
    source = parse_signal(signal, say=note) if forecast is None else signal_for(signal, forecast, moment)
    region, zone = _resolve(place, source)
    intensity = _intensity(source, zone, moment, hours)
    spread = _spread(source, intensity)
    if format is Format.JSON:
        print_json(_document(region, intensity, source, spread))
    else:
        _print(region, intensity, source, spread)


@dataclass(frozen=True, slots=True)
class _Spread:
    """How far a forecast may be off: hourly quantiles, and the error of the past issues they come from."""

    p10: NDArray[np.float64]
    p90: NDArray[np.float64]
    mape: float | None
    issues: int


def _spread(signal: Signal, intensity: Intensity) -> _Spread | None:
    """Return the spread of a forecast; None for a signal that is none, or without a past issue."""
    from harchos_infra.grid.forecast.issues import Forecasting
    from harchos_infra.grid.forecast.quantiles import quantiles
    from harchos_infra.grid.forecast.zone_forecast import COMPARED_H

    if not isinstance(signal, Forecasting):
        return None
    past = signal.past_issues(intensity.zone, COMPARED_H)
    if not len(past):
        return None
    p10, p90 = quantiles(intensity.gco2_per_kwh, past)
    return _Spread(p10, p90, past.mape, len(past))


def _intensity(source: Signal, zone: str, start: datetime, hours: int | None) -> Intensity:
    """Return the hours asked for; where no number is given, the default or as many as there are."""
    if hours is not None:
        return source.intensity(zone, start, hours)
    from harchos_infra.grid.signal import ShortHorizon

    try:
        return source.intensity(zone, start, DEFAULT_HOURS)
    except ShortHorizon as error:
        if error.hours < 1:
            raise
        return source.intensity(zone, start, error.hours)


def _resolve(place: str, signal: Signal) -> tuple[Region | None, str]:
    """Return the region, if one is named, and the zone to show."""
    from harchos_infra.catalog.catalog import Catalog
    from harchos_infra.errors import HarchosError

    if place in signal.zones():
        return None, place
    try:
        region = Catalog.builtin().region(place)
    except HarchosError as error:
        from harchos_infra.grid.signal import nearest_zone

        hint = nearest_zone(place, signal.zones()) or error.hint
        if "ambiguous" in error.what:
            raise
        raise HarchosError(
            f"{place!r} is neither a region nor a grid zone of {signal.name}", hint=hint
        ) from None
    if region.zone is None:
        raise HarchosError(f"{region.id} has no known grid zone, so no carbon intensity")
    return region, region.zone


def _print(region: Region | None, intensity: Intensity, signal: Signal, spread: _Spread | None) -> None:
    values, basis = intensity.gco2_per_kwh, intensity.basis
    heading = f"{region.id}, {region.display_name}: " if region else ""
    typer.echo(f"{heading}zone {intensity.zone}, {len(values)} h from {intensity.start:%Y-%m-%d %H:%M} UTC")
    rows = []
    first = 0
    while first < len(values):
        start = intensity.start + timedelta(hours=first)
        day = values[first : first + 24 - start.hour]
        cleanest = start + timedelta(hours=int(day.argmin()))
        rows.append(
            [
                f"{start:%a %Y-%m-%d}",
                f"{day.mean():.0f}",
                f"{day.min():.0f} at {cleanest:%H:%M}",
                f"{day.max():.0f}",
                *_band(spread, first, len(day)),
                " " * start.hour + sparkline(day.tolist(), values.min(), values.max()),
            ]
        )
        first += len(day)
    band = [] if spread is None else ["p10 to p90"]
    headers = ["day (UTC)", "mean", "lowest", "highest", *band, "00    06    12    18"]
    print_table(headers, rows, right=tuple(range(1, 4 + len(band))))
    typer.echo(
        f"gCO2e/kWh, {basis.quantity}; mean {values.mean():.0f}. Signal {signal.name}: {basis.method}."
    )
    if spread is not None:
        error = "" if spread.mape is None else f": mean error {spread.mape:.1%}"
        typer.echo(
            f"p10 to p90: mean over the day, from what {spread.issues} past issues were off by{error}."
        )
    note(
        f"Source: {basis.source}. Not a forecast of these days."
        if basis.estimated and spread is None and (basis.flat or "replay" in basis.method)
        else f"Source: {basis.source}."
    )
    for warning in signal.describe().get("warnings", ()):
        note(f"warning: {warning}")
    if basis.flat:
        note("This zone has no hourly data: when to run makes no difference here, only where.")


def _band(spread: _Spread | None, first: int, hours: int) -> list[str]:
    if spread is None:
        return []
    low, high = spread.p10[first : first + hours].mean(), spread.p90[first : first + hours].mean()
    return [f"{low:.0f} to {high:.0f}"]


def _document(
    region: Region | None, intensity: Intensity, signal: Signal, spread: _Spread | None
) -> dict[str, Any]:
    basis = intensity.basis
    document = {
        "schema": "harchos.carbon/1",
        "region": region.id if region else None,
        "zone": intensity.zone,
        "start": f"{intensity.start:%Y-%m-%dT%H:%M:%SZ}",
        "stepSeconds": intensity.step_s,
        "gco2PerKwh": [round(float(value), 2) for value in intensity.gco2_per_kwh],
        "basis": {
            "kind": basis.kind,
            "factors": basis.factors,
            "scope": basis.scope,
            "source": basis.source,
            "method": basis.method,
            "flat": basis.flat,
            "estimated": basis.estimated,
        },
        "signal": signal.describe(),
    }
    if spread is not None:
        document["quantiles"] = {
            "p10": [round(float(value), 2) for value in spread.p10],
            "p90": [round(float(value), 2) for value in spread.p90],
            "mape": spread.mape,
            "issues": spread.issues,
        }
    return document
