"""The reconcile loop: observe, compare with what is wanted, act once, record.

    wait -> provision -> run -> destroy -> collect -> settle -> done
      ^                            |
      +------- next segment -------+

Each step may be cut off anywhere and is then done again by the next owner: intents are in the ledger before
outside calls, calls are idempotent, and what matters (is the hub there? did the job end?) is observed,
not remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import RowMapping

from harchos_infra.clouds.cloud import require_same_account
from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.package import build_agent
from harchos_infra.hub.status import FINAL as ENDED
from harchos_infra.planner.encoding import decode_segment, encode
from harchos_infra.planner.plan import Segment
from harchos_infra.planner.replan import Move
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.runs import segment
from harchos_infra.runs.calibration import hub_figures, lifetime
from harchos_infra.runs.clock import Clock, RunClock, next_hour
from harchos_infra.runs.collect import collect, copy_outputs
from harchos_infra.runs.feed import RETURNED, Feed
from harchos_infra.runs.hub import hub_cloud, hub_spec
from harchos_infra.runs.job import SERVICE_TYPES
from harchos_infra.runs.ledger import FINAL, Lease, Ledger
from harchos_infra.runs.mailboxes import mailbox_root, node_boxes_of
from harchos_infra.runs.metrics import NAME, read_metrics
from harchos_infra.runs.rented import is_rented
from harchos_infra.runs.replan import Replanner, begun_workload
from harchos_infra.runs.rest import Worked, worked
from harchos_infra.runs.settle import forecast_errors, realised_intensities, signal_name
from harchos_infra.runs.stage import forget_secrets, stage_hub
from harchos_infra.runs.submit import ttl_s
from harchos_infra.runs.verdict import Verdict
from harchos_infra.runs.watch import Watch
from harchos_infra.settings import home

POLL_S = 0.5
MAILBOX_PAUSE_S = 5.0
PROVISION_ATTEMPTS = 3
"""Where Terraform was killed, or agents died as they began; a cloud that refuses is not asked again."""
DESTROY_ATTEMPTS = 3
MOST_HUBS = 100
HURRIED_TTL_S = 300.0
"""What a hub gets on top of its TTL where that runs faster than starting, saving and stopping do."""
INTERRUPTIONS = {
    "spot": "the machine was taken back",
    "lost": "the hub was lost",
    "refused": "the hub could not be made",
    RETURNED: "items came back when its hub had ended",
}


Report = Callable[[str, str], None]


class Reconciler:
    """Drives one run at a time, as the owner of its lease. `report(kind, detail)` hears every event."""

    def __init__(self, ledger: Ledger, clock: Clock, report: Report) -> None:
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._provisioner = Provisioner()
        self._watch = Watch(ledger, clock)
        self._feed = Feed(ledger)
        self.hurry = False
        """Set when the user asks twice: the hub is taken down without waiting for the job's last words."""

    def step(self, lease: Lease) -> float | None:
        """Act once for the run; returns the seconds after which to look again, None when it is done."""
        run = self._ledger.run(lease.run)
        if run["phase"] == FINAL:
            return None
        step = {
            "wait": self._wait,
            "provision": self._provision,
            "run": self._run,
            "destroy": self._destroy,
            "collect": self._collect,
            "settle": self._settle,
        }[run["phase"]]
        try:
            return step(lease, run)
        except MailboxError as error:
            self._report("mailbox", str(error))
            return MAILBOX_PAUSE_S

    def take_down_unrecorded(self, run: str) -> None:
        """Take the run's hubs down while the ledger cannot be written; it is told when it can be again.

        The run stays in its phase, and its next owner finds the hub gone.
        """
        row = self._ledger.run(run)
        for hub in self._ledger.hubs(run):
            if hub["gone_at"] is None:
                self._provisioner.destroy(hub_spec(row, hub), self._hear_terraform)
                self._report("gone", f"hub {hub['hub']}; the ledger could not be told")

    # phases

    def _wait(self, lease: Lease, run: RowMapping) -> float:
        if run["desired"] == "stop":
            return self._enter(
                lease, "destroy", "stopped before it started", outcome="stopped", reason=run["reason"]
            )
        if self._feed.is_empty(run):
            reason = "no item waits any more: its hub is not made"
            return self._enter(lease, "destroy", reason, outcome="succeeded", reason=reason)
        start = segment.begins(run)
        now = self._run_now(run)
        left_s = RunClock.of(run).real_s((start - now).total_seconds())
        if left_s > 0:
            if self._is_time_to_replan(run, now):
                self._replan(lease, run, now)
                return 0.0
            return min(left_s, POLL_S)
        stand_in = " (rehearsal: a stand-in on this machine)" if run["rehearsal"] else ""
        where = f"{segment.count(run)}{segment.place(run)}{stand_in} from {start:%Y-%m-%d %H:%M} UTC"
        return self._enter(lease, "provision", where)

    def _provision(self, lease: Lease, run: RowMapping) -> float:
        if run["desired"] == "stop":
            return self._enter(
                lease, "destroy", "stopped while provisioning", outcome="stopped", reason=run["reason"]
            )
        try:
            hub = self._intended_hub(lease, run)
        except HarchosError as error:
            return self._enter(lease, "destroy", str(error), outcome="failed", reason=str(error))
        spec = hub_spec(run, hub)
        operation, attempt = self._ledger.intend(lease, "provision", {"hub": hub["hub"]})
        try:
            spec.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            build_agent(spec.agent)
            resumed = stage_hub(run, hub, self._ledger.hubs(run["id"])[:-1])
            if resumed:
                self._say(lease, "resume", f"{hub['hub']} {resumed}")
            self._say(lease, "terraform", f"apply, attempt {attempt}")
            outputs = self._provisioner.create(spec, self._hear_terraform)
        except (HarchosError, OSError) as error:
            self._ledger.conclude(lease, operation, "failed", {"error": str(error)})
            if attempt < PROVISION_ATTEMPTS and _code(error) == "crash":
                self._report("terraform", f"attempt {attempt}: {error}")
                return 2.0 * attempt
            return self._refused(lease, run, hub, error)
        entered = ("phase", f"run: hub {hub['hub']} is up")
        self._ledger.conclude(
            lease, operation, "done", dict(outputs), hub={"state": "created"}, phase="run", events=[entered]
        )
        self._report(*entered)
        return 0.0

    def _refused(
        self, lease: Lease, run: RowMapping, hub: RowMapping, error: HarchosError | OSError
    ) -> float:
        """A hub that could not be made is taken down; where another place may do, the run goes on there.

        One whose agent died as it began tells nothing of its place.
        """
        if _code(error) == "agent" and self._refusals(run) < PROVISION_ATTEMPTS:
            return self._enter(lease, "destroy", str(error), interruption="lost")
        if not getattr(error, "elsewhere", False):
            reason = f"provisioning: {error}"
            return self._enter(lease, "destroy", str(error), outcome="failed", reason=reason)
        failed = [*run["failed_offers"], _refused_offers(hub["place"], error)]
        return self._enter(lease, "destroy", str(error), interruption="refused", failed_offers=failed)

    def _refusals(self, run: RowMapping) -> int:
        """Return how many hubs in a row could not be made; a call that died with its owner says nothing."""
        calls = (op for op in reversed(self._ledger.operations(run["id"])) if op["phase"] == "provision")
        return len({op["intent"]["hub"] for op in takewhile(lambda op: op["state"] != "done", calls)})

    def _run(self, lease: Lease, run: RowMapping) -> float:
        hub = self._ledger.hubs(run["id"])[-1]
        boxes = node_boxes_of(hub)
        box = boxes[0]
        now = self._run_now(run)
        leaves = segment.leaves(run)
        if run["desired"] == "stop":
            self._ask(box, "stop", run["reason"])
        elif leaves is not None and now >= leaves:
            self._ask(box, "checkpoint", _until_when(run))
        self._watch.read_power(lease, hub, boxes)
        status = box.get_json("status.json") or {}
        for kind, detail in self._watch.news(hub, status):
            self._say(lease, kind, detail)
        stays = run["desired"] == "run" and (leaves is None or now < leaves)
        self._feed.step(
            lease, run, hub, box, now, gives=stays and status.get("phase") in ("starting", "running")
        )
        verdict = self._feed.verdict(run, self._verdict(run, hub, boxes, status))
        if verdict is None:
            if status.get("phase") == "running" and self._is_time_to_replan(run, now):
                self._replan(lease, run, now, hub, status)
            return POLL_S
        changes: dict[str, Any] = {"outcome": verdict.outcome, "interruption": verdict.interruption}
        if verdict.outcome is not None:
            changes["reason"] = verdict.reason
        elif verdict.interruption == "spot":
            changes["failed_offers"] = [*run["failed_offers"], segment.offer(hub["place"])]
        what = verdict.outcome or verdict.interruption or "paused"
        return self._enter(lease, "destroy", f"{what}: {verdict.reason}", **changes)

    def _destroy(self, lease: Lease, run: RowMapping) -> float:
        for hub in self._ledger.hubs(run["id"]):
            if hub["gone_at"] is not None:
                continue
            operation, attempt = self._ledger.intend(lease, "destroy", {"hub": hub["hub"]})
            try:
                if is_rented(run, hub["place"]):
                    require_same_account(hub_cloud(run, hub["place"]), hub["identity"])
                self._provisioner.destroy(hub_spec(run, hub), self._hear_terraform)
            except HarchosError as error:
                self._ledger.conclude(
                    lease, operation, "failed", {"error": error.what}, hub={"state": "unknown"}
                )
                self._say(lease, "destroy", f"attempt {attempt}: {error.what}")
                if attempt >= DESTROY_ATTEMPTS:
                    raise HarchosError(
                        f"hub {hub['hub']} may still be there: {error.what}",
                        hint="try again with `harchos sweep`",
                    ) from error
                return 2.0 * attempt
            what = (
                f"{hub['place']['provider']} lists nothing of it"
                if is_rented(run, hub["place"])
                else "no process, container, cgroup or state entry is left"
            )
            gone = ("gone", f"hub {hub['hub']}: {what}")
            gone_at = max(self._clock.now().timestamp(), hub["created_at"])
            self._ledger.conclude(
                lease, operation, "done", {}, hub={"state": "gone", "gone_at": gone_at}, events=[gone]
            )
            self._report(*gone)
        for hub in self._ledger.hubs(run["id"])[-1:]:
            for box in node_boxes_of(hub):
                box.delete("secrets.json")
        ended = self._feed.settle(lease, run, self._ledger.hubs(run["id"]))
        if run["outcome"] is None:
            return self._go_on(lease, run)
        forget_secrets(run, self._ledger.hubs(run["id"]))
        return self._enter(lease, "collect", ended.get("reason", ""), **ended)

    def _go_on(self, lease: Lease, run: RowMapping) -> float:
        """Wait for the next segment: that of the schedule, or after an interruption of a new one."""
        if run["desired"] == "stop":
            return self._enter(lease, "destroy", "stopped", outcome="stopped", reason=run["reason"])
        if self._feed.is_empty(run):
            reason = "no item waits any more"
            return self._enter(lease, "destroy", reason, outcome="succeeded", reason=reason)
        if run["interruption"] is None:
            number = run["segment"] + 1
            after = run["segments"][number]
            where = f"segment {number + 1} of {len(run['segments'])}, {segment.place(run, after)}"
            when = f"from {datetime.fromisoformat(after['start']):%Y-%m-%d %H:%M} UTC"
            hub_ttl_s = self._ttl_s(run, decode_segment(after))
            return self._enter(lease, "wait", f"{where}, {when}", segment=number, ttl_s=hub_ttl_s)
        hubs = self._ledger.hubs(run["id"])
        now = self._run_now(run)
        try:
            if len(hubs) >= MOST_HUBS:
                raise HarchosError(f"the run has had {len(hubs)} hubs")
            chosen = self._replanner(run, now, self._worked(run, hubs)).next_best()
        except HarchosError as error:
            reason = f"{INTERRUPTIONS[run['interruption']]}, and {error.what}"
            return self._enter(lease, "destroy", reason, outcome="failed", reason=reason)
        behind = run["segments"][: run["segment"] + (0 if run["interruption"] == "refused" else 1)]
        first = chosen.segments[0]
        where = f"{segment.place(run, encode(first))} from {first.start:%Y-%m-%d %H:%M} UTC"
        return self._enter(
            lease,
            "wait",
            f"{INTERRUPTIONS[run['interruption']]}; goes on at {where}",
            segments=[*behind, *(encode(s) for s in chosen.segments)],
            segment=len(behind),
            interruption=None,
            planned_at=now.timestamp(),
            next_at=next_hour(now).timestamp(),
            ttl_s=self._ttl_s(run, first),
        )

    def _collect(self, lease: Lease, run: RowMapping) -> float:
        hubs = self._ledger.hubs(run["id"])
        units: dict[str, float] = {}
        for hub in hubs:
            boxes = node_boxes_of(hub)
            self._watch.read_power(lease, hub, boxes)
            status = boxes[0].get_json("status.json") or {}
            served = _units(boxes)
            if run["type"] in SERVICE_TYPES:
                served = {unit: units.get(unit, 0.0) + count for unit, count in served.items()}
            units |= served
            measurements = self._ledger.measurements(hub["hub"])
            figures = hub_figures(status, measurements, comparable=self._has_least_nodes(run, hub))
            self._ledger.update_hub(lease, hub["hub"], **figures, **lifetime(hub, measurements))
        folder = home() / "runs" / run["id"]
        outputs = collect([node_boxes_of(hub) for hub in hubs], folder)
        if run["queue"] is not None:
            units = self._feed.units(run)
            outputs = copy_outputs(self._feed.put_out(hubs), home() / "runs" / run["queue"])
        metrics = read_metrics(folder / "outputs" / NAME)
        self._ledger.update_run(lease, outputs=outputs, units=units, metrics=metrics)
        many = "file" if len(outputs) == 1 else "files"
        where = f"{len(outputs)} {many} in {home() / 'runs' / (run['queue'] or run['id'])}" if outputs else ""
        return self._enter(lease, "settle", where)

    def _settle(self, lease: Lease, run: RowMapping) -> float:
        record, now = self._ledger.record(run["id"]), self._clock.now()
        intensities = realised_intensities(record, run["signal"])
        errors = forecast_errors(
            run["segments"],
            intensities,
            signal=signal_name(record.plan["inputs"]["signal"]),
            issued_at=datetime.fromtimestamp(run["planned_at"], UTC)
            if run["planned_at"]
            else datetime.fromisoformat(record.plan["now"]),
            now=now,
        )
        self._ledger.add_forecast_errors(lease, errors)
        self._ledger.update_run(lease, intensities=intensities, finished_at=now.timestamp())
        return self._enter(lease, FINAL, run["outcome"])

    # planning again

    def _is_time_to_replan(self, run: RowMapping, now: datetime) -> bool:
        """Each full hour; a rehearsal follows its plan."""
        return not run["rehearsal"] and bool(now.timestamp() >= run["next_at"])

    def _replan(
        self,
        lease: Lease,
        run: RowMapping,
        now: datetime,
        hub: RowMapping | None = None,
        status: Mapping[str, Any] | None = None,
    ) -> None:
        """Plan a run again on what is known now: one transaction moves it, else it stays as it is.

        `hub` and its `status`: that on which its job runs; only a job that may be paused is moved.
        """
        later: dict[str, Any] = {"next_at": next_hour(now).timestamp()}
        if hub is not None and not self._may_pause(run):
            self._ledger.update_run(lease, **later)
            return
        worked = self._worked(run, self._ledger.hubs(run["id"]), status)
        held = run["segments"][run["segment"] :]
        try:
            decision = self._replanner(run, now, worked).reconsider(held, runs=hub is not None)
        except (HarchosError, OSError) as error:
            self._replanned(lease, "replan", f"not planned again, the schedule stays: {error}", later)
            return
        if isinstance(decision, Move):
            self._move(lease, run, now, decision, runs=hub is not None, later=later)
        elif decision.confirmed:
            self._ledger.update_run(lease, next_at=later["next_at"])
            self._report("replan", f"the schedule stays: {decision.why}")
        else:
            self._replanned(lease, "replan", f"the schedule stays: {decision.why}", later)

    def _move(
        self,
        lease: Lease,
        run: RowMapping,
        now: datetime,
        move: Move,
        *,
        runs: bool,
        later: Mapping[str, Any],
    ) -> None:
        behind = run["segments"][: run["segment"]]
        ahead = [encode(s) for s in move.to.segments]
        first = move.to.segments[0]
        if runs:
            ahead = segment.joined(segment.current(run), ahead, now)
        moved: dict[str, Any] = {
            **later,
            "segments": [*behind, *ahead],
            "planned_at": now.timestamp(),
        }
        if not runs:
            moved["ttl_s"] = self._ttl_s(run, first)
        where = segment.place(run, encode(first))
        since = "now" if runs else f"{segment.begins(run):%Y-%m-%d %H:%M}"
        detail = (
            f"{move.expected}: from {segment.place(run)} at {since} "
            f"to {where} at {first.start:%Y-%m-%d %H:%M} UTC; {move.why}"
        )
        self._replanned(lease, "moved", detail, moved)

    def _replanned(self, lease: Lease, kind: str, detail: str, values: Mapping[str, Any]) -> None:
        self._ledger.update_run(lease, events=[(kind, detail)], **values)
        self._report(kind, detail)

    def _replanner(self, run: RowMapping, now: datetime, worked: Sequence[Worked]) -> Replanner:
        return Replanner(
            self._ledger.decision(run["id"]),
            signal=run["signal"],
            now=now,
            rehearsal=run["rehearsal"],
            worked=worked,
            failed={(o[0], o[1], o[2], o[3]) for o in run["failed_offers"]},
            share_left=self._feed.share_left(run),
        )

    def _worked(
        self, run: RowMapping, hubs: Sequence[RowMapping], status: Mapping[str, Any] | None = None
    ) -> list[Worked]:
        """Return what each hub has done; `status` is that of the last one, while its job runs."""
        now = self._clock.now()
        return [
            worked(run, hub, status if hub is hubs[-1] else None, now, resumed=number > 0)
            for number, hub in enumerate(hubs)
        ]

    def _may_pause(self, run: RowMapping) -> bool:
        return bool(self._ledger.decision(run["id"])["workload"]["spec"].get("interruptible"))

    def _resumes(self, run: RowMapping) -> bool:
        """Tell whether the job goes on from its checkpoints, so that the loss of a hub is not its end."""
        if run["queue"] is not None:
            return True
        spec = self._ledger.decision(run["id"])["workload"]["spec"]
        return "checkpoint" in spec and run["type"] not in SERVICE_TYPES

    def _has_least_nodes(self, run: RowMapping, hub: RowMapping) -> bool:
        """Tell whether a hub has as many nodes as the estimates of its work are of, and did all of it."""
        if run["queue"] is not None:
            return False
        scaling = self._ledger.plan(run["id"])["workload"]["spec"].get("scaling")
        return not scaling or bool(hub["place"]["nodes"] == scaling.get("minNodes", 1))

    def _ttl_s(self, run: RowMapping, first: Segment) -> float:
        return ttl_s(begun_workload(self._ledger.decision(run["id"]), rehearsal=True), first)

    # watching

    def _verdict(
        self, run: RowMapping, hub: RowMapping, boxes: Sequence[Mailbox], status: Mapping[str, Any]
    ) -> Verdict | None:
        if self.hurry and status.get("phase") not in ENDED:
            return Verdict("stopped", "interrupted twice")
        return self._watch.verdict(run, hub, boxes, status, resumes=self._resumes(run))

    def _ask(self, box: Mailbox, want: str, reason: str) -> None:
        wanted = {"want": want, "reason": reason, **({"grace_s": 0} if self.hurry else {})}
        control = box.get_json("control.json") or {}
        if any(control.get(key) != value for key, value in wanted.items()):
            box.put_json("control.json", {**wanted, "at": self._clock.now().isoformat()})
            grace = "at once" if self.hurry else "and may save its work"
            self._report("stop", f"the job is asked to stop {grace} ({reason})")

    # acting

    def _intended_hub(self, lease: Lease, run: RowMapping) -> RowMapping:
        """Return the hub of the current segment, recorded before anything of it is made."""
        known = self._ledger.hubs(run["id"])
        if not known or known[-1]["gone_at"] is not None:
            now = self._clock.now()
            name = f"{run['id']}-h{len(known) + 1}"
            place = segment.current(run)
            ttl_s = RunClock.of(run).real_s(run["ttl_s"])
            if run["speed"] != 1.0:
                ttl_s += HURRIED_TTL_S
            self._ledger.intend_hub(
                lease,
                {
                    "hub": name,
                    "segment": run["segment"],
                    "place": place,
                    "mailbox": mailbox_root(place, rehearsal=run["rehearsal"]),
                    "state": "intended",
                    "identity": hub_cloud(run, place).identity(),
                    "created_at": now.timestamp(),
                    "expires_at": (now + timedelta(seconds=ttl_s)).timestamp(),
                },
                ("hub", f"{name} is about to be created"),
            )
            known = self._ledger.hubs(run["id"])
        return known[-1]

    def _run_now(self, run: RowMapping) -> datetime:
        return RunClock.of(run).at(self._clock.now())

    def _enter(self, lease: Lease, phase: str, why: str, **values: Any) -> float:
        self._ledger.update_run(
            lease, phase=phase, events=[("phase", f"{phase}: {why}" if why else phase)], **values
        )
        self._report("phase", f"{phase}: {why}" if why else phase)
        return 0.0

    def _hear_terraform(self, event: TerraformEvent) -> None:
        if event.type == "apply_complete":
            done = {"create": "created", "delete": "destroyed"}.get(event.action or "", event.action)
            self._report("terraform", f"{event.address} {done}")
        elif event.level != "info":
            self._report("terraform", f"{event.level}: {event}")

    def _say(self, lease: Lease, kind: str, detail: str) -> None:
        self._ledger.update_run(lease, events=[(kind, detail)])
        self._report(kind, detail)


def _code(error: HarchosError | OSError) -> str:
    return error.code if isinstance(error, ProvisionError) else "other"


def _refused_offers(place: Mapping[str, Any], error: HarchosError | OSError) -> list[str]:
    """Return what else a refusal holds for: all of a cloud, of a region, or the one offer."""
    provider, region, *offer = segment.offer(place)
    code = _code(error)
    if code in ("permission", "credentials", "bucket", "user-data", "state-locked"):
        return [provider, "*", "*", "*"]
    return [provider, region, "*", "*"] if code == "region" else [provider, region, *offer]


def _until_when(run: RowMapping) -> str:
    after = run["segments"][run["segment"] + 1]
    start = datetime.fromisoformat(after["start"])
    return f"its segment ends; it goes on at {segment.place(run, after)} from {start:%Y-%m-%d %H:%M} UTC"


def _units(boxes: Sequence[Mailbox]) -> dict[str, float]:
    """Return the units that a hub's nodes reported; of one unit, what the last of them did."""
    units: dict[str, float] = {}
    for box in boxes:
        units |= (box.get_json("status.json") or {}).get("units") or {}
    return units
