"""`harchos calibrate`: what runs were measured to take, and how far their forecasts were off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import fsum
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json, print_table

if TYPE_CHECKING:
    from harchos_infra.planner.measured import Figure, Key
    from harchos_infra.runs.calibration import Experience, ForecastError

SCHEMA = "harchos.calibration/1"
_SHOWN = 8
"""Digits of a sha256 that are shown."""


def calibrate(
    workload: str | None = typer.Argument(
        None, metavar="WORKLOAD", help="Only this workload's runs (its name)."
    ),
    format: Format = FormatOption,
) -> None:
    """Show what runs were measured to take, which the next plan uses, and the error of their forecasts."""
    from harchos_infra.planner.encoding import encode
    from harchos_infra.runs.calibration import experiences, forecast_errors

    known, errors = experiences(workload), forecast_errors(workload)
    if format is Format.JSON:
        print_json(
            {
                "schema": SCHEMA,
                "workload": workload,
                "measured": [encode(_measured(key, found)) for key, found in known.items()],
                "forecastError": [encode(_error(group)) for group in by_zone(errors)],
            }
        )
        return
    _print_measured(known)
    _print_errors(errors)


def by_zone(errors: Iterable[ForecastError]) -> Iterator[tuple[ForecastError, list[ForecastError]]]:
    """Yield, by zone and signal, the newest error and all of them."""
    groups: dict[tuple[str, str], list[ForecastError]] = defaultdict(list)
    for error in errors:
        groups[error.zone, error.signal].append(error)
    for found in groups.values():
        yield max(found, key=lambda error: error.issued_at), found


def _print_measured(known: Mapping[Key, Experience]) -> None:
    typer.echo("Measured: in the next plan of the same work on the same machine, in place of the model")
    rows = [row for key, found in known.items() for row in _rows(key, found)]
    if not rows:
        typer.echo(
            "  nothing yet. A run of `harchos apply FILE` that succeeds fills it: start-up and run time\n"
            "  always, power where its hub has meters (NVML, RAPL). A rehearsal measures this machine"
        )
        return
    print_table(
        ["workload", "work", "machine", "figure", "mean", "n", "spread", "from", "to"], rows, right=(4, 5)
    )
    note("n runs; spread: standard deviation. One run replaces the model too, its spread is unknown")
    note("work: sha256 of what the document says is run. A changed command, image or size starts anew")


def _rows(key: Key, found: Experience) -> Iterator[list[str]]:
    names = [key.workload, key.work[:_SHOWN], f"{key.machine.provider} {key.machine.instance_type}"]
    measures = found.measures
    figures: list[tuple[str, Figure | None, str]] = [
        ("power", measures.watts, "W"),
        ("power of GPUs", measures.gpu_watts, "W"),
        ("run time", measures.run_s, "s"),
        ("start-up", measures.start_s, "s"),
        *((f"{unit}/s", figure, "/s") for unit, figure in found.throughput.items()),
    ]
    for meters, count in found.unmeasured.items():
        runs = "1 run" if count == 1 else f"{count} runs"
        yield [*names, "power", "not measured", "0", f"{runs} modelled by {meters}", "-", "-"]
    for name, figure, unit in figures:
        if figure is not None:
            yield [
                *names,
                name,
                f"{figure.mean:.4g} {unit}",
                str(figure.n),
                "unknown" if figure.deviation is None else f"+-{figure.deviation:.3g} {unit}",
                f"{figure.least:.4g}",
                f"{figure.most:.4g}",
            ]


def _print_errors(errors: list[ForecastError]) -> None:
    typer.echo("Forecast error: what plans assumed of the grid, against what their runs met")
    if not errors:
        typer.echo(
            "  nothing yet. Every run that `harchos apply` settles fills it, rehearsals of past hours too"
        )
        return
    rows = []
    for newest, found in by_zone(errors):
        forecast = [error for error in found if not error.same_figure]
        if not forecast:
            rows.append(
                [newest.zone, newest.signal, str(len(found)), str(_hours(found)), "-", "same figure", "-"]
            )
            continue
        mape, bias = _weighted(forecast, "mape"), _weighted(forecast, "bias_gco2_per_kwh")
        rows.append(
            [
                newest.zone,
                newest.signal,
                str(len(forecast)),
                str(_hours(forecast)),
                f"{_weighted(forecast, 'lead_h'):.1f} h",
                "-" if mape is None else f"{mape:.1%}",
                "-" if bias is None else f"{bias:+.3g} g/kWh",
            ]
        )
    print_table(["zone", "signal", "runs", "hours", "ahead", "MAPE", "bias"], rows, right=(2, 3, 4, 5, 6))
    if any(error.same_figure for error in errors):
        note("same figure: plan and settlement took the same one, as of a replay: no error can be told")


def _hours(errors: Iterable[ForecastError]) -> int:
    return sum(error.hours for error in errors)


def _weighted(errors: Iterable[ForecastError], figure: str) -> float | None:
    """Return the mean of a figure over all hours of those errors that have it."""
    pairs = [(value, e.hours) for e in errors if (value := getattr(e, figure)) is not None]
    hours = sum(weight for _, weight in pairs)
    return fsum(value * weight for value, weight in pairs) / hours if hours else None


def _measured(key: Key, found: Experience) -> dict[str, Any]:
    measures = found.measures
    return {
        "workload": key.workload,
        "work": key.work,
        "provider": key.machine.provider,
        "instanceType": key.machine.instance_type,
        "powerWatts": measures.watts,
        "gpuPowerWatts": measures.gpu_watts,
        "runTimeS": measures.run_s,
        "startUpS": measures.start_s,
        "unitsPerS": found.throughput,
        "runsModelled": found.unmeasured,
    }


def _error(group: tuple[ForecastError, list[ForecastError]]) -> dict[str, Any]:
    newest, found = group
    forecast = [error for error in found if not error.same_figure]
    return {
        "zone": newest.zone,
        "signal": newest.signal,
        "basis": newest.basis,
        "runs": len(forecast),
        "hours": _hours(forecast),
        "hoursOfSameFigure": _hours(error for error in found if error.same_figure),
        "leadH": _weighted(forecast, "lead_h"),
        "mape": _weighted(forecast, "mape"),
        "biasGco2PerKwh": _weighted(forecast, "bias_gco2_per_kwh"),
        "each": [
            {
                "run": error.run,
                "issuedAt": error.issued_at,
                "leadH": error.lead_h,
                "hours": error.hours,
                "mape": error.mape,
                "biasGco2PerKwh": error.bias_gco2_per_kwh,
                "sameFigure": error.same_figure,
            }
            for error in found
        ],
    }
