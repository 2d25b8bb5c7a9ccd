"""The report's tables as plain cells: what text, Markdown and the web page all show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from harchos_infra.report.account import Account
from harchos_infra.report.carbon import Carbon
from harchos_infra.report.method import caveats, rehearsal_label
from harchos_infra.report.planned import Planned, baseline_name, place
from harchos_infra.report.saving import Comparison, Saving
from harchos_infra.report.section import Section
from harchos_infra.report.wording import (
    UNKNOWN,
    duration,
    grams,
    intensity,
    interval,
    known,
    kwh,
    percent,
    share,
    signed,
    usd,
    utc,
)
from harchos_infra.runs.record import RunRecord


def headline(record: RunRecord, account: Account) -> str:
    """Return run, type, outcome and place in one line."""
    state = record.outcome or f"{record.phase}, not finished"
    kind = f"rehearsal of {record.type}" if record.rehearsal else record.type
    return f"{record.id} · {kind} · {state} · {where(account.planned)}"


def where(schedule: Planned) -> str:
    """Return a schedule's places in order."""
    return ", then ".join(schedule.places)


def planned_and_realised(record: RunRecord, account: Account) -> Section:
    """Return every headline figure, planned beside realised."""
    p, r = account.planned, account.realised
    unfinished = "not finished" if account.hubs else "no hub"
    rows = (
        ("energy, PUE included", kwh(p.kwh), known(r.kwh, kwh)),
        ("mean grid intensity", known(p.gco2_per_kwh, intensity, "-"), known(r.gco2_per_kwh, intensity, "-")),
        ("operational gCO2e", known(p.carbon.operational, grams), known(r.carbon.operational, grams)),
        ("embodied gCO2e", _embodied(p.carbon), _embodied(r.carbon)),
        ("transfer gCO2e", interval(p.carbon.transfer, grams), interval(r.carbon.transfer, grams)),
        ("total gCO2e", _total(p.carbon), _total(r.carbon)),
        ("compute USD", usd(p.cost.compute), usd(r.cost.compute)),
        ("transfer USD", usd(p.cost.transfer), usd(r.cost.transfer)),
        ("total USD", usd(p.cost.total), usd(r.cost.total)),
        ("wait for the start", duration(account.wait_s), ""),
        ("start, run's clock", utc(p.start), utc(r.start) if r.start else "no hub"),
        ("finish, run's clock", utc(p.finish), utc(r.finish) if r.finish else unfinished),
        ("duration", duration(p.duration_s), known(r.duration_s, duration, unfinished)),
        ("start against the plan", "", known(account.start_delay_s, _late, "no hub")),
        ("finish against the plan", "", known(account.finish_delay_s, _late, unfinished)),
    )
    realised = "realised (rehearsal)" if record.rehearsal else "realised"
    return Section(
        "Planned and realised",
        ("figure", "planned", realised),
        rows,
        right=(1, 2),
        notes=tuple(caveats(record, account)),
    )


def baselines(record: RunRecord, account: Account) -> Section:
    """Return the plan's saving against each frozen baseline: planned against planned."""
    notes = ["Planned against planned; + is saved, − is spent."]
    if any(c.planned and not c.planned.embodied_included for c in account.comparisons):
        notes.append(
            "What the plan saves leaves embodied carbon out on both sides where it is not published for both."
        )
    columns = [_plan_column(account.planned), *map(_baseline_column, account.comparisons)]
    figures = (
        "where",
        "total gCO2e",
        "the plan saves",
        "total USD",
        "the plan saves",
        "finish, UTC",
        "the plan is",
    )
    return Section(
        "The plan's saving against the frozen baselines",
        ("", "the plan", *(baseline_name(c.key) for c in account.comparisons)),
        tuple(zip(figures, *columns, strict=True)),
        notes=tuple(notes),
    )


