"""Measure the forecasts on CarbonCast's zones and days, beside CarbonCast's own: error, and saving kept.

make bench-planner                                    # with the other figures of the planner
.venv/bin/python scripts/bench_forecast.py [DATA]     # DATA: ../shared/data, see its README

96-hour forecasts issued daily at 00 UTC over half a year, of a zone's life-cycle intensity. A job of 6 hours
may start in any of the 91 hours that let it end in time; it starts where the forecast says. `kept` is the
share of the saving against starting at once that perfect foresight has. Only hours before an issue are read:
the ridge is fitted every four weeks on all that lies before; how a CarbonCast forecast is weighed against
ours is decided at each issue on those that had come true by then.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.blend import Blend
from harchos_infra.grid.forecast.forecaster import Forecaster
from harchos_infra.grid.forecast.history import bridge
from harchos_infra.grid.forecast.issues import ISSUES, LEAST_ISSUES, PastIssues
from harchos_infra.grid.forecast.naive import Persistence, SeasonalNaive
from harchos_infra.grid.forecast.ridge import Ridge
from harchos_infra.grid.forecast.zone_forecast import best_share, errors_by_share, mixed
from harchos_infra.planner.backtest import Backtest, backtest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ROOT = Path(__file__).resolve().parents[1]
LEAD_H, DAY_H, WEEK_H, HOUR_S = 96, 24, 168, 3600
JOB_S, LATEST_S = 6 * HOUR_S, 90 * HOUR_S
FIT_EVERY = 28
MOST_WEEKS = 128
GRIDS_11 = {
    "CISO": "US-CAL-CISO",
    "DE": "DE",
    "EPE": "US-SW-EPE",
    "ERCO": "US-TEX-ERCO",
    "ES": "ES",
    "ISNE": "US-NE-ISNE",
    "MISO": "US-MIDW-MISO",
    "NL": "NL",
    "PJM": "US-MIDA-PJM",
    "PL": "PL",
    "SE": "SE",
}
BROKEN = {
    "AT": "CarbonCast errs by 37 to 61 %",
    "IE": "begins with a glitch",
    "US-CAL-TIDC": "flat for 458 h",
    "US-CENT-SPA": "flat for 807 h, CarbonCast errs by 36 to 52 %",
    "US-NW-PACW": "CarbonCast errs by 282 to 538 %",
    "US-SW-AZPS": "its yearly means jump",
}
"""Zones that the data's README calls broken, reported apart."""


@dataclass(frozen=True)
class Series:
    """A zone's hourly values with its gaps bridged, and the first hour counted from 1970."""

    first: int
    values: Floats

    def past(self, issues: Ints, hours: int) -> Floats:
        """Return the hours before each issue."""
        return self._at(issues - self.first - hours, hours)

    def to_come(self, issues: Ints) -> Floats:
        """Return what came in the LEAD_H hours from each issue on."""
        return self._at(issues - self.first, LEAD_H)

    def _at(self, begin: Ints, hours: int) -> Floats:
        found: Floats = self.values[begin[:, None] + np.arange(hours)]
        return found


def read_series(data: Path, zone: str, last_issue: int) -> Series:
    """Read a zone's CarbonCast series up to the end of the last issue, the newer set before the older."""
    for folder in ("carboncast_2019_2022", "carboncast_2020_2021"):
        path = data / "carbon" / folder / f"{zone}.csv.gz"
        if path.exists():
            rows = _rows(path)
            hours = np.array([row["timestamp"][:13] for row in rows], dtype="M8[h]").astype(np.int64)
            values = np.full(hours[-1] - hours[0] + 1, np.nan)
            values[hours - hours[0]] = [float(row["gco2_per_kwh"]) for row in rows]
            end = last_issue + LEAD_H
            known, _ = bridge(values[: end - hours[0]])
            return Series(end - len(known), known)
    raise SystemExit(f"{data}: no CarbonCast series of {zone}")


def read_issues(path: Path) -> PastIssues:
    """Read CarbonCast's forecasts of one zone with the actual values beside them, oldest first."""
    rows = _rows(path)
    issued = np.array([row["issued_at"][:13] for row in rows[::LEAD_H]], dtype="M8[h]").astype(np.int64)
    columns = ("gco2_per_kwh_forecast", "gco2_per_kwh_actual")
    values = np.array([[float(row[column]) for row in rows] for column in columns])
    forecast, actual = values.reshape(2, len(issued), LEAD_H)
    return PastIssues(issued, forecast, actual)


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def plain(model: Forecaster, series: Series, issues: Ints) -> Floats:
    """Return the forecasts of a model that needs no fit."""
    return model.forecast(series.past(issues, model.history_h), issues, LEAD_H)


