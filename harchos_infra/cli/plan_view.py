"""A plan for people: text for a terminal, Markdown for a pull request; all of it read from the plan alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, pairwise
from textwrap import wrap
from typing import Any

from harchos_infra.cli.sparkline import sparkline
from harchos_infra.planner.plan import Plan, Rejection, Schedule, Segment, moment
from harchos_infra.planner.wording import duration

BASELINES = {"runNowCheapest": "run now, cheapest", "runNowHome": "run now, home"}
_LEAST = {"greenest": "carbon", "cheapest": "USD"}
_LOSERS_SHOWN = 5
_FRONT_SHOWN = 8
_ZONES_SHOWN = 6
_PLACES_SHOWN = 3
_PARTS_SHOWN = 20
_SPARK_WIDTH = 72
_GAP_SHOWN = 1e-6
WIDTH = 108
"""Columns of a plan where no terminal is narrower."""
"""Columns of a plan that is not printed on a narrower terminal."""
"""Columns after which explanations are wrapped; names and figures never are."""
_COMPARED = ("dominated", "ranked-lower")


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title, and lines below it; `right` holds the indices of right-aligned columns."""

    title: str
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    right: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()


def render_headline(plan: Plan, *, width: int = WIDTH) -> str:
    """Return what was decided, in a few lines."""
    return "\n".join(part for line in headline(plan) for part in _wrapped(line, width)) + "\n"


def render_text(
    plan: Plan, *, explain: bool = False, width: int = WIDTH, more: Iterable[Section] = ()
) -> str:
    """Return the plan as plain text; `explain` lists every candidate that lost, not only the nearest.

    `more` goes at the end.
    """
    return text(headline(plan), chain(sections(plan, explain=explain), more), width)


def text(first: Sequence[str], following: Iterable[Section], width: int) -> str:
    """Return lines and sections as plain text."""
    parts = ["\n".join(part for line in first for part in _wrapped(line, width))]
    for section in following:
        table = _aligned(section, width) if section.rows else []
        lines = (part for line in section.lines for part in _wrapped(line, width))
        parts.append("\n".join([section.title, *(f"  {line}" for line in (*table, *lines))]))
    return "\n\n".join(parts) + "\n"


def render_markdown(plan: Plan, *, explain: bool = False, more: Iterable[Section] = ()) -> str:
    """Return the plan as GitHub-flavoured Markdown; `more` goes at the end."""
    return markdown(headline(plan), chain(sections(plan, explain=explain), more))