def run_against_baselines(record: RunRecord, account: Account) -> Section:
    """Return the run against each baseline, where that is honest, and why not where it is not."""
    compared = [c for c in account.comparisons if c.baseline is not None]
    rows = tuple(
        (baseline_name(c.key), _grams_saved(c.realised), _usd_saved(c.realised))
        if c.realised
        else (baseline_name(c.key), "not compared", "not compared")
        for c in compared
    )
    notes = [
        f"Not compared: {reason}." for reason in dict.fromkeys(c.realised_reason for c in compared) if reason
    ]
    if any(c.realised for c in compared):
        notes.append("Realised against planned: the baseline never ran, its energy is modelled.")
        if account.realised.gaps:
            notes.append("Not all of the hubs' lives was metered: the gCO2e saved is an upper bound.")
    return Section(
        "The run against the same baselines",
        ("baseline", "gCO2e saved", "USD saved"),
        rows,
        (1, 2),
        tuple(notes),
    )


def intensity_alone(record: RunRecord, account: Account) -> Section:
    """Return grams per kWh only: place and time, whatever machine drew the energy."""
    mine = account.realised.gco2_per_kwh
    realised = "realised (rehearsal)" if record.rehearsal else "realised"
    entries = [(realised, ", ".join(dict.fromkeys(hub.span.zone for hub in account.hubs)), mine)]
    entries.append(("planned", ", ".join(account.planned.zones), account.planned.gco2_per_kwh))
    entries += [
        (baseline_name(c.key), ", ".join(c.baseline.zones), c.baseline.gco2_per_kwh)
        for c in account.comparisons
        if c.baseline
    ]
    rows = tuple(
        (
            name,
            zone or "-",
            known(value, intensity, "-"),
            share(1 - mine / value) if value and mine is not None and name != realised else "",
        )
        for name, zone, value in entries
    )
    return Section(
        "Place and time alone",
        ("", "zone", "grid intensity", "realised is lower by"),
        rows,
        (2, 3),
        ("Grams per kWh, whatever machine drew it: holds for a rehearsal too.",),
    )


def metering(record: RunRecord, account: Account) -> Section:
    """Return which meter gave how much of the energy, and what was not metered."""
    r = account.realised
    total = r.kwh_before_pue or 0.0
    rows = tuple(
        (m.basis, m.by, kwh(m.kwh), percent(m.kwh / total) if total else "-", duration(m.seconds))
        for m in r.meters
    )
    notes = [] if r.coverage is None else [f"{percent(r.coverage)} of the hubs' lives was metered."]
    notes += [f"{g.hub}: {duration(g.seconds)} {g.where}" for g in r.gaps[:8]]
    if len(r.gaps) > 8:
        notes.append(f"and {len(r.gaps) - 8} more gaps (all are in the JSON report)")
    return Section(
        "Energy by meter, before PUE",
        ("basis", "by", "energy", "share", "time"),
        rows or (("none", "-", UNKNOWN, "-", "-"),),
        (2, 3, 4),
        tuple(notes),
    )


def hubs(record: RunRecord, account: Account) -> Section:
    """Return every hub with its life and what it took."""
    return Section(
        "Hubs",
        ("hub", "where", "nodes", "created", "life", "USD", "energy", "operational gCO2e"),
        tuple(
            (
                h.span.hub,
                f"{h.span.provider}/{h.span.region} {h.span.instance_type} ({h.span.market}), {h.span.zone}",
                str(h.span.nodes),
                utc(h.span.created_at, seconds=True),
                duration(h.lived_s) + (", still alive" if h.alive else ""),
                usd(h.usd),
                kwh(h.emission.kwh) if h.measured_any else UNKNOWN,
                grams(h.emission.gco2e) if h.measured_any else UNKNOWN,
            )
            for h in account.hubs
        ),
        (2, 4, 5, 6, 7),
        ("Real UTC times.",),
    )


