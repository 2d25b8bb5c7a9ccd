"""Planning a run again on what is known by now: same workload, catalogue, signal and deadline.

It stays within what this version runs: on clouds that hubs can be made on, without a power limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from harchos_infra.catalog import Catalog
from harchos_infra.errors import HarchosError
from harchos_infra.grid.forecast.forecast_signal import with_forecast
from harchos_infra.grid.parse import parse_signal
from harchos_infra.grid.signal import Signal
from harchos_infra.planner.encoding import decode_segment
from harchos_infra.planner.measured import Calibration
from harchos_infra.planner.plan import Schedule, Segment
from harchos_infra.planner.planner import plan as make_plan
from harchos_infra.planner.replan import Move, Stay
from harchos_infra.planner.replan import reconsider as decide_again
from harchos_infra.planner.request import CLOUDS
from harchos_infra.policy.loader import LoadedPolicy, recorded_policy
from harchos_infra.runs.calibration import read_calibration
from harchos_infra.runs.catalog import catalog_for
from harchos_infra.runs.mailboxes import with_hubs
from harchos_infra.runs.rest import Worked, rest, spent
from harchos_infra.runs.submit import loses_work
from harchos_infra.workload.document import Workload

OTHER_KIND = "the best schedule now is of a kind that this version does not run"


class Replanner:
    """Plans one run again, as of `now` on its own clock.

    `plan` is what it was begun with (`harchos.plan/1`), `worked` what its hubs have done, oldest first, and
    `failed` the offers that could not be had. `share_left`: of its work, where that does not follow from
    `worked`. Reads settings, ledger and signal, writes nothing. HarchosError where one of them fails.
    """

    def __init__(
        self,
        plan: Mapping[str, Any],
        *,
        signal: str | None,
        now: datetime,
        rehearsal: bool = False,
        worked: Sequence[Worked] = (),
        failed: Collection[tuple[str, str, str, str]] = (),
        share_left: float | None = None,
    ) -> None:
        self._plan, self._now, self._worked, self._failed = plan, now, worked, failed
        self._signal = signal
        self._rehearsal = rehearsal
        self._share_left = share_left

    def reconsider(self, segments: Sequence[Mapping[str, Any]], *, runs: bool = False) -> Stay | Move:
        """Decide whether the run leaves the segments still before it.

        `runs`: its job is under way in the first of them. A run of a fleet under quotas stays: its place is
        part of theirs.
        """
        if "fleet" in self._plan["inputs"]:
            return Stay("its place was given to it together with others, under quotas")
        held = [decode_segment(segment) for segment in segments]
        if runs:
            held[0] = replace(held[0], start=max(held[0].start, self._now), restart_s=0)
        workload, measured, catalog, signal = self._world(runs=runs)
        decision = decide_again(
            workload,
            held,
            catalog=catalog,
            signal=signal,
            now=self._now,
            measured=measured,
            policy=self._policy(),
            runs=runs,
        )
        if isinstance(decision, Move) and not self._can_be_run(decision.to.segments):
            return Stay(OTHER_KIND)
        return decision

    def next_best(self) -> Schedule:
        """Return the best schedule without the offers that failed; HarchosError where there is none.

        A run of a fleet under quotas keeps to the offers that it was given.
        """
        workload, measured, catalog, signal = self._world(runs=False)
        if "fleet" in self._plan["inputs"]:
            given = self._plan["chosen"]["segments"]
            catalog = catalog.only({decode_segment(segment).offer for segment in given})
        policy = self._policy()
        again = make_plan(
            workload, catalog=catalog, signal=signal, now=self._now, measured=measured, policy=policy
        )
        if again.chosen is None:
            raise HarchosError(f"no other candidate is left: {again.nearest_miss}")
        if not self._can_be_run(again.chosen.segments):
            raise HarchosError(OTHER_KIND)
        return again.chosen

    def _can_be_run(self, segments: Sequence[Segment]) -> bool:
        limited = any(segment.gpu_limit_watts is not None for segment in segments)
        return not limited and not loses_work(segments, self._plan["workload"]["spec"])

    def _policy(self) -> LoadedPolicy | None:
        """Return the policy that the run was accepted under, less what its hubs have cost."""
        policy = recorded_policy(self._plan["inputs"])
        return None if policy is None else policy.after(*spent(self._worked))

    def _world(self, *, runs: bool) -> tuple[Workload, Calibration, Catalog, Signal]:
        workload = begun_workload(self._plan, rehearsal=self._rehearsal)
        catalog = catalog_for(workload)
        measured = read_calibration(workload.metadata.name)
        left, measured = rest(
            workload, catalog, measured, self._worked, self._now, runs=runs, share=self._share_left
        )
        asked = self._plan["inputs"]["signal"].get("forecast", {}).get("asked")
        signal = with_forecast(parse_signal(self._signal), asked, self._now)
        return left, measured, catalog.without(self._failed), signal


def begun_workload(plan: Mapping[str, Any], *, rehearsal: bool = False) -> Workload:
    """Return the plan's workload, its deadline as the time it was, on clouds with hubs.

    A plan has no values of environment variables; the job that was staged has them, and no plan depends on
    them. Raises HarchosError where the plan is of a version that knew other fields.
    """
    return recorded_workload(
        plan["workload"], deadline=plan["inputs"]["horizon"]["deadline"], rehearsal=rehearsal
    )


def recorded_workload(
    recorded: Mapping[str, Any], *, deadline: str | None = None, rehearsal: bool = False
) -> Workload:
    """Return the workload of a document without values, as `begun_workload` does."""
    document = dict(recorded)
    spec = {key: value for key, value in document["spec"].items() if key != "deadline"}
    if "env" in spec:
        spec["env"] = [{**variable, "value": ""} for variable in spec["env"]]
    if deadline is not None:
        spec["deadline"] = deadline
    place = dict(spec.get("placement", {}))
    if not rehearsal:
        place["providers"] = sorted(set(place.get("providers") or CLOUDS) & with_hubs())
    try:
        return Workload.model_validate({**document, "spec": {**spec, "placement": place}}, by_name=False)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        raise HarchosError(f"the plan's workload cannot be read by this version: {wrong}") from error
