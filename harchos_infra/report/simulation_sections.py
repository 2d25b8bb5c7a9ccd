"""The tables of a simulation's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.planner.window import HOUR_S
from harchos_infra.report.interval import Interval
from harchos_infra.report.section import Section
from harchos_infra.report.span_hours import SpanHours
from harchos_infra.report.wording import (
    grams,
    intensity,
    interval,
    known,
    kwh,
    percent,
    share,
    significant,
    usd,
    utc,
)
from harchos_infra.simulation.result import Outcome, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZONES_SHOWN = 15
JOBS_SHOWN = 200
NAMES = {
    "realised": "this policy",
    "runNow": "run-now",
    "greenestNow": "greenest-now",
    "foresight": "this policy, foresight",
    "oracle": "oracle",
}
"""What the outcomes of a result are called, by their key in `harchos.simulation/1`."""


def totals(result: Result) -> Section:
    """Return what each policy took."""
    return Section(
        "Totals by policy",
        ("", "energy", "gCO2e", "saving against run-now", "USD", "mean delay, h", "restarts", "moves"),
        tuple(_totals(result, NAMES[name], outcome) for name, outcome in result.named()),
        (1, 2, 3, 4, 5, 6, 7),
        tuple(_notes(result)),
    )


def _totals(result: Result, name: str, outcome: Outcome) -> tuple[str, ...]:
    account = outcome.account
    money = "-" if result.prices is None else known(outcome.total_usd, usd)
    return (
        name,
        kwh(float(account.kwh.sum())),
        grams(outcome.gco2),
        known(result.saving(outcome), share, "-"),
        money,
        significant(float(account.delay_s.mean()) / HOUR_S),
        f"{int(account.restarts.sum()):,}",
        f"{int(account.moves.sum()):,}",
    )


def _notes(result: Result) -> list[str]:
    low, high = (float(value) for value in result.realised.account.move_g.sum(axis=1))
    notes = ["Run-now starts each job on arrival, at home; the oracle is the least that hindsight allows."]
    if high > 0:
        moves = interval(Interval(low, high), grams)
        notes.append(f"Of this policy’s grams, moves are {moves}; the low end is counted.")
    return notes


def zones(result: Result) -> Section:
    """Return where the energy is drawn, under run-now and under the policy, and how clean it is there."""
    before, after = (_by_zone(result, outcome) for outcome in (result.run_now, result.realised))
    order = np.argsort(-after[0], kind="stable")
    shown = [int(z) for z in order if before[0][z] or after[0][z]]
    rows = tuple(
        (
            result.series.zones[zone],
            kwh(float(before[0][zone])),
            kwh(float(after[0][zone])),
            percent(float(after[0][zone] / after[0].sum())) if after[0].sum() else "-",
            intensity(float(after[1][zone] / after[0][zone])) if after[0][zone] else "-",
        )
        for zone in shown[:ZONES_SHOWN]
    )
    more = len(shown) - len(rows)
    return Section(
        "Where the jobs ran",
        ("zone", "energy under run-now", "under this policy", "share", "intensity met"),
        rows,
        (1, 2, 3, 4),
        (f"And {more} more zones.",) if more > 0 else (),
    )


def _by_zone(result: Result, outcome: Outcome) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    hours = SpanHours.of(result.jobs, result.series, outcome.spans)
    return hours.by_zone(len(result.series.zones))


def settings(result: Result) -> Section:
    """Return what was simulated."""
    series, prices = result.series, result.prices
    begin, end = utc(series.moment(0)), utc(series.moment(series.hours * HOUR_S))
    rows = [
        ("policy", f"{result.policy.name}: {result.policy.what}"),
        ("jobs", f"{len(result.jobs):,}, {int(result.jobs.interruptible.sum()):,} of them interruptible"),
        ("forecast", result.forecast or "none: the policy does not look ahead"),
        (
            "decided again",
            f"every {result.replan_s // HOUR_S} h" if result.replan_s else "no, only on arrival",
        ),
        ("signal", series.source),
        ("its figures", series.quantity),
        ("zones and hours", f"{len(series.zones)} zones, {begin} to {end}"),
    ]
    if prices is not None:
        dates = sorted(offer.price_as_of for offer in prices.offers if offer is not None)
        rows.append(("prices", f"cheapest on-demand {prices.gpu} of each zone, {dates[0]} to {dates[-1]}"))
    return Section("What was simulated", ("", ""), tuple(rows))


def jobs(result: Result) -> Section:
    """Return what became of each job, as many as a page bears."""
    account, before, best = result.realised.account, result.run_now.account.gco2, result.oracle.account.gco2
    grams_of = account.gco2
    count = len(result.jobs)
    rows = tuple(
        (
            result.jobs.ids[job],
            result.series.zones[result.jobs.home[job]],
            _minute(result, result.jobs.arrival_s[job]),
            _minute(result, account.start_s[job]),
            _minute(result, account.end_s[job]),
            grams(float(grams_of[job])),
            grams(float(before[job])),
            grams(float(best[job])),
            str(int(account.restarts[job])),
            str(int(account.moves[job])),
        )
        for job in range(min(count, JOBS_SHOWN))
    )
    title = f"All {count:,} jobs" if count <= JOBS_SHOWN else f"The first {JOBS_SHOWN} of {count:,} jobs"
    return Section(
        title,
        ("job", "home", "arrival, UTC", "start", "end", "gCO2e", "run-now", "oracle", "restarts", "moves"),
        rows,
        (5, 6, 7, 8, 9),
        ("`harchos simulate --json` has a row for each.",) if count > JOBS_SHOWN else (),
    )


def _minute(result: Result, offset_s: float) -> str:
    return utc(result.series.moment(offset_s)).removesuffix(" UTC")