def sci(record: RunRecord, account: Account) -> Section:
    """Return the SCI score."""
    s = account.sci
    value = f"{grams(s.gco2e_per_r)} per {s.r}" if s.gco2e_per_r is not None else f"unknown: {s.reason}"
    notes = [] if s.includes_embodied else ["Without M: embodied carbon is not published."]
    if record.outcome not in (None, "succeeded"):
        notes.append(f"The run {record.outcome}.")
    label = rehearsal_label(record)
    return Section(
        "Software carbon intensity (ISO/IEC 21031:2024)",
        ("R", "units of R", "SCI"),
        ((s.r, f"{s.count:,.6g}", value),),
        (1, 2),
        (*notes, *([label] if label else [])),
    )


def rejections(record: RunRecord, account: Account) -> Section:
    """Return the candidates that lost, by reason, with one example each."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for lost in record.plan["rejected"]:
        groups.setdefault(lost["reason"], []).append(lost)
    return Section(
        "Why the other candidates lost",
        ("reason", "candidates", "for example", "detail"),
        tuple(
            (
                reason,
                str(len(group)),
                place(group[0]),
                group[0]["detail"],
            )
            for reason, group in sorted(groups.items(), key=lambda item: -len(item[1]))
        ),
        (1,),
    )


def timeline(record: RunRecord, account: Account) -> Section:
    """Return the run's history."""
    return Section(
        "What happened",
        ("real time", "event", "detail"),
        tuple((utc(e.at, seconds=True), e.kind, e.detail) for e in record.events),
    )


def inputs(record: RunRecord, account: Account) -> Section:
    """Return the plan's inputs with their ages and bases, as it recorded them."""
    segment = record.plan["chosen"]["segments"][0]
    prices = ((f"price of {segment['instanceType']}", f"as of {segment['priceAsOf']}"),)
    bases = tuple((key, segment[f"{key}Basis"]) for key in ("power", "pue", "intensity"))
    return Section(
        "Inputs of the plan", ("input", "value"), (*prices, *bases, *_flatten(record.plan["inputs"]))
    )


def outputs(record: RunRecord, account: Account) -> Section:
    """Return the collected files."""
    return Section(
        "Collected files",
        ("path", "bytes", "sha256"),
        tuple((o["path"], f"{o['bytes']:,}", o["sha256"]) for o in record.outputs),
        (1,),
    )


def _embodied(carbon: Carbon) -> str:
    if carbon.embodied is None:
        return "not published"
    return grams(carbon.embodied) + (" (in part)" if carbon.embodied_unpublished else "")


def _total(carbon: Carbon) -> str:
    total = carbon.total()
    return interval(total, grams) if total else UNKNOWN


def _plan_column(p: Planned) -> tuple[str, ...]:
    return (where(p), _total(p.carbon), "", usd(p.cost.total), "", _minute(p.finish), "")


def _baseline_column(c: Comparison) -> tuple[str, ...]:
    if c.baseline is None or c.planned is None:
        return ("none in the plan", *["-"] * 6)
    return (
        where(c.baseline),
        _total(c.baseline.carbon),
        _grams_saved(c.planned),
        usd(c.planned.baseline_usd),
        _usd_saved(c.planned),
        _minute(c.baseline.finish),
        _late(c.later_s or 0.0, "later", "earlier"),
    )


def _minute(at: datetime) -> str:
    return utc(at).removesuffix(" UTC")


def _grams_saved(s: Saving) -> str:
    shares = f" ({interval(s.gco2e_share, share)})" if s.gco2e_share else ""
    return interval(s.gco2e, lambda v: signed(v, grams)) + shares


def _usd_saved(s: Saving) -> str:
    return signed(s.usd, usd) + (f" ({share(s.usd_share)})" if s.usd_share is not None else "")


def _late(seconds: float, late: str = "late", early: str = "early") -> str:
    if abs(seconds) < 0.5:
        return "on time" if late == "late" else "at the same time"
    return f"{duration(abs(seconds))} {late if seconds > 0 else early}"


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        yield name, json.dumps(value, ensure_ascii=False)
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, "-" if value is None else str(value)
