"""A plan as one self-contained web page: where and when, what it costs and saves, and why the others lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from harchos_infra.planner.plan import Plan
from harchos_infra.report import plan_sections
from harchos_infra.report.atlas import Atlas
from harchos_infra.report.figures.figure import Figure
from harchos_infra.report.figures.front import front
from harchos_infra.report.figures.heatmap import heatmap
from harchos_infra.report.figures.route import Route, Stretch
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
from harchos_infra.report.planned import baseline_name, counted_gco2e, is_several_at_once, read_schedule
from harchos_infra.report.section import Section
from harchos_infra.report.wording import duration, grams, intensity, known, kwh, share, significant, usd, utc

MAP_LEGEND = (
    ("i-box plan", "the plan"),
    ("i-box baseline", "baselines, started at once"),
    ("i-flat", "no hourly figures"),
)
FRONT_LEGEND = legend(
    ("i-dot plan", "chosen"),
    ("i-dot baseline", "baselines"),
    ("i-dot front", "Pareto front"),
    ("i-dot candidate", "other candidates"),
)


def render_plan_page(
    plan: Plan,
    atlas: Atlas,
    *,
    headline: Sequence[str],
    cautions: Sequence[str],
    provenance: Sequence[Section],
) -> str:
    """Return the page.

    `headline` says what was decided and why, `cautions` what is to be known about it, `provenance` what
    its figures rest on: in the words of the text view, so that no view says less than another.
    """
    document = plan.to_json()
    return page(
        f"{document['workload']['metadata']['name']} – HarchOS plan",
        pattern("hatch-on-light", "#17202a70"),
        pattern("hatch-on-dark", "#ffffff60"),
        _header(document, headline, cautions),
        tag("main", *_main(document, atlas, provenance)),
        tag("footer", f"Planned as of {utc(plan.now)}. Location-based; made by harchos plan."),
    )


def _header(plan: dict[str, Any], headline: Sequence[str], cautions: Sequence[str]) -> Markup:
    name = plan["workload"]["metadata"]["name"]
    kind = plan["workload"]["spec"].get("type", "")
    state = {"schedule_now": "start now", "defer": "deferred", "reject": "nothing fits"}[plan["decision"]]
    good = "failed" if plan["decision"] == "reject" else "succeeded"
    first, *more = headline
    return tag(
        "header",
        tag("p", f"Plan of a {kind} workload".replace("a  ", "a "), class_="kind"),
        tag("h1", name, tag("span", state, class_=f"state {good}")),
        tag("p", first.removeprefix(f"{name}: "), class_="decision"),
        *(tag("p", line, class_="where") for line in more),
        tag("div", *(tag("p", sentence) for sentence in cautions), class_="banner", role="note")
        if cautions
        else Markup(),
        cards(_cards(plan)) if plan["chosen"] else Markup(),
    )


def _cards(plan: dict[str, Any]) -> Iterator[Markup]:
    chosen = read_schedule(plan["chosen"])
    egress = f", {usd(chosen.cost.transfer)} of it egress" if chosen.cost.transfer else ""
    yield card("Cost", usd(chosen.cost.total), f"{_machine_time(plan['chosen'])} at list prices{egress}")
    counted = plan["inputs"]["objective"]["carbon"]
    source = f"{kwh(chosen.kwh)} at {known(chosen.gco2_per_kwh, intensity)}"
    if "embodied" not in counted:
        embodied = chosen.carbon.embodied
        source += "; embodied unpublished" if embodied is None else f"; embodied {grams(embodied)} beside it"
    yield card(
        "Carbon",
        grams(counted_gco2e(plan, plan["chosen"])),
        f"gCO2e, {counted}: {source}",
    )
    for key, baseline in plan["baselines"].items():
        if baseline:
            theirs, ours = (counted_gco2e(plan, schedule) for schedule in (baseline, plan["chosen"]))
            dollars = baseline["costUsd"] - plan["chosen"]["costUsd"]
            yield card(
                f"Saves against {baseline_name(key)}",
                share(1 - ours / theirs) if theirs > 0 else grams(theirs - ours),
                f"gCO2e: {grams(ours)} instead of {grams(theirs)}; USD {_part(dollars, baseline['costUsd'])}",
                "card plan",
            )


def _machine_time(schedule: dict[str, Any]) -> str:
    """Return how long machines are rented: pauses do not count, nodes do."""
    seconds = [_seconds(segment) for segment in schedule["segments"]]
    nodes = [segment["nodes"] for segment in schedule["segments"]]
    if max(nodes) == 1:
        return duration(sum(seconds))
    node_h = sum(s * n for s, n in zip(seconds, nodes, strict=True)) / 3600
    return f"{significant(node_h)} node-hours"


def _seconds(segment: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(segment[key]) for key in ("start", "end"))
    return (end - start).total_seconds()


def _part(saved: float, whole: float) -> str:
    return share(saved / whole) if whole > 0 else usd(saved)


def _main(plan: dict[str, Any], atlas: Atlas, provenance: Sequence[Section]) -> Iterator[Markup]:
    draw = partial(_map, plan, atlas)
    yield tag("h2", "Where and when: grid intensity")
    yield legend(*(MAP_LEGEND if plan["chosen"] else MAP_LEGEND[-1:]))
    yield figure(draw, WIDE_PX, "map")
    if plan["chosen"]:
        yield tag("h2", "Cost against carbon")
        yield FRONT_LEGEND
        yield figure(partial(front, plan), WIDE_PX, "front")
    yield titled(plan_sections.compared(plan))
    yield titled(plan_sections.segments(plan))
    yield titled(plan_sections.reasons(plan))
    yield titled(plan_sections.best_losers(plan))
    for section in (plan_sections.all_compared(plan), plan_sections.all_failed(plan)):
        if section.rows:
            yield details(section.title, table(section))
    yield from map(titled, provenance)


def _map(plan: dict[str, Any], atlas: Atlas, width: float, key: str) -> Figure | None:
    deadline = plan["inputs"]["horizon"]["deadline"]
    return heatmap(
        atlas,
        list(_routes(plan)),
        width,
        key,
        deadline=datetime.fromisoformat(deadline) if deadline else None,
    )


def _routes(plan: dict[str, Any]) -> Iterator[Route]:
    for part in plan.get("parts", ()):
        yield _route(
            part["chosen"], f"the plan, {part['hubs']} {'hub' if part['hubs'] == 1 else 'hubs'}", "plan"
        )
    if plan["chosen"] and "parts" not in plan:
        yield _route(plan["chosen"], "the plan", "plan")
    for key, baseline in plan["baselines"].items():
        if baseline and is_several_at_once(baseline):
            for segment in baseline["segments"]:
                yield _route({**baseline, "segments": [segment]}, baseline_name(key), "baseline")
        elif baseline:
            yield _route(baseline, baseline_name(key), "baseline")


def _route(schedule: dict[str, Any], name: str, class_: str) -> Route:
    read = read_schedule(schedule)
    stretches = tuple(
        Stretch(s["zone"], datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"]))
        for s in schedule["segments"]
    )
    words = f"{', then '.join(read.places)}, {utc(read.start)} to {utc(read.finish)}"
    return Route(name, class_, stretches, f"{words}, {known(read.gco2_per_kwh, intensity)}")
