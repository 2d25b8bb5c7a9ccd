"""How the figures came about, in sentences: printed with every report, so that it can be defended."""

from __future__ import annotations

from harchos_infra.report.account import Account, intensities
from harchos_infra.report.wording import duration, kwh, percent, utc
from harchos_infra.runs.record import RunRecord

METERS = {
    "nvml": "GPU boards (NVML)",
    "rapl": "CPU packages, and memory where the processor reports it (RAPL)",
    "cpu-model": "CPU and memory, modelled from CPU time",
    "gpu-model": "GPU boards, modelled at their stated maximum",
}


def rehearsal_label(record: RunRecord) -> str | None:
    """Return the sentence that every output of a rehearsal carries, None for a real run."""
    if not record.rehearsal:
        return None
    types = " or ".join(sorted({hub.instance_type for hub in record.hubs})) or "the planned machine"
    return f"rehearsal: energy is of this machine, not of {types}"


def caveats(record: RunRecord, account: Account) -> list[str]:
    """Return what a reader must know before using the realised figures."""
    realised, said = account.realised, []
    if record.rehearsal:
        said.append(
            "rehearsal: nothing was billed and no data changed region; USD and embodied carbon are what "
            "the hub's life here would have taken there"
        )
        faster = max((hub.speed for hub in record.hubs), default=1.0)
        if faster > 1.0:
            said.append(
                f"its clock ran {faster:g} times as fast as real time: starting, saving and stopping seem "
                "longer by as much, and USD and embodied carbon are of its own clock's hours"
            )
    moves = [event for event in record.events if event.kind == "moved"]
    if moves:
        times = "once" if len(moves) == 1 else f"{len(moves)} times"
        said.append(
            f"moved {times}: planned figures and baselines are those of the plan that was "
            f"accepted. The last move: {moves[-1].detail}"
        )
    if account.alive:
        said.append(f"a hub is still alive: counted up to {utc(account.as_of, seconds=True)}")
    if not record.intensities and account.hubs:
        said.append("the run is not settled yet: its grid intensity is the plan's")
    if realised.kwh is None:
        said.append("no energy was metered, so realised energy and carbon are unknown")
    elif realised.gaps:
        share = "" if realised.coverage is None else f" ({percent(realised.coverage)} metered)"
        lost = sum(gap.seconds for gap in realised.gaps)
        said.append(
            f"{duration(lost)} of the hubs' {duration(realised.hub_s)} had no meter{share}: "
            "realised energy is a lower bound"
        )
    if realised.kwh_without_intensity > 0:
        said.append(
            f"{kwh(realised.kwh_without_intensity)} fell into hours without a known grid intensity: "
            "not in the operational figure"
        )
    if realised.carbon.embodied_unpublished:
        said.append(
            f"embodied carbon is not published for {', '.join(realised.carbon.embodied_unpublished)}: "
            "not in the total"
        )
    return said


def method(record: RunRecord, account: Account) -> list[str]:
    """Return how each kind of figure was worked out, with boundary and source."""
    zones = [f"{zone}: {series.basis}" for zone, series in intensities(record).items()]
    moved = (
        "A rehearsal moves no data between regions, so its realised transfer is zero."
        if record.rehearsal
        else "Bytes are not metered, so the realised transfer is the plan's."
    )
    return [
        f"Energy: {_meters(account)}; x PUE of {_pue(record)}. Planned energy: {_planned_power(record)}.",
        "Operational carbon: energy x grid intensity of the zone in each hour, on the run's own clock; "
        "measurements are split at hour boundaries. Location-based: no certificates or contracts count.",
        f"Grid intensity: {'; '.join(zones)}.",
        "Embodied carbon: the published share of an instance and hour x nodes x the hub's life.",
        f"Transfer: a range, since network energy is only known as 0.001 to 0.06 kWh/GB. {moved}",
        "Cost: the accepted price x nodes x the hub's life, from its creation until the provider listed "
        "nothing any more. Not an invoice.",
        f"Baselines: planned figures, frozen before optimising at {utc(account.planned_at)} on the plan's "
        "clock, with the same inputs and model as the plan. They never ran.",
        "SCI (ISO/IEC 21031:2024): (operational + embodied) / R; transfer is not in it.",
    ]


def _meters(account: Account) -> str:
    used = sorted({part for meter in account.realised.meters for part in meter.by.split("+")})
    return " + ".join(METERS.get(name, name) for name in used) or "nothing was metered"


def _planned_power(record: RunRecord) -> str:
    segments = record.plan["chosen"]["segments"]
    return " and ".join(dict.fromkeys(s["powerBasis"].partition(",")[0].partition(":")[0] for s in segments))


def _pue(record: RunRecord) -> str:
    segments = record.plan["chosen"]["segments"]
    return ", then ".join(dict.fromkeys(f"{s['pue']:g} ({s['pueBasis']})" for s in segments))
