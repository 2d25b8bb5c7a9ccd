"""Planning a waiting run again on what is known by now: same workload, catalogue, signal and deadline.

It stays within what this version runs: one segment of one node, on clouds that hubs can be made on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from harchos_infra.clouds.cloud import WITH_HUBS
from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.forecast_signal import with_forecast
from harchos_infra.grid.parse import parse_signal
from harchos_infra.planner.encoding import decode_segment
from harchos_infra.planner.plan import Segment
from harchos_infra.planner.replan import Move, Stay
from harchos_infra.planner.replan import reconsider as decide_again
from harchos_infra.planner.request import CLOUDS
from harchos_infra.runs.calibration import read_calibration
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.workload.document import Workload

_REPLACED = ("deadline", "interruptible")


def reconsider(
    plan: Mapping[str, Any], segment: Mapping[str, Any], *, signal: str | None, now: datetime
) -> Stay | Move:
    """Decide whether a run that was begun with `plan` (`harchos.plan/1`) leaves the segment it waits for.

    `signal` is the run's `--signal` option, `now` its own clock. Reads settings, ledger and signal, writes
    nothing. A run of a fleet under quotas stays: its place is part of theirs. HarchosError where one of them
    fails.
    """
    if "fleet" in plan["inputs"]:
        return Stay("its place was given to it together with others, under quotas")
    workload = waiting_workload(plan)
    asked = plan["inputs"]["signal"].get("forecast", {}).get("asked")
    decision = decide_again(
        workload,
        decode_segment(segment),
        catalog=catalog_for(workload),
        signal=with_forecast(parse_signal(signal), asked, now),
        now=now,
        measured=read_calibration(workload.metadata.name),
    )
    if isinstance(decision, Move) and [_kind(s) for s in decision.to.segments] != [(1, None)]:
        return Stay("the best schedule now is of a kind that this version does not run")
    return decision


def _kind(segment: Segment) -> tuple[int, float | None]:
    return segment.nodes, segment.gpu_limit_watts


def waiting_workload(plan: Mapping[str, Any]) -> Workload:
    """Return the plan's workload, not to be paused, its deadline as the time it was, on clouds with hubs.

    A plan has no values of environment variables; the job that was staged has them, and no plan depends on
    them. Raises HarchosError where the plan is of a version that knew other fields.
    """
    document = dict(plan["workload"])
    spec = {key: value for key, value in document["spec"].items() if key not in _REPLACED}
    if "env" in spec:
        spec["env"] = [{**variable, "value": ""} for variable in spec["env"]]
    deadline = plan["inputs"]["horizon"]["deadline"]
    if deadline is not None:
        spec["deadline"] = deadline
    place = dict(spec.get("placement", {}))
    place["providers"] = sorted(set(place.get("providers") or CLOUDS) & WITH_HUBS)
    try:
        return Workload.model_validate({**document, "spec": {**spec, "placement": place}}, by_name=False)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        raise HarchosError(f"the plan's workload cannot be read by this version: {wrong}") from error
