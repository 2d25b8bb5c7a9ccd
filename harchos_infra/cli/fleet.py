"""`harchos plan` with several workloads: planned together, under shared quotas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.cli.output import note
from harchos_infra.errors import HarchosError

if TYPE_CHECKING:
    from datetime import datetime

    from harchos_infra.grid.signal import Signal
    from harchos_infra.planner.fleet.fleet import Fleet
    from harchos_infra.policy.loader import LoadedPolicy


def make_fleet(
    paths: Sequence[Path],
    *,
    quotas: Path | None,
    now: datetime,
    signal: Signal,
    policy: LoadedPolicy | None = None,
) -> Fleet:
    """Load the workloads that files and directories hold, and plan them together, each within `policy`."""
    from harchos_infra.catalog import Catalog
    from harchos_infra.cli.planning import catalog_for, make_plan
    from harchos_infra.planner.fleet.fleet import plan_fleet
    from harchos_infra.planner.fleet.member import Member
    from harchos_infra.planner.fleet.quota import Quotas, load_quotas
    from harchos_infra.planner.queue import member_of
    from harchos_infra.runs.calibration import read_calibration

    limits = Quotas() if quotas is None else load_quotas(quotas, Catalog.builtin())
    beside = [file for file in (quotas, Path(policy.path) if policy else None) if file is not None]
    members = []
    for path in _files(paths, beside):
        plan, loaded = make_plan(path, now=now, signal=signal, policy=policy, quotas=quotas)
        workload, catalog = loaded.workload, catalog_for(loaded)
        known = read_calibration(workload.metadata.name)
        if workload.spec.items is None:
            members.append(Member(workload, catalog, plan, known, policy))
        else:
            members.append(member_of(plan, workload, catalog, known, policy))
    return plan_fleet(members, quotas=limits, signal=signal)


def _files(paths: Sequence[Path], beside: Sequence[Path]) -> Iterator[Path]:
    """Yield each file, and of each directory its `*.yaml` in order, but for those of quotas and policy."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = [
            file
            for file in sorted(path.glob("*.yaml"))
            if not any(other.exists() and file.samefile(other) for other in beside)
        ]
        if not found:
            raise HarchosError(f"{path}: no workload in it", hint="files of a fleet are named *.yaml")
        yield from found


def show(fleet: Fleet, format: str, *, explain: bool) -> str:
    """Return the fleet as `table`, `json` or `markdown`; `explain` adds every workload's own page."""
    if format == "json":
        return fleet.dumps()
    from harchos_infra.cli import fleet_view, plan_view
    from harchos_infra.cli.output import text_width

    plans = [entry.plan for entry in fleet.entries] if explain else []
    if format == "markdown":
        pages = [plan_view.render_markdown(plan, explain=True) for plan in plans]
        return "\n".join([fleet_view.render_markdown(fleet), *pages])
    width = text_width(plan_view.WIDTH)
    pages = [plan_view.render_text(plan, explain=True, width=width) for plan in plans]
    return "\n\n".join([fleet_view.render_text(fleet, width=width), *pages])


def write(folder: Path, fleet: Fleet) -> None:
    """Write one plan file a workload, named after it, for `apply` and `render`."""
    from harchos_infra.cli.plan import write_plan

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarchosError(
            f"{folder}: {error.strerror}", hint="--out of several workloads names a folder"
        ) from error
    for entry in fleet.entries:
        write_plan(folder / f"{entry.member.name}.json", entry.plan)
    note(f"{folder}: plans of {len(fleet.entries)} workloads")
