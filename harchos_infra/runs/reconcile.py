"""The reconcile loop: observe, compare with what is wanted, act once, record.

    wait -> provision -> run -> destroy -> collect -> settle -> done

Each step may be cut off anywhere and is then done again by the next owner: intents are in the ledger before
outside calls, calls are idempotent, and what matters (is the hub there? did the job end?) is observed,
not remembered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from harchos_infra.clouds.cloud import Cloud, cloud
from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.package import build_agent
from harchos_infra.hub.status import FINAL as ENDED
from harchos_infra.planner.encoding import encode
from harchos_infra.planner.replan import Move
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.runs.calibration import hub_figures
from harchos_infra.runs.clock import EXPIRY_MARGIN_S, Clock, next_hour
from harchos_infra.runs.collect import collect
from harchos_infra.runs.job import SERVICE_TYPES
from harchos_infra.runs.ledger import FINAL, Lease, Ledger
from harchos_infra.runs.mailboxes import mailbox_url
from harchos_infra.runs.replan import reconsider, waiting_workload
from harchos_infra.runs.settle import forecast_errors, realised_intensities, signal_name
from harchos_infra.runs.submit import default_ttl_s
from harchos_infra.settings import home

POLL_S = 0.5
MAILBOX_PAUSE_S = 5.0
LOST_AFTER_S = 20.0
HUNG_AFTER_S = 120.0
DESTROY_ATTEMPTS = 3

Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: str
    reason: str


class Reconciler:
    """Drives one run at a time, as the owner of its lease. `report(kind, detail)` hears every event."""

    def __init__(self, ledger: Ledger, clock: Clock, report: Report) -> None:
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._provisioner = Provisioner()
        self._powers_read: set[str] = set()
        self._told: set[str] = set()
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
                self._provisioner.destroy(self._spec(row, hub), self._hear_terraform)
                self._report("gone", f"hub {hub['hub']}; the ledger could not be told")

    # phases

    def _wait(self, lease: Lease, run: RowMapping) -> float:
        if run["desired"] == "stop":
            return self._enter(
                lease, "destroy", "stopped before it started", outcome="stopped", reason=run["reason"]
            )
        start = _start(run)
        now = self._run_now(run)
        left = (start - now).total_seconds()
        if left > 0:
            if now.timestamp() >= run["next_at"] and not run["rehearsal"]:
                self._replan(lease, run, now)
                return 0.0
            return min(left, POLL_S)
        return self._enter(lease, "provision", f"{_place(run)} from {start:%Y-%m-%d %H:%M} UTC")

    def _provision(self, lease: Lease, run: RowMapping) -> float:
        if run["desired"] == "stop":
            return self._enter(
                lease, "destroy", "stopped while provisioning", outcome="stopped", reason=run["reason"]
            )
        hub = self._intended_hub(lease, run)
        spec = self._spec(run, hub)
        operation, attempt = self._ledger.intend(lease, "provision", {"hub": hub["hub"]})
        self._say(lease, "terraform", f"apply, attempt {attempt}")
        try:
            spec.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            build_agent(spec.agent)
            outputs = self._provisioner.create(spec, self._hear_terraform)
        except (HarchosError, OSError) as error:
            self._ledger.conclude(lease, operation, "failed", {"error": str(error)})
            return self._enter(
                lease, "destroy", str(error), outcome="failed", reason=f"provisioning: {error}"
            )
        self._ledger.conclude(lease, operation, "done", dict(outputs))
        self._ledger.update_hub(lease, hub["hub"], state="created")
        return self._enter(lease, "run", f"hub {hub['hub']} is up")

    def _run(self, lease: Lease, run: RowMapping) -> float:
        hub = self._ledger.hubs(run["id"])[-1]
        box = Mailbox(mailbox_url(), run["id"], hub["hub"])
        if run["desired"] == "stop":
            self._ask_to_stop(box, run)
        self._read_power(lease, box, hub["hub"])
        status = box.get_json("status.json") or {}
        self._tell(lease, status)
        verdict = self._observe(run, hub, box, status)
        if verdict is None:
            return POLL_S
        return self._enter(
            lease,
            "destroy",
            f"{verdict.outcome}: {verdict.reason}",
            outcome=verdict.outcome,
            reason=verdict.reason,
        )

    def _destroy(self, lease: Lease, run: RowMapping) -> float:
        for hub in self._ledger.hubs(run["id"]):
            if hub["gone_at"] is not None:
                continue
            operation, attempt = self._ledger.intend(lease, "destroy", {"hub": hub["hub"]})
            try:
                self._provisioner.destroy(self._spec(run, hub), self._hear_terraform)
            except HarchosError as error:
                self._ledger.conclude(lease, operation, "failed", {"error": error.what})
                self._ledger.update_hub(lease, hub["hub"], state="unknown")
                self._say(lease, "destroy", f"attempt {attempt}: {error.what}")
                if attempt >= DESTROY_ATTEMPTS:
                    raise HarchosError(
                        f"hub {hub['hub']} may still be there: {error.what}",
                        hint="try again with `harchos sweep`",
                    ) from error
                return 2.0 * attempt
            self._ledger.conclude(lease, operation, "done", {})
            Mailbox(mailbox_url(), run["id"], hub["hub"]).delete("secrets.json")
            self._ledger.update_hub(lease, hub["hub"], state="gone", gone_at=self._clock.now().timestamp())
            self._say(
                lease, "gone", f"hub {hub['hub']}: no process, container, cgroup or state entry is left"
            )
        return self._enter(lease, "collect", "")

    def _collect(self, lease: Lease, run: RowMapping) -> float:
        outputs: list[dict[str, Any]] = []
        units: dict[str, float] = {}
        for hub in self._ledger.hubs(run["id"]):
            box = Mailbox(mailbox_url(), run["id"], hub["hub"])
            self._read_power(lease, box, hub["hub"])
            outputs += collect(box, home() / "runs" / run["id"])
            status = box.get_json("status.json") or {}
            for unit, count in (status.get("units") or {}).items():
                units[unit] = units.get(unit, 0.0) + count
            measurements = self._ledger.measurements(hub["hub"])
            self._ledger.update_hub(lease, hub["hub"], **hub_figures(status, measurements))
        self._ledger.update_run(lease, outputs=outputs, units=units)
        many = "file" if len(outputs) == 1 else "files"
        where = f"{len(outputs)} {many} in {home() / 'runs' / run['id']}" if outputs else ""
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

    def _replan(self, lease: Lease, run: RowMapping, now: datetime) -> None:
        """Plan a waiting run again on what is known now: one transaction moves it, else it stays as it is."""
        later = {"next_at": next_hour(now).timestamp()}
        plan = self._ledger.plan(run["id"])
        try:
            decision = reconsider(plan, _segment(run), signal=run["signal"], now=now)
        except (HarchosError, OSError) as error:
            self._replanned(lease, "replan", f"not planned again, the schedule stays: {error}", later)
            return
        if isinstance(decision, Move):
            segment = decision.to.segments[0]
            ttl_h = waiting_workload(plan).spec.ttl_h
            moved = {
                **later,
                "segments": [encode(s) for s in decision.to.segments],
                "planned_at": now.timestamp(),
                "ttl_s": default_ttl_s(segment) if ttl_h is None else ttl_h * 3600.0,
            }
            where = f"{segment.provider}/{segment.region} {segment.instance_type}"
            detail = (
                f"{decision.expected}: from {_place(run)} at {_start(run):%Y-%m-%d %H:%M} "
                f"to {where} at {segment.start:%Y-%m-%d %H:%M} UTC; {decision.why}"
            )
            self._replanned(lease, "moved", detail, moved)
        elif decision.confirmed:
            self._ledger.update_run(lease, next_at=later["next_at"])
            self._report("replan", f"the schedule stays: {decision.why}")
        else:
            self._replanned(lease, "replan", f"the schedule stays: {decision.why}", later)

    def _replanned(self, lease: Lease, kind: str, detail: str, values: Mapping[str, Any]) -> None:
        self._ledger.update_run(lease, events=[(kind, detail)], **values)
        self._report(kind, detail)

    # observing

    def _observe(
        self, run: RowMapping, hub: RowMapping, box: Mailbox, status: Mapping[str, Any]
    ) -> _Verdict | None:
        now = self._clock.now()
        if status.get("phase") in ENDED:
            return _verdict(run, status)
        if self.hurry:
            return _Verdict("stopped", "interrupted twice")
        if now.timestamp() > hub["expires_at"] + EXPIRY_MARGIN_S:
            return _Verdict("expired", "the hub outlived its TTL without saying so")
        heartbeat = box.get_json("heartbeat.json")
        beat = (
            datetime.fromisoformat(heartbeat["at"])
            if heartbeat
            else datetime.fromtimestamp(hub["created_at"], UTC)
        )
        silent_s = (now - beat).total_seconds()
        if silent_s < LOST_AFTER_S:
            return None
        if silent_s > HUNG_AFTER_S or not self._is_alive(run, hub):
            return _Verdict("failed", f"the hub has been silent for {silent_s:.0f} s")
        return None

    def _is_alive(self, run: RowMapping, hub: RowMapping) -> bool:
        return any(resource.kind != "cgroup" for resource in self._cloud(run).list(hub=hub["hub"]))

    def _tell(self, lease: Lease, status: Mapping[str, Any]) -> None:
        news = {
            "runner": status.get("runner") and status.get("runner_detail"),
            "ready": status.get("ready_at") and f"the service answers at {status.get('endpoint')}",
        }
        for kind, detail in news.items():
            if detail and kind not in self._told:
                self._told.add(kind)
                self._say(lease, kind, detail)

    def _ask_to_stop(self, box: Mailbox, run: RowMapping) -> None:
        wanted = {"want": "stop", "reason": run["reason"], **({"grace_s": 0} if self.hurry else {})}
        control = box.get_json("control.json") or {}
        if any(control.get(key) != value for key, value in wanted.items()):
            box.put_json("control.json", {**wanted, "at": self._clock.now().isoformat()})
            grace = "at once" if self.hurry else "and may save its work"
            self._report("stop", f"the job is asked to stop {grace} ({run['reason']})")

    def _read_power(self, lease: Lease, box: Mailbox, hub: str) -> None:
        rows = []
        for entry in box.list("power"):
            key = f"{hub}/{entry.name}"
            if key in self._powers_read:
                continue
            rows += [
                _measurement(hub, json.loads(line)) for line in (box.get(entry.name) or b"").splitlines()
            ]
            self._powers_read.add(key)
        self._ledger.add_measurements(lease, rows)

    # acting

    def _intended_hub(self, lease: Lease, run: RowMapping) -> RowMapping:
        known = self._ledger.hubs(run["id"])
        if not known:
            now = self._clock.now()
            name = f"{run['id']}-h1"
            self._ledger.intend_hub(
                lease,
                {
                    "hub": name,
                    "segment": 0,
                    "state": "intended",
                    "identity": self._cloud(run).identity(),
                    "created_at": now.timestamp(),
                    "expires_at": (now + timedelta(seconds=run["ttl_s"])).timestamp(),
                },
                ("hub", f"{name} is about to be created"),
            )
            known = self._ledger.hubs(run["id"])
        return known[-1]

    def _spec(self, run: RowMapping, hub: RowMapping) -> HubSpec:
        segment = _segment(run)
        return HubSpec(
            run=run["id"],
            hub=hub["hub"],
            workload=run["workload"],
            provider=segment["provider"],
            region=segment["region"],
            zone=segment["zone"],
            instance_type=segment["instanceType"],
            market=segment["market"],
            nodes=segment["nodes"],
            expires=datetime.fromtimestamp(hub["expires_at"], UTC),
            mailbox_url=mailbox_url(),
            directory=home() / "hubs" / hub["hub"],
            agent=home() / "hubs" / hub["hub"] / "agent.pyz",
            python=Path(sys.executable),
            rehearsal=run["rehearsal"],
        )

    def _cloud(self, run: RowMapping) -> Cloud:
        return cloud("local" if run["rehearsal"] else _segment(run)["provider"])

    def _run_now(self, run: RowMapping) -> datetime:
        return self._clock.now() + timedelta(seconds=run["schedule_offset_s"])

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


def _segment(run: RowMapping) -> Mapping[str, Any]:
    segment: Mapping[str, Any] = run["segments"][0]
    return segment


def _start(run: RowMapping) -> datetime:
    return datetime.fromisoformat(_segment(run)["start"])


def _place(run: RowMapping) -> str:
    segment = _segment(run)
    stand_in = " (rehearsal: a stand-in on this machine)" if run["rehearsal"] else ""
    return f"{segment['provider']}/{segment['region']} {segment['instanceType']}{stand_in}"


def _verdict(run: RowMapping, status: Mapping[str, Any]) -> _Verdict:
    phase, reason = status["phase"], status.get("reason") or ""
    if phase == "expired" and run["type"] in SERVICE_TYPES:
        return _Verdict("stopped", "the service reached its TTL")
    if phase == "succeeded" and not reason:
        reason = "the job exited 0"
    return _Verdict(phase, reason)


def _measurement(hub: str, line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hub": hub,
        "at": datetime.fromisoformat(line["at"]).timestamp(),
        "seconds": line["seconds"],
        "joules": line["joules"],
        "gpu_joules": line["gpu_joules"],
        "basis": line["basis"],
        "by": line["by"],
    }
