"""The tables of a plan's page, read from the `harchos.plan/1` document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from harchos_infra.report.interval import Interval
from harchos_infra.report.planned import baseline_name, counted_gco2e, is_several_at_once, read_schedule
from harchos_infra.report.section import Section
from harchos_infra.report.wording import grams, intensity, interval, known, kwh, usd, utc

BEST_SHOWN = 8
COMPARED_SHOWN = 1000
FAILED_SHOWN = 700


def compared(plan: dict[str, Any]) -> Section:
    """Return the chosen schedule, the baselines frozen before, and the rest of the Pareto front."""
    chosen = plan["chosen"]
    entries = [("chosen", chosen), *((baseline_name(k), s) for k, s in plan["baselines"].items())]
    entries += [("on the front", s) for s in plan["frontier"] if s != chosen]
    carbon = plan["inputs"]["objective"]["carbon"]
    return Section(
        "Chosen, the baselines frozen before, and the Pareto front",
        ("", "where", "start, UTC", "USD", "energy", "gCO2e", "embodied"),
        tuple((name, *_figures(plan, s)) for name, s in entries if s),
        (3, 4, 5, 6),
        (f"gCO2e: {carbon} carbon, which the candidates are compared by.",),
    )


def _figures(plan: dict[str, Any], schedule: dict[str, Any]) -> tuple[str, ...]:
    p = read_schedule(schedule)
    embodied = known(p.carbon.embodied, grams, "unpublished")
    figures = usd(p.cost.total), kwh(p.kwh), grams(counted_gco2e(plan, schedule)), embodied
    places = dict.fromkeys(map(_offer, schedule["segments"]))
    between = " and " if is_several_at_once(schedule) else ", then "
    return (between.join(places), _minute(p.start), *figures)


def segments(plan: dict[str, Any]) -> Section:
    """Return what the chosen schedule consists of: all that its grams and dollars are recomputed from."""
    chosen = plan["chosen"]
    return Section(
        "The schedule, segment by segment",
        ("from, UTC", "to", "where", "intensity", "node", "PUE", "USD/h", "energy", "gCO2e", "USD"),
        tuple(map(_segment, chosen["segments"])) if chosen else (),
        (3, 4, 5, 6, 7, 8, 9),
        tuple(_beside(chosen["breakdown"])) if chosen else (),
    )


def _segment(segment: dict[str, Any]) -> tuple[str, ...]:
    start, end = (datetime.fromisoformat(segment[key]) for key in ("start", "end"))
    node_h = segment["nodes"] * (end - start).total_seconds() / 3600
    energy_kwh = node_h * segment["powerWatts"] * segment["pue"] / 1000
    mean = _mean(segment)
    return (
        *_span(start, end),
        f"{segment['nodes']} x {_offer(segment)}, {segment['zone']}",
        intensity(mean),
        f"{segment['powerWatts']:.4g} W",
        f"{segment['pue']:g}",
        f"{segment['priceUsdHour']:g}",
        kwh(energy_kwh),
        grams(energy_kwh * mean),
        usd(node_h * segment["priceUsdHour"]),
    )


def _beside(parts: dict[str, float]) -> Iterator[str]:
    yield "Energy is nodes x watts x PUE x hours, gCO2e that times the intensity, USD nodes x price x hours."
    if parts.get("pauseKwh"):
        paused = f"{kwh(parts['pauseKwh'])}, {grams(parts['pauseGco2e'])}, {usd(parts['pauseUsd'])}"
        yield f"Of it for saving and restarting around pauses: {paused}."
    if parts["transferUsd"] or parts["transferGco2eHigh"]:
        moved = interval(Interval(parts["transferGco2e"], parts["transferGco2eHigh"]), grams)
        yield f"Beside it for moving data: {moved}, {usd(parts['transferUsd'])}."


def _mean(segment: dict[str, Any]) -> float:
    """Return the mean intensity over a segment; its first and last step count as far as they belong to it."""
    start, end = (datetime.fromisoformat(segment[key]).timestamp() for key in ("start", "end"))
    step_s = segment.get("intensityStepS", 3600)
    first = start - start % step_s
    total = 0.0
    for step, value in enumerate(segment["intensityGco2PerKwh"]):
        begin = first + step_s * step
        total += value * max(0.0, min(begin + step_s, end) - max(begin, start))
    return total / (end - start)


def reasons(plan: dict[str, Any]) -> Section:
    """Return the candidates that lost, counted by reason, with one example each."""
    first: dict[str, dict[str, Any]] = {}
    for lost in plan["rejected"]:
        first.setdefault(lost["reason"], lost)
    counted = {key: count for key, count in plan["summary"].items() if key in first}
    return Section(
        "Why the others lost",
        ("reason", "candidates", "for example", ""),
        tuple(
            (reason, f"{count:,}", _offer(first[reason]), first[reason]["detail"])
            for reason, count in counted.items()
        ),
        (1,),
    )


def best_losers(plan: dict[str, Any]) -> Section:
    """Return the feasible candidates that came next, with what they were compared by."""
    return _compared_section("The best of them, against the chosen one", plan, BEST_SHOWN)


def all_compared(plan: dict[str, Any]) -> Section:
    """Return every feasible candidate that lost, as many as a page bears."""
    every = sum("costUsd" in lost for lost in plan["rejected"])
    return _compared_section(f"All {every:,} feasible candidates that lost", plan, COMPARED_SHOWN)


def _compared_section(title: str, plan: dict[str, Any], most: int) -> Section:
    found = [lost for lost in plan["rejected"] if "costUsd" in lost]
    return Section(
        title,
        ("candidate", "reason", "USD", "gCO2e", "best start, UTC", "against the chosen one"),
        tuple(
            (
                _offer(lost),
                lost["reason"],
                usd(lost["costUsd"]),
                grams(lost["gco2e"]),
                _minute(datetime.fromisoformat(lost["start"])),
                lost["detail"],
            )
            for lost in found[:most]
        ),
        (2, 3),
        _more(len(found), most) if most != BEST_SHOWN else (),
    )


def all_failed(plan: dict[str, Any]) -> Section:
    """Return every candidate that fails a constraint; regions with the same machine and miss share a row."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for lost in plan["rejected"]:
        if "costUsd" not in lost:
            machine = f"{lost['provider']} {lost['instanceType']}{_spot(lost)}"
            groups.setdefault((lost["reason"], lost["detail"], machine), []).append(lost["region"])
    count = sum(map(len, groups.values()))
    return Section(
        f"All {count:,} candidates that fail a constraint",
        ("reason", "machine", "what it fails", "regions"),
        tuple(_failed_rows(groups.items())),
        (),
        _more(len(groups), FAILED_SHOWN),
    )


def _failed_rows(groups: Iterable[tuple[tuple[str, ...], list[str]]]) -> Iterator[tuple[str, ...]]:
    for number, ((reason, detail, machine), regions) in enumerate(groups):
        if number < FAILED_SHOWN:
            yield reason, machine, detail, ", ".join(sorted(regions))


def _more(count: int, most: int) -> tuple[str, ...]:
    return (f"And {count - most:,} more: `harchos plan --explain` lists them.",) if count > most else ()


def _span(start: datetime, end: datetime) -> tuple[str, str]:
    """Return two times; the second without its date if that is the same."""
    first, last = _minute(start), _minute(end)
    return first, last[11:] if last[:10] == first[:10] else last


def _minute(at: datetime) -> str:
    """Return a UTC time; its seconds where they are not 0."""
    return utc(at, seconds=at.second > 0).removesuffix(" UTC")


def _offer(entry: dict[str, Any]) -> str:
    return f"{entry['provider']}/{entry['region']} {entry['instanceType']}{_spot(entry)}"


def _spot(entry: dict[str, Any]) -> str:
    return " (spot)" if entry["market"] == "spot" else ""
