"""From a file to a plan: what `plan`, `apply` and `render` share."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.cli.forecast_option import signal_for
from harchos_infra.cli.moment import parse_now
from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from harchos_infra.catalog import Catalog
    from harchos_infra.grid.signal import Signal
    from harchos_infra.planner.plan import Plan
    from harchos_infra.policy.loader import LoadedPolicy
    from harchos_infra.workload.loader import LoadedWorkload


def make_plan(
    path: Path | str,
    *,
    now: datetime,
    signal: Signal,
    policy: LoadedPolicy | None = None,
    quotas: Path | str | None = None,
) -> tuple[Plan, LoadedWorkload]:
    """Load a workload and plan it as of `now` on `signal`, within `policy`; a recurring one at its next tick.

    `quotas` is a file of them, for a queue. What the document says in vain goes to standard error.
    """
    from harchos_infra.planner.planner import plan
    from harchos_infra.runs.calibration import read_calibration
    from harchos_infra.workload.loader import load
    from harchos_infra.workload.occurrence import next_occurrence

    loaded = load(path)
    _say_what_is_in_vain(loaded)
    loaded = replace(loaded, workload=next_occurrence(loaded.workload, now))
    decide = plan if loaded.workload.spec.items is None else _queue_planner(quotas)
    made = decide(
        loaded.workload,
        catalog=catalog_for(loaded),
        signal=signal,
        now=now,
        source={"path": str(path), "sha256": loaded.sha256},
        measured=read_calibration(loaded.workload.metadata.name),
        policy=policy,
    )
    return made, loaded


def _queue_planner(path: Path | str | None) -> Callable[..., Plan]:
    """Return what plans a queue within the quotas of a file."""
    from functools import partial

    from harchos_infra.catalog import Catalog
    from harchos_infra.planner.fleet.quota import load_quotas
    from harchos_infra.planner.queue import plan_queue

    return partial(plan_queue, quotas=None if path is None else load_quotas(path, Catalog.builtin()))


def _say_what_is_in_vain(loaded: LoadedWorkload) -> None:
    for warning in loaded.warnings:
        note(f"warning: {warning}")
    for field in loaded.ignored:
        note(f"no effect: {loaded.path}:{field.line}: {field.path}: {field.reason}")


def catalog_for(loaded: LoadedWorkload) -> Catalog:
    """Return the built-in catalogue, with this machine if the workload may run on it."""
    from harchos_infra.runs import catalog

    return catalog.catalog_for(loaded.workload)


def plan_or_replan(
    source: Path, *, now: str | None = None, signal: str | None = None, policy: LoadedPolicy | None = None
) -> tuple[Plan, LoadedWorkload, str]:
    """Read a plan file, or plan a workload file; return the plan, its workload and its `--signal`.

    A plan file brings its own time and signal, and names the workload it was made from; `policy` is not asked
    about it here (`refuse_if_forbidden`).
    """
    if not is_plan_file(source):
        moment = parse_now(now)
        made, loaded = make_plan(source, now=moment, signal=signal_for(signal, None, moment), policy=policy)
        return made, loaded, _signal_of(made)
    from harchos_infra.errors import HarchosError
    from harchos_infra.workload.loader import load

    if now is not None or signal is not None:
        raise HarchosError(
            f"{source} is a plan: it has its own time and signal", hint="leave --now and --signal out"
        )
    read = read_plan_file(source)
    return read, load(read.inputs["workload"]["path"]), _signal_of(read)


def refuse_if_drifted(
    source: Path, plan: Plan, *, rehearse: bool = False, policy: LoadedPolicy | None = None
) -> None:
    """Raise HarchosError naming what has moved since a plan file was written; other sources pass.

    A rehearsal sets its own clock to the plan's, so that the time that has passed does not count.
    """
    if not is_plan_file(source):
        return
    from harchos_infra.errors import HarchosError
    from harchos_infra.planner.drift import drift

    path = plan.inputs["workload"]["path"]
    now = plan.now if rehearse else parse_now(None)
    signal = signal_for(_signal_of(plan), _forecast_of(plan), now)
    quotas = plan.inputs.get("queue", {}).get("quotas", {}).get("path")
    again, _ = make_plan(path, now=now, signal=signal, policy=policy, quotas=quotas)
    moved = drift(plan, again)
    if moved:
        raise HarchosError(
            f"{source}: the plan no longer holds\n" + "\n".join(f"  {what}" for what in moved),
            hint=f"plan again: harchos plan {path} --out {source}",
        )


def is_plan_file(path: Path) -> bool:
    """Tell a plan from a workload: a plan file is a JSON object that names its schema first."""
    try:
        with path.open("rb") as stream:
            return re.match(rb'\s*\{\s*"schema"', stream.read(64)) is not None
    except OSError:
        return False


def read_plan_file(path: Path) -> Plan:
    """Read a plan file; every error names it."""
    from harchos_infra.errors import HarchosError
    from harchos_infra.planner.plan import Plan

    try:
        return Plan.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarchosError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise HarchosError(f"{path}: not a plan file: it is not text") from None
    except HarchosError as error:
        raise HarchosError(f"{path}: {error.what}", hint=error.hint) from error


def _signal_of(plan: Plan) -> str:
    """Return the `--signal` that a plan was made with."""
    return str(plan.inputs["signal"]["name"])


def _forecast_of(plan: Plan) -> str | None:
    forecast = plan.inputs["signal"].get("forecast")
    return None if forecast is None else str(forecast["asked"])
