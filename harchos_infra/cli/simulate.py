"""`harchos simulate`: what any jobs would have emitted on any signal under any policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import Format, FormatOption, discard, note, print_json, print_table, write_page

if TYPE_CHECKING:
    from harchos_infra.simulation.policy import Policy
    from harchos_infra.simulation.result import Outcome, Result

_JOBS_SHOWN = 20
_BAR_WIDTH = 40
_CLEAR = "\r\x1b[K"
_NAMES = {
    "realised": "this policy",
    "runNow": "run-now",
    "greenestNow": "greenest-now",
    "foresight": "this policy, foresight",
    "oracle": "oracle",
}


def simulate(
    jobs: Path = typer.Option(
        ..., "--jobs", "-j", metavar="CSV", help="The jobs, one a line (docs/simulate.md)."
    ),
    policy: str = typer.Option(..., "--policy", "-p", help="Where and when they run: region-window, …"),
    signal: list[Path] = typer.Option(
        [],
        "--signal",
        "-s",
        metavar="DIR|FILE",
        help="Directory of ZONE.csv[.gz], or one such file; may be repeated. Without: the built-in 2022.",
    ),
    forecast: str | None = typer.Option(
        None,
        "--forecast",
        metavar="FORECAST",
        help="perfect, noise:P:SEED, blend (default), ridge, or a path of issued forecasts.",
    ),
    replan: str | None = typer.Option(
        None, "--replan", metavar="TIME", help="Decide again each 1h, 2h, … on jobs that wait or are paused."
    ),
    gpu: str | None = typer.Option(
        None,
        "--gpu",
        "-g",
        help="GPU model whose cheapest on-demand price a node-hour takes; without: no USD.",
    ),
    html: Path | None = typer.Option(
        None, "--html", dir_okay=False, metavar="PAGE", help="Write a web page of the result, too."
    ),
    format: Format = FormatOption,
    json: bool = typer.Option(False, "--json", help="Short for --format json."),
) -> None:
    """Replay jobs over a signal under a policy: energy, carbon, USD, delay, beside run-now and oracle."""
    from harchos_infra.simulation.jobs import read_jobs
    from harchos_infra.simulation.outlook import Perfect, parse_outlook
    from harchos_infra.simulation.prices import Prices
    from harchos_infra.simulation.run import simulate as run
    from harchos_infra.simulation.series import read_series

    chosen = _policy(policy, forecast, replan)
    replan_s = None if replan is None else _replan_s(replan)
    series = read_series(signal)
    read = read_jobs(jobs, series)
    prices = None
    if gpu is not None:
        from harchos_infra.catalog import Catalog

        prices = Prices.of(gpu, series, Catalog.builtin())
        prices.check_homes(read, series, str(jobs))
    outlook = parse_outlook(forecast or "blend", series) if chosen.looks_ahead else Perfect(series)
    bar = _Bar()
    try:
        result = run(read, series, chosen, outlook, replan_s=replan_s, prices=prices, progress=bar.show)
    finally:
        bar.close()
    if json or format is Format.JSON:
        print_json(result.document())
    else:
        _print(result)
    if html is not None:
        from harchos_infra.report.simulation_page import render_simulation_page

        write_page(html, render_simulation_page(result))
        note(f"{html}: page of the simulation of {result.policy.name}")


def _policy(name: str, forecast: str | None, replan: str | None) -> Policy:
    from harchos_infra.cli.choice import check_choice
    from harchos_infra.errors import HarchosError
    from harchos_infra.simulation.policy import POLICIES

    check_choice("policy", name, POLICIES)
    policy = POLICIES[name]
    for option, value in (("--forecast", forecast), ("--replan", replan)):
        if value is not None and not policy.looks_ahead:
            raise HarchosError(f"{option}: {name} does not look ahead", hint=f"leave {option} out")
    return policy


def _replan_s(text: str) -> int:
    from harchos_infra.errors import HarchosError
    from harchos_infra.workload.quantity import QuantityError, parse_positive_hours

    try:
        hours = parse_positive_hours(text)
    except QuantityError as error:
        raise HarchosError(f"--replan: {error.what}", hint=error.hint) from None
    if hours != int(hours):
        raise HarchosError(f"--replan {text}: not a number of whole hours", hint="write it as 1h")
    return int(hours) * 3600


class _Bar:
    """A bar on standard error while jobs are placed, on a terminal only."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()

    def show(self, share: float) -> None:
        filled = round(share * _BAR_WIDTH)
        self._put(f"{_CLEAR}[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {share:.0%} of the jobs placed")

    def close(self) -> None:
        self._put(_CLEAR)

    def _put(self, text: str) -> None:
        if not self._on:
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            discard(sys.stderr)
            self._on = False