def ridge(series: Series, issues: Ints) -> Floats:
    """Return the ridge's forecasts, fitted every FIT_EVERY issues on up to MOST_WEEKS before."""
    parts = []
    for at in range(0, len(issues), FIT_EVERY):
        some = issues[at : at + FIT_EVERY]
        model = Ridge(min(MOST_WEEKS, (int(some[0]) - series.first) // WEEK_H))
        fitted = model.fit(series.past(some[:1], model.history_h), some[:1])
        parts.append(fitted.forecast(series.past(some, fitted.history_h), some, LEAD_H))
    return np.concatenate(parts)


def with_carboncast(ours: Floats, theirs: PastIssues) -> Floats:
    """Return ours mixed with CarbonCast's, weighed at each issue by the last ones that came true."""
    forecast = ours.copy()
    for at in range(len(ours)):
        known = slice(max(0, at - LEAD_H // DAY_H + 1 - ISSUES), max(0, at - LEAD_H // DAY_H + 1))
        hours = theirs.first_hour[known]
        if len(hours) >= LEAST_ISSUES:
            past = PastIssues(hours, ours[known], theirs.actual[known])
            archive = dict(zip(hours.tolist(), theirs.forecast[known], strict=True))
            share = best_share(errors_by_share(past, archive))
            forecast[at] = mixed(ours[at], theirs.forecast[at], share)
    return forecast


def judged(issues: PastIssues, forecast: Floats) -> Backtest:
    """Return error and saving of other forecasts of the same issues."""
    return backtest(PastIssues(issues.first_hour, forecast, issues.actual), 0, LATEST_S, JOB_S)


def grids_11(data: Path) -> list[str]:
    """Return lines of the table of the eleven grids of the reference: last half year of 2021."""
    issues = np.datetime64("2021-07-01T00", "h").astype(np.int64) + DAY_H * np.arange(181)
    found: dict[str, list[Backtest]] = {}
    for zone in GRIDS_11.values():
        series = read_series(data, zone, int(issues[-1]))
        actual = PastIssues(issues, np.zeros((181, LEAD_H)), series.to_come(issues))
        for model in (Persistence(), SeasonalNaive(), Blend()):
            found.setdefault(model.name, []).append(judged(actual, plain(model, series, issues)))
        found.setdefault("ridge", []).append(judged(actual, ridge(series, issues)))
    headers = "| forecast | MAPE | kept, mean of grids | kept, zones by what was to be had |"
    lines = [headers, "|---|---|---|---|"]
    return lines + [
        f"| {name} | {_mape(each):.2f} % | {_kept(each):.1f} % | {_kept_of_all(each):.1f} % |"
        for name, each in found.items()
    ]


def beside_carboncast(data: Path, folder: str) -> list[str]:
    """Return lines of the table of all zones that CarbonCast forecast in one half year."""
    names = ("blend", "ridge", "CarbonCast", "ridge with CarbonCast")
    found: dict[str, tuple[Backtest, ...]] = {}
    for path in sorted((data / "carbon" / folder).glob("*.csv.gz")):
        zone = path.name.removesuffix(".csv.gz")
        theirs = read_issues(path)
        series = read_series(data, zone, int(theirs.first_hour[-1]))
        ours = ridge(series, theirs.first_hour)
        forecasts = (
            plain(Blend(), series, theirs.first_hour),
            ours,
            theirs.forecast,
            with_carboncast(ours, theirs),
        )
        found[zone] = tuple(judged(theirs, forecast) for forecast in forecasts)
    sound = {zone: each for zone, each in found.items() if zone not in BROKEN}
    head = " | ".join(f"{name}, MAPE | kept" for name in names)
    lines = [f"| zone | to be had | {head} |", "|---|" + "---|" * 9]
    lines += [_line(zone, tuple((each,) for each in row)) for zone, row in sound.items()]
    lines.append(_line(f"**{len(sound)} zones, mean**", tuple(zip(*sound.values(), strict=True))))
    kept = " | ".join(f"| {_kept_of_all(each):.1f} %" for each in zip(*sound.values(), strict=True))
    lines.append(f"| **kept, zones by what was to be had** | | {kept} |")
    lines += [
        _line(f"{zone} ({BROKEN[zone]})", tuple((each,) for each in row))
        for zone, row in found.items()
        if zone in BROKEN
    ]
    if len(found) > len(sound):
        lines.append(_line(f"{len(found)} zones with these, mean", tuple(zip(*found.values(), strict=True))))
    return lines


def _line(name: str, columns: tuple[tuple[Backtest, ...], ...]) -> str:
    cells = " | ".join(f"{_mape(each):.1f} % | {_kept(each):.0f} %" for each in columns)
    attainable = 100 * float(np.mean([each.attainable for each in columns[0]]))
    return f"| {name} | {attainable:.1f} % | {cells} |"


def _mape(found: list[Backtest] | tuple[Backtest, ...]) -> float:
    return 100 * float(np.mean([each.mape for each in found]))


def _kept(found: list[Backtest] | tuple[Backtest, ...]) -> float:
    return 100 * float(np.mean([each.share_kept or 0.0 for each in found]))


def _kept_of_all(found: list[Backtest] | tuple[Backtest, ...]) -> float:
    """Return the share kept where each zone counts by what was to be had there."""
    return 100 * sum(each.saving for each in found) / sum(each.attainable for each in found)


def report(data: Path) -> str:
    """Return all tables as Markdown."""
    parts = [
        "**11 grids, 181 issues from 2021-07-01** (CISO DE EPE ERCO ES ISNE MISO NL PJM PL SE)",
        "\n".join(grids_11(data)),
    ]
    for folder, when in (
        ("forecasts_carboncast_2021h2", "2021-07-01 to 2021-12-28"),
        ("forecasts_carboncast_2022h2", "2022-07-01 to 2022-12-28"),
    ):
        parts += [f"**CarbonCast's zones, {when}**", "\n".join(beside_carboncast(data, folder))]
    return "\n\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    print(report(parser.parse_args().data))