def markdown(lines: Sequence[str], following: Iterable[Section]) -> str:
    """Return lines and sections as GitHub-flavoured Markdown."""
    first, *rest = lines
    parts = [f"### {_escape(first)}", "\n".join(_escape(line) + "  " for line in rest)]
    for section in following:
        parts.append(f"**{_escape(section.title)}**")
        if section.rows:
            parts.append("\n".join(_markdown_table(section)))
        if section.title.startswith("Intensity"):
            parts.append("```text\n" + "\n".join(section.lines) + "\n```")
        elif section.lines:
            parts.append("\n".join(f"- {_escape(line)}" for line in section.lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(plan: Plan) -> list[str]:
    """Return what is planned, where, when and why, and what it saves."""
    name = plan.workload["metadata"]["name"]
    if plan.chosen is None:
        return [
            f"{name}: no candidate is feasible",
            f"nearest miss: {plan.nearest_miss}",
            *_occurrence(plan),
        ]
    segment = plan.chosen.segments[0]
    wait = (segment.start - plan.now).total_seconds()
    when = "start now" if plan.decision == "schedule_now" else f"wait {duration(wait)}"
    gpus = f", {segment.gpu_count:g} x {segment.gpu_model}" if segment.gpu_model else ""
    if segment.gpu_limit_watts is not None:
        gpus += f" limited to {segment.gpu_limit_watts:g} W"
    longest = max(len(schedule.segments) for schedule in plan.schedules)
    if longest > 1:
        gpus += f", in {longest} segments"
    there = "" if plan.parts is not None else gpus
    return [
        f"{name}: {when}, then run on {where(plan)}{there}"
        if plan.decision == "defer"
        else f"{name}: {when} on {where(plan)}{there}",
        f"from {utc(segment.start)} to {utc(plan.chosen.finish)} UTC, "
        f"{plan.chosen.cost_usd:.4g} USD, {_grams(_counted(plan, plan.chosen))}",
        f"why: {_why(plan)}",
        *_occurrence(plan),
        *_savings(plan, plan.chosen),
        *_gap(plan.chosen),
        *_caution(plan),
    ]


def sections(plan: Plan, *, explain: bool) -> Iterator[Section]:
    """Yield the parts of the page in order."""
    if plan.chosen or any(plan.baselines.values()):
        yield _comparison(plan)
    if plan.inputs.get("queue"):
        yield _queue(plan.inputs["queue"])
    if plan.parts is not None:
        yield _hubs(plan)
    if plan.chosen is not None and any(len(schedule.segments) > 1 for schedule in plan.schedules):
        yield _segments(plan.chosen)
    if plan.horizon and plan.chosen is not None:
        yield _intensity(plan, plan.chosen)
    if plan.frontier:
        yield _front(plan)
    yield _lost(plan)
    if explain or any(lost.reason in _COMPARED for lost in plan.rejected):
        yield _losers(plan, explain)
    if explain and plan.inputs.get("forecast"):
        yield _worth(plan)
    yield _inputs(plan)


def cautions(plan: Plan) -> list[str]:
    """Return what a reader must know before relying on the plan."""
    return list(_caution(plan))


def provenance(plan: Plan) -> Iterator[Section]:
    """Yield what the figures rest on."""
    yield _inputs(plan)


def _why(plan: Plan) -> str:
    objective, summary = plan.inputs["objective"], plan.summary
    price = objective["carbonPriceUsdPerT"]
    least = f"USD + carbon at {price:g} USD/t" if price is not None else _LEAST[objective["name"]]
    spec = plan.workload["spec"]
    ways = "start" + " and with its best pauses" * bool(spec.get("interruptible"))
    ways += " and node counts" * bool((spec.get("scaling") or {}).get("throughput"))
    starts = (
        f"each at every {ways} within the deadline"
        if plan.inputs["horizon"]["deadline"]
        else "without a deadline nothing is deferred"
    )
    return (
        f"least {least} ({objective['name']}) of {summary['feasible']:,} feasible candidates "
        f"({summary['considered']:,} considered), {starts}"
    )


def _occurrence(plan: Plan) -> Iterator[str]:
    schedule = plan.workload["spec"].get("schedule")
    if schedule is not None:
        from harchos_infra.workload.document import Repetition
        from harchos_infra.workload.occurrence import describe

        tick = datetime.fromisoformat(plan.workload["spec"]["earliestStart"])
        yield f"occurrence: {describe(Repetition.model_validate(schedule), tick)}"


def _gap(chosen: Schedule) -> Iterator[str]:
    if chosen.gap > _GAP_SHOWN:
        yield f"at most {chosen.gap:.2%} from the least that is possible"


def _caution(plan: Plan) -> Iterator[str]:
    yield from (f"warning: {sentence}" for sentence in plan.inputs["warnings"])
    if fleet := plan.inputs.get("fleet"):
        quotas = (fleet["quotas"] or {}).get("path", "what the clouds said may be rented")
        if plan.inputs.get("queue"):
            yield f"planned under {quotas}: its hubs are not moved later"
        else:
            others = f"one of a fleet of {fleet['workloads']} under {quotas}"
            yield f"{others}: placed with the others, and not moved later"
    signal = plan.inputs["signal"]
    if "forecast" in signal:
        yield from _forecast_caution(plan)
    elif signal["name"].startswith("replay"):
        yield "carbon figures replay past hours: they are no forecast of these"


def _forecast_caution(plan: Plan) -> Iterator[str]:
    signal = plan.inputs["signal"]
    of = "replayed hours" if signal["name"].startswith("replay") else "the hours"
    issued = moment(signal["forecast"]["issued"])
    yield f"carbon figures from {utc(issued)} UTC on are a forecast out of {of} before"
    verdicts = plan.inputs["forecast"]
    zones = {verdict["zone"] for verdict in verdicts}
    closed = sorted(
        {v["zone"] for v in verdicts if not v["mayWait"] and (v["attainable"] or not v["issues"])}
    )
    if closed:
        shown = ", ".join(closed[:_ZONES_SHOWN]) + (" ..." if len(closed) > _ZONES_SHOWN else "")
        yield (
            f"no waiting in {len(closed)} of {len(zones)} zones, where it has not paid on past forecasts: "
            f"{shown} (--explain)"
        )


def _savings(plan: Plan, chosen: Schedule) -> Iterator[str]:
    for key, label in BASELINES.items():
        base = plan.baselines.get(key)
        if base is not None:
            carbon = _saving(_counted(plan, base), _counted(plan, chosen))
            money = _saving(base.cost_usd, chosen.cost_usd)
            yield f"saving against {label}: carbon {carbon}, USD {money}"


def _saving(base: float, value: float) -> str:
    share = f"{(base - value) / base:+.1%}" if base else "none"
    return f"{share} ({base - value:+.3g})"


def _comparison(plan: Plan) -> Section:
    rows = [("chosen", plan.chosen), *((label, plan.baselines.get(key)) for key, label in BASELINES.items())]
    return Section(
        "Chosen, and the baselines frozen before",
        ("", "where", "start (UTC)", "USD", "kWh", "gCO2e", "embodied g"),
        tuple((label, *_figures(plan, schedule)) for label, schedule in rows if schedule),
        right=(3, 4, 5, 6),
        lines=(_carbon_note(plan),),
    )


def _hubs(plan: Plan) -> Section:
    items = plan.inputs["queue"]["items"]
    rows = tuple(
        (
            f"{part.hubs}",
            f"{items * part.share:.4g}",
            _place(part.chosen),
            utc(part.chosen.start),
            utc(part.chosen.finish),
            f"{part.hubs * part.chosen.cost_usd:.4g}",
            f"{part.hubs * _counted(plan, part.chosen):.4g}",
        )
        for part in plan.parts or ()
    )
    more = len(rows) - _PARTS_SHOWN
    return Section(
        "Where the hubs are",
        ("hubs", "items", "where", "from (UTC)", "to", "USD", "gCO2e"),
        rows[:_PARTS_SHOWN],
        right=(0, 1, 5, 6),
        lines=(
            *((f"and {more} more lines: `--format json` has them all",) if more > 0 else ()),
            "items: an equal share is planned for each hub; when they run, a faster one takes more",
        ),
    )


def _queue(queue: Mapping[str, Any]) -> Section:
    apart = any(tried.get("places", 1) > 1 for tried in queue["considered"])
    rows = tuple(_tried(tried, queue["hubs"], apart=apart) for tried in queue["considered"])
    start = f"the start of each, {queue['startS']} s, is counted"
    same = "where no quota is in the way, all hubs have the same place and hours"
    return Section(
        f"How many hubs share the {queue['items']:,} items",
        ("hubs", "done by (UTC)", "USD", "gCO2e", *(("places",) if apart else ())),
        rows,
        right=(2, 3, 4),
        lines=(f"{same}; {start}" if queue["startS"] else same,),
    )


def _tried(tried: Mapping[str, Any], chosen: int, *, apart: bool) -> tuple[str, ...]:
    hubs = f"{tried['hubs']}" + (" (chosen)" if tried["hubs"] == chosen else "")
    if "nearestMiss" in tried:
        return (hubs, tried["nearestMiss"] or "", "", *([""] * (1 + apart)))
    figures = f"{tried['costUsd']:.4g}", f"{tried['gco2e']:.4g}"
    return (hubs, utc(moment(tried["finish"])), *figures, *((f"{tried['places']}",) if apart else ()))


def _figures(plan: Plan, schedule: Schedule) -> tuple[str, ...]:
    known = all(segment.embodied_gco2e_hour is not None for segment in schedule.segments)
    in_parts = plan.parts is not None and schedule == plan.chosen
    return (
        where(plan) if in_parts else _places(schedule),
        utc(schedule.start),
        f"{schedule.cost_usd:.4g}",
        f"{schedule.energy_kwh:.4g}",
        f"{_counted(plan, schedule):.4g}",
        f"{schedule.breakdown['embodiedGco2e']:.4g}" if known else "unpublished",
    )


def _segments(chosen: Schedule) -> Section:
    rows = tuple(
        (
            _segment_place(segment),
            f"{segment.nodes}",
            utc(segment.start),
            utc(segment.end),
            f"{segment.compute_usd:.4g}",
            f"{segment.energy_kwh:.4g}",
            f"{segment.mean_gco2_per_kwh:.4g}",
            f"{segment.energy_kwh * segment.mean_gco2_per_kwh:.4g}",
        )
        for segment in chosen.segments
    )
    return Section(
        "Segments of the chosen schedule",
        ("where", "nodes", "from (UTC)", "to", "USD", "kWh", "g/kWh", "gCO2"),
        rows,
        right=(1, 4, 5, 6, 7),
        lines=tuple(_parts(chosen)),
    )


def _parts(chosen: Schedule) -> Iterator[str]:
    parts = chosen.breakdown
    if parts["pauseKwh"]:
        restart_s = max(segment.restart_s for segment in chosen.segments)
        save_s = max(segment.save_s for segment in chosen.segments)
        yield (
            f"of it for pauses: {parts['pauseKwh']:.3g} kWh, {parts['pauseUsd']:.3g} USD, "
            f"{parts['pauseGco2e']:.3g} g; a segment after a pause restarts for {duration(restart_s)}, "
            f"one before it ends with {duration(save_s)} of saving"
        )
    for segment in chosen.segments:
        if segment.move_usd or segment.move_gco2e:
            yield (
                f"the move into {segment.provider}/{segment.region} transfers for {segment.move_usd:.3g} USD "
                f"and {segment.move_gco2e:.3g} g, beside the segments"
            )


def _carbon_note(plan: Plan) -> str:
    note = f"gCO2e: {plan.inputs['objective']['carbon']} carbon, which the candidates are compared by"
    schedules = (plan.chosen, *plan.baselines.values())
    if any(s and s.breakdown["transferGco2eHigh"] for s in schedules):
        low, high = plan.inputs["transferKwhPerGb"]["low"], plan.inputs["transferKwhPerGb"]["high"]
        most = max(s.breakdown["transferGco2eHigh"] for s in schedules if s)
        note += f"; transfer at {low:g} of {low:g} to {high:g} kWh/GB (up to {most:.3g} g)"
    return note


def _intensity(plan: Plan, chosen: Schedule) -> Section:
    values = plan.horizon["gco2PerKwh"]
    first = moment(plan.horizon["start"])
    step_s = plan.horizon.get("stepS", 3600)
    hours = len(values) * step_s // 3600
    step = -(-len(values) // _SPARK_WIDTH)
    bins = [values[i : i + step] for i in range(0, len(values), step)]
    bin_s = step_s * step
    spans = [
        ((s.start - first).total_seconds() // bin_s, (s.end - first).total_seconds() / bin_s)
        for s in chosen.segments
        if s.zone == plan.horizon["zone"]
    ]
    marks = "".join("^" if any(a <= i < b for a, b in spans) else " " for i in range(len(bins))).rstrip()
    each = "an hour" if bin_s == 3600 else f"{bin_s // 3600} hours" if bin_s > 3600 else duration(bin_s)
    return Section(
        f"Intensity of {plan.horizon['zone']}, {min(values):.4g} to {max(values):.4g} gCO2/kWh, "
        f"{hours} h from {utc(first)} UTC",
        lines=(
            sparkline([sum(b) / len(b) for b in bins]),
            marks or "(the chosen window is later than the hours shown)",
            f"one block: {each}; ^ the chosen window; {chosen.segments[0].intensity_basis}",
        ),
    )


def _front(plan: Plan) -> Section:
    shown = plan.frontier[:_FRONT_SHOWN]
    rows = tuple(
        ("chosen" if schedule == plan.chosen else "", *_figures(plan, schedule)) for schedule in shown
    )
    more = len(plan.frontier) - len(shown)
    return Section(
        "Pareto front: nothing is both cheaper and cleaner than one of these",
        ("", "where", "start (UTC)", "USD", "kWh", "gCO2e", "embodied g"),
        rows,
        right=(3, 4, 5, 6),
        lines=(f"and {more} more",) if more > 0 else (),
    )


def _lost(plan: Plan) -> Section:
    first: dict[str, Rejection] = {}
    for lost in plan.rejected:
        first.setdefault(lost.reason, lost)
    counted = {key: count for key, count in plan.summary.items() if key in first}
    return Section(
        "Why the others lost",
        ("reason", "candidates", "for example", ""),
        tuple(
            (reason, f"{count:,}", _name(first[reason]), first[reason].detail)
            for reason, count in counted.items()
        ),
        right=(1,),
    )


def _losers(plan: Plan, explain: bool) -> Section:
    compared = [lost for lost in plan.rejected if lost.reason in _COMPARED]
    shown: Sequence[Rejection] = plan.rejected if explain else compared[:_LOSERS_SHOWN]
    title = "Every candidate that lost" if explain else "The best of them, against the chosen one"
    more = len(plan.rejected) - len(shown)
    return Section(
        title,
        ("candidate", "reason", "against the chosen one"),
        tuple((_name(lost), lost.reason, lost.detail) for lost in shown),
        lines=(f"--explain lists all {len(plan.rejected):,}",) if more > 0 else (),
    )


def _worth(plan: Plan) -> Section:
    return Section(
        "What waiting on the forecast has been worth to this job in each zone",
        ("zone", "error", "saved", "promised", "at most", "trust", "forecast by", "verdict"),
        tuple(
            (
                verdict["zone"],
                "-" if verdict["mape"] is None else f"{verdict['mape']:.1%}",
                f"{verdict['saving']:.1%}",
                f"{verdict['promised']:.1%}",
                f"{verdict['attainable']:.1%}",
                f"{verdict['trust']:.0%}",
                verdict["method"],
                "may wait" if verdict["mayWait"] else verdict["reason"],
            )
            for verdict in plan.inputs["forecast"]
        ),
        right=(1, 2, 3, 4, 5),
        lines=(
            "saved, promised by the forecast, and at most with foresight: of the carbon of starting at once; "
            "trust: how far differences between hours are counted in this plan",
        ),
    )


def _inputs(plan: Plan) -> Section:
    inputs = plan.inputs
    signal, prices, objective = inputs["signal"], inputs["catalog"]["prices"], inputs["objective"]
    said = (signal.get(key) for key in ("quantity", "method", "source"))
    rows = [
        (
            "workload",
            f"{inputs['workload'].get('path', '-')}, sha256 {_short(inputs['workload'].get('sha256'))}",
        ),
        ("now", f"{utc(plan.now)} UTC"),
        ("signal", f"{signal['name']}: {'; '.join(filter(None, said))}"),
    ]
    if "policy" in inputs:
        policy = inputs["policy"]
        rows.append(("policy", f"{policy['name']}: {policy['path']}, sha256 {_short(policy['sha256'])}"))
    if prices:
        rows.append(("list prices", f"{_aged(plan, prices['oldest'])} to {_aged(plan, prices['newest'])}"))
    if plan.chosen is not None:
        places = {segment.offer: segment for segment in plan.chosen.segments}
        for segment in places.values():
            at = f" ({segment.region})" if len(places) > 1 else ""
            rows += [
                (f"price taken{at}", f"{segment.price_usd_hour:g} USD/h, {_aged(plan, segment.price_as_of)}"),
                (f"power{at}", f"{segment.power_watts:.4g} W a node; {segment.power_basis}"),
                (f"PUE{at}", f"{segment.pue:g}; {segment.pue_basis}"),
            ]
        zones = {segment.zone for segment in plan.chosen.segments}
        rows += [
            (f"forecast of {verdict['zone']}", f"{verdict['method']}; {verdict['reason']}")
            for verdict in inputs.get("forecast", ())
            if verdict["zone"] in zones
        ]
    if objective["carbonPriceSource"]:
        rows.append(
            (
                "carbon price",
                f"{objective['carbonPriceUsdPerT']:g} USD/t; {objective['carbonPriceSource']}",
            )
        )
    rows.append(("plan", f"harchos {inputs['harchos']}, inputs {_short(inputs['hash'])}"))
    return Section(
        "Inputs", ("input", "value"), tuple(rows), lines=tuple(f"assumed: {a}" for a in inputs["assumptions"])
    )


def _aged(plan: Plan, date: str) -> str:
    try:
        days = (plan.now - datetime.fromisoformat(date).replace(tzinfo=plan.now.tzinfo)).days
    except ValueError:
        return date
    return f"{date} ({days} days old)" if days >= 0 else f"{date} (after the time planned for)"


def _counted(plan: Plan, schedule: Schedule) -> float:
    parts = schedule.breakdown
    counted = parts["operationalGco2e"] + parts["transferGco2e"]
    return counted + parts["embodiedGco2e"] if "embodied" in plan.inputs["objective"]["carbon"] else counted


def where(plan: Plan) -> str:
    """Return the places of a plan in order, with its nodes: `aws/eu-west-1 g6.xlarge, then …`.

    Of a queue in several parts: `2 x aws/eu-west-1 g6.xlarge and 1 x …, not all at the same time`.
    """
    assert plan.chosen is not None
    if plan.parts is None:
        return _nodes(plan.chosen) + _place(plan.chosen)
    hubs: dict[str, int] = {}
    for part in plan.parts:
        hubs[_place(part.chosen)] = hubs.get(_place(part.chosen), 0) + part.hubs
    apart = len({(part.chosen.start, part.chosen.finish) for part in plan.parts}) > 1
    return _counted_places(hubs) + ", not all at the same time" * apart


def _place(schedule: Schedule) -> str:
    return ", then ".join(dict.fromkeys(_segment_place(segment) for segment in schedule.segments))


def _places(schedule: Schedule) -> str:
    count = len(schedule.segments)
    if any(later.start < earlier.end for earlier, later in pairwise(schedule.segments)):
        return _counted_places({_segment_place(segment): segment.nodes for segment in schedule.segments})
    return _place(schedule) + (f" in {count} segments" if count > 1 else "")


def _counted_places(hubs: Mapping[str, int]) -> str:
    most_first = sorted(hubs.items(), key=lambda item: -item[1])
    named = most_first if len(hubs) <= _PLACES_SHOWN else most_first[: _PLACES_SHOWN - 1]
    words = [f"{count} x {place}" for place, count in named]
    if more := most_first[len(named) :]:
        words.append(f"{sum(count for _, count in more)} in {len(more)} other places")
    return " and ".join(words)


def _segment_place(segment: Segment) -> str:
    spot = " (spot)" if segment.market == "spot" else ""
    return f"{segment.provider}/{segment.region} {segment.instance_type}{spot}"


def _nodes(schedule: Schedule) -> str:
    counts = {segment.nodes for segment in schedule.segments}
    least, most = min(counts), max(counts)
    if least < most:
        return f"{least} to {most} x "
    return f"{most} x " if most > 1 else ""


def _name(lost: Rejection) -> str:
    spot = " (spot)" if lost.market == "spot" else ""
    return f"{lost.provider}/{lost.region} {lost.instance_type}{spot}"


def _grams(grams: float) -> str:
    return f"{grams:.4g} gCO2e" if grams < 10_000 else f"{grams / 1000:.4g} kgCO2e"


def utc(moment: datetime) -> str:
    """Return a time to the minute, with seconds where there are any."""
    return f"{moment:%Y-%m-%d %H:%M}" if not moment.second else f"{moment:%Y-%m-%d %H:%M:%S}"


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "-"


def _aligned(section: Section, width: int) -> list[str]:
    """Lay a table out in columns; a last column of words goes on below itself where it is too long."""
    table = [section.headers, *section.rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(section.headers))]
    last = len(widths) - 1
    indent = sum(widths[:last]) + 2 * last
    room = max(width - indent, 40) if last not in section.right else widths[last]
    lines = []
    for row in table:
        first, *more = wrap(row[last], room) or [""]
        cells = (*row[:last], first)
        padded = (
            cell.rjust(columns) if index in section.right else cell.ljust(columns)
            for index, (cell, columns) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
        lines += [" " * indent + part for part in more]
    return lines


def _wrapped(line: str, width: int) -> list[str]:
    return wrap(line, width, subsequent_indent="  ") or [line]


def _markdown_table(section: Section) -> list[str]:
    rules = ("--:" if column in section.right else ":--" for column in range(len(section.headers)))
    rows = (section.headers, *section.rows)
    lines = [f"| {' | '.join(map(_escape, row))} |" for row in rows]
    return [lines[0], f"| {' | '.join(rules)} |", *lines[1:]]


def _escape(text: str) -> str:
    """Keep text from acting as Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")