def _print(result: Result) -> None:
    series = result.series
    start, end = series.moment(0), series.moment(series.hours * 3600)
    seen = f", forecast {result.forecast}" if result.forecast else ""
    again = f", decided again every {result.replan_s // 3600} h" if result.replan_s else ""
    typer.echo(f"{result.policy.name}: {result.policy.what}{seen}{again}")
    typer.echo(
        f"{_count(len(result.jobs), 'job')} on {_count(len(series.zones), 'zone')}, "
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {series.source}"
    )
    priced = result.prices is not None
    headers = ["", "kWh", "kgCO2e", *(["USD"] if priced else []), "saving", "delay h", "restarts", "moves"]
    rows = [_row(result, _NAMES[name], outcome) for name, outcome in result.named()]
    print_table(headers, rows, right=range(1, len(headers)))
    for line in _lines(result):
        typer.echo(line)
    if len(result.jobs) <= _JOBS_SHOWN:
        _print_jobs(result)
    else:
        note(f"--json has a row for each of the {len(result.jobs):,} jobs")
    for caveat in result.caveats():
        note(f"note: {caveat}")


def _row(result: Result, name: str, outcome: Outcome) -> list[str]:
    account = outcome.account
    usd = outcome.total_usd
    return [
        name,
        _figure(account.kwh.sum()),
        _figure(outcome.gco2 / 1000),
        *([] if result.prices is None else ["unknown" if usd is None else f"{usd:,.2f}"]),
        _percent(result.saving(outcome)),
        f"{account.delay_s.mean() / 3600:.1f}",
        f"{account.restarts.sum():,}",
        f"{account.moves.sum():,}",
    ]


def _lines(result: Result) -> list[str]:
    shares = [f"{_percent(result.share_of(result.oracle))} of the oracle's saving"]
    if result.foresight is not None:
        shares.append(f"{_percent(result.share_of(result.foresight))} of its own with foresight")
    lines = [f"saving against run-now {_percent(result.saving(result.realised))}: " + ", ".join(shares)]
    if result.prices is not None:
        lines.append(
            f"USD: the cheapest on-demand {result.prices.gpu} node of each zone, by list price; egress"
        )
    low, high = (float(g) for g in result.realised.account.move_g.sum(axis=1))
    if high > 0:
        kwh = result.realised.account.move_kwh.sum(axis=1)
        lines.append(
            f"transfers: {_figure(kwh[0])} to {_figure(kwh[1])} kWh, {_figure(low / 1000)} to "
            f"{_figure(high / 1000)} kgCO2e; the low end is counted"
        )
    return lines


def _print_jobs(result: Result) -> None:
    document = result.document()
    rows = [
        [
            row["id"],
            " ".join(f"{s['zone']} {_clock(s['start'])}-{_clock(s['end'])}" for s in row["spans"]),
            *(_figure(row[name]) for name in ("gco2", "runNowGco2", "oracleGco2")),
            f"{row['delayHours']:.1f}",
        ]
        for row in document["jobs"]
    ]
    print_table(["job", "ran (UTC)", "gCO2e", "run-now", "oracle", "delay h"], rows, right=(2, 3, 4, 5))


def _clock(when: str) -> str:
    return f"{when[8:10]}.{when[11:16]}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
