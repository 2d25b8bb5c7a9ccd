"""A simulation as one self-contained web page: what each policy took, when, where, and how late."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harchos_infra.planner.window import HOUR_S
from harchos_infra.report import simulation_sections
from harchos_infra.report.figures import bars
from harchos_infra.report.figures.delays import delays
from harchos_infra.report.figures.emissions import emissions
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.figures.heatmap import heatmap
from harchos_infra.report.markup import Markup, tag
from harchos_infra.report.page import (
    WIDE_PX,
    card,
    cards,
    details,
    figure,
    legend,
    page,
    pattern,
    table,
    titled,
)
from harchos_infra.report.sample import Sample
from harchos_infra.report.simulation_sections import NAMES
from harchos_infra.report.wording import duration, grams, known, kwh, percent, share, usd, utc
from harchos_infra.simulation.result import Result

CURVES_LEGEND = legend(("i-plan line", "this policy"), ("i-dash", "run-now"), ("i-grid line", "oracle"))
MAP_LEGEND = legend(
    ("i-box sample", "a job: from its arrival at home (circle) to where it runs"),
)


def render_simulation_page(result: Result) -> str:
    """Return the page."""
    return page(
        f"{result.policy.name} – HarchOS simulation",
        pattern("hatch-on-light", "#17202a70"),
        pattern("hatch-on-dark", "#ffffff60"),
        _header(result),
        tag("main", *_main(result)),
        tag("footer", "Location-based, on actual intensity; made by harchos simulate."),
    )


def _header(result: Result) -> Markup:
    series = result.series
    seen = f", forecast {result.forecast}" if result.forecast else ""
    again = f", decided again every {result.replan_s // HOUR_S} h" if result.replan_s else ""
    begin, end = utc(series.moment(0)), utc(series.moment(series.hours * HOUR_S))
    caveats = result.caveats()
    return tag(
        "header",
        tag("p", "Simulation of a policy", class_="kind"),
        tag("h1", result.policy.name),
        tag("p", f"{result.policy.what}{seen}{again}", class_="decision"),
        tag("p", f"{len(result.jobs):,} jobs on {len(series.zones)} zones, {begin} to {end}", class_="where"),
        tag("p", series.source, class_="where"),
        tag("div", *(tag("p", sentence) for sentence in caveats), class_="banner", role="note")
        if caveats
        else Markup(),
        cards(_cards(result)),
    )


def _cards(result: Result) -> Iterator[Markup]:
    ours, before = result.realised, result.run_now
    yield card(
        "Saves against run-now",
        known(result.saving(ours), share, "nothing to save"),
        f"{grams(ours.gco2)} instead of {grams(before.gco2)}",
        "card plan",
    )
    foresight = ""
    if result.foresight is not None:
        foresight = f"; {known(result.share_of(result.foresight), percent, '-')} of its own with foresight"
    yield card(
        "Of the oracle’s saving",
        known(result.share_of(result.oracle), percent, "-"),
        f"the least that hindsight allows is {grams(result.oracle.gco2)}{foresight}",
    )
    account = ours.account
    yield card(
        "Mean delay",
        duration(float(account.delay_s.mean())),
        f"{int(account.restarts.sum()):,} restarts, {int(account.moves.sum()):,} moves",
    )
    if result.prices is not None:
        yield card("Cost", known(ours.total_usd, usd), f"run-now {known(before.total_usd, usd)}")
    else:
        yield card("Energy", kwh(float(account.kwh.sum())), f"run-now {kwh(float(before.account.kwh.sum()))}")


def _main(result: Result) -> Iterator[Markup]:
    yield tag("h2", "Carbon by policy")
    yield figure(partial(_bars, result), WIDE_PX, "policies")
    yield titled(simulation_sections.totals(result))
    yield tag("h2", "Carbon over time")
    yield CURVES_LEGEND
    yield figure(partial(emissions, result), WIDE_PX, "time")
    yield tag("h2", "Delay")
    late = bool(result.realised.account.delay_s.any())
    yield figure(partial(delays, result), WIDE_PX, "delay") if late else tag("p", "No job is delayed.")
    sample = Sample.of(result)
    yield tag("h2", f"{len(sample.routes)} of the jobs on the map")
    yield MAP_LEGEND
    yield figure(partial(_map, sample), WIDE_PX, "map")
    yield titled(simulation_sections.zones(result))
    yield titled(simulation_sections.settings(result))
    every = simulation_sections.jobs(result)
    yield details(every.title, table(every))


def _bars(result: Result, width: float, key: str) -> Figure:
    entries = [(NAMES[name], outcome, name == "realised") for name, outcome in result.named()]
    rows = []
    for name, outcome, ours in entries:
        account = outcome.account
        parts = (
            ("operational", float(account.compute_g.sum() + account.restart_g.sum())),
            ("transfer", float(account.move_g[0].sum())),
        )
        high = outcome.gco2 + float((account.move_g[1] - account.move_g[0]).sum())
        rows.append(bars.Bar(name, "plan" if ours else "baseline", parts, high, grams(outcome.gco2)))
    return Figure(
        bars.bars(rows, width, key, "gCO2e", "Carbon by policy"),
        "Running and restarts, then moves at the low end of their range; a whisker reaches to its high end.",
        ("policy", "gCO2e", "saving against run-now"),
        tuple((name, grams(o.gco2), known(result.saving(o), share, "-")) for name, o, _ in entries),
        right=(1, 2),
    )


def _map(sample: Sample, width: float, key: str) -> Figure | None:
    return heatmap(sample.atlas, sample.routes, width, key, deadline=None)
