"""The worker: carries out the job of a hub, from `job.json` to the final status."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harchos_infra.hub import proc, service
from harchos_infra.hub.agent_log import log_patiently
from harchos_infra.hub.attempts import Attempts, Repeated, Watch
from harchos_infra.hub.board import StatusBoard
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.control import Control
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.ending import Endings
from harchos_infra.hub.files import ChangingError, disk_is_full
from harchos_infra.hub.gang import LOOK_S, join
from harchos_infra.hub.heartbeat import Heartbeat
from harchos_infra.hub.item_loop import ItemLoop
from harchos_infra.hub.job import Job, JobError
from harchos_infra.hub.kept import keep
from harchos_infra.hub.log_shipper import LogShipper
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.meters import channels
from harchos_infra.hub.nodes import here, hub_of
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.power import PowerSampler
from harchos_infra.hub.runner import Runner, RunnerError
from harchos_infra.hub.runners import choose_runner
from harchos_infra.hub.spot_notice import SpotNotice
from harchos_infra.hub.status import now
from harchos_infra.hub.ttl import Ttl
from harchos_infra.hub.workdir import unpack

_JOB_WAIT_S = 15.0
_CHECKPOINT_RETRY_S = 15.0
_DISK_S, _DISK_PAUSE_S = 60.0, 1.0
_CLOSE_S = 10.0
_INSIST_S = 10.0
_TOKENS_S = 2.0


class Worker:
    """One hub's job: the main thread supervises; logs, power, heartbeat, control have their own."""

    def __init__(self, directory: Directory, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        self._mailbox = Mailbox(identity.mailbox, identity.run, identity.hub)
        self._node, self._nodes = here()
        self._hub = Mailbox(identity.mailbox, identity.run, hub_of(identity.hub, self._node))
        self._endings = Endings(Ttl.parse(identity.expires))
        if identity.cloud != "local":
            self._endings.spot = SpotNotice(identity.cloud)
        self._patience = Patience(self._endings.may_wait)
        self._cgroup = Cgroup(identity.hub)
        self._cgroup.create()
        self._cgroup.join("agent")
        self._checkpoint_directory = directory.checkpoints
        self._tokens = service.Tokens()
        self._looking = threading.Lock()
        self._checkpoint_due = 0.0
        self._checkpoint_failing = False

    def run(self) -> None:
        """Carry out the job; every way it can end is in the final status."""
        self._endings.take_signals()
        self._board = StatusBoard(self._mailbox, self._directory)
        self._gang = join(self._hub, self._node, self._nodes, self._endings, self._patience)
        heartbeat = Heartbeat(self._mailbox, lambda: self._board.status.phase)
        try:
            phase, reason = self._carry_out()
        except (JobError, RunnerError, MailboxError, OSError) as error:
            phase, reason = self._failed(str(error))
        except Exception as error:  # an error of the agent's own: the log has where, the status has what
            traceback.print_exc()
            phase, reason = self._failed(f"the agent failed: {type(error).__name__}: {error}")
        self._board.change(phase=phase, reason=reason, finished_at=now())
        since = time.monotonic()
        self._board.insist(lambda: self._may_give_up(time.monotonic() - since))
        self._gang.close(_CLOSE_S)
        heartbeat.close(_CLOSE_S)

    def _carry_out(self) -> tuple[str, str | None]:
        document = self._wait_for_job()
        ending = self._endings.now()
        if document is None and ending is not None:
            return ending.phase, ending.reason
        job = Job.parse(document)
        secrets = self._take_secrets(job)
        self._board.mask = Mask(
            value for name in job.secret_names if (value := secrets.get(name) or job.env.get(name))
        )
        logs = self._patience.insist(
            lambda: LogShipper(self._mailbox, self._board.mask, self._directory.path / "spool")
        )
        power = self._patience.insist(
            lambda: PowerSampler(
                self._mailbox, *channels(job.power_model, self._cpu_seconds, self._is_guest), job.sample_s
            )
        )
        if self._node == 0:
            self._endings.control = Control(self._mailbox)
        try:
            phase, reason = self._run_and_store(job, secrets, logs)
        except (JobError, MailboxError, OSError) as error:
            phase, reason = self._failed(str(error))
        power.close(self._patience)
        return phase, _join(reason, logs.close(self._patience))

    def _run_and_store(self, job: Job, secrets: dict[str, str], logs: LogShipper) -> tuple[str, str | None]:
        self._prepare_patiently(job, logs)
        try:
            phase, reason = self._run_job(job, secrets, logs)
        except RunnerError as error:
            ending = self._endings.now()
            phase, reason = (ending.phase, ending.reason) if ending else self._failed(str(error))
        return self._store(phase, reason, logs)

    def _failed(self, reason: str) -> tuple[str, str]:
        """The other nodes cannot go on without this one."""
        self._gang.fail(reason)
        return "failed", reason

    @property
    def _is_guest(self) -> bool:
        """Tell whether another node on this very machine meters it."""
        return self._node > 0 and self._identity.cloud == "local"

    def _run_job(self, job: Job, secrets: dict[str, str], logs: LogShipper) -> tuple[str, str | None]:
        runner = choose_runner(
            job,
            self._identity,
            self._directory,
            self._checkpoint_directory,
            self._cgroup,
            lambda: self._endings.now() is not None,
            meets_others=self._nodes > 1,
        )
        self._board.change(
            runner=runner.name,
            runner_detail=runner.detail,
            endpoint=service.endpoint(job.service) if job.service else None,
        )
        attempts = Attempts(
            job,
            runner,
            self._job_environment(job, runner, secrets),
            self._board,
            logs,
            self._endings,
            self._directory,
            lambda: self._watches(job, logs),
            lambda: job.service and self._look_at_tokens(job),
            self._gang,
            self._kept,
        )
        return self._do_items(job, runner, attempts, logs) if job.items else attempts.run()

    def _do_items(
        self, job: Job, runner: Runner, attempts: Attempts, logs: LogShipper
    ) -> tuple[str, str | None]:
        loop = ItemLoop(
            self._mailbox,
            self._directory.outputs,
            runner.places.outputs,
            job.max_retries,
            self._board,
            self._endings,
            self._patience,
            attempts.once,
            logs.note,
        )
        return loop.run()

    def _wait_for_job(self) -> Any:
        """Return the job's document; None where the hub is to end before it is there."""
        until: float | None = None
        while not self._endings.now() and (until is None or time.monotonic() < until):
            document = self._patience.insist(lambda: self._mailbox.get_json("job.json"))
            if document is not None:
                return document
            until = until or time.monotonic() + _JOB_WAIT_S
            time.sleep(0.2)
        if self._endings.now():
            return None
        raise JobError(f"there is no job.json in {self._mailbox.url} for hub {self._identity.hub}")

    def _take_secrets(self, job: Job) -> dict[str, str]:
        """Read the secrets, and delete those that were sent, before anything of the job runs."""
        values = self._patience.insist(lambda: self._mailbox.get_json("secrets.json")) or {}
        self._patience.insist(lambda: self._mailbox.delete("secrets.json"))
        if job.secret_refs:
            values |= self._read_secrets(job.secret_refs)
        missing = [name for name in job.secret_names if name not in values and name not in job.env]
        if missing:
            raise JobError(f"secret {', '.join(missing)} was not sent, or an earlier agent took it")
        return {str(name): str(value) for name, value in values.items()}

    def _read_secrets(self, references: Mapping[str, str]) -> dict[str, str]:
        """Read secrets from the cloud's store with the machine's identity."""
        from harchos_infra.hub.secret_reference import SecretError, read_secret

        found = {}
        for name, reference in references.items():
            try:
                found[name] = read_secret(reference, stopped=lambda: self._endings.now() is not None)
            except SecretError as error:
                raise JobError(f"secret {name} cannot be read from {error}") from None
        return found

    def _prepare_patiently(self, job: Job, logs: LogShipper) -> None:
        """Prepare; where the disk is full again and again for a minute: others may make room."""
        until = time.monotonic() + _DISK_S
        while True:
            try:
                self._prepare(job, logs)
                return
            except (JobError, MailboxError, OSError) as error:
                if not disk_is_full(error) or time.monotonic() > until or self._endings.now():
                    raise
            time.sleep(_DISK_PAUSE_S)

    def _prepare(self, job: Job, logs: LogShipper) -> None:
        """Make the job's directories anew, unpack its files, restore its last checkpoint."""
        directory = self._directory
        for path in (directory.work, directory.outputs, directory.checkpoints):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        if job.workdir:
            archive = directory.path / "workdir.tar.gz"
            if not self._patience.insist(lambda: self._mailbox.get_file("workdir.tar.gz", archive)):
                raise JobError("workdir.tar.gz is not in the mailbox")
            unpack(archive, directory.work)
            archive.unlink()
        if job.checkpoint and not PurePosixPath(job.checkpoint.path).is_absolute():
            self._checkpoint_directory = (directory.work / job.checkpoint.path).resolve()
            if not self._checkpoint_directory.is_relative_to(directory.work.resolve()):
                raise JobError(
                    f"job.json: checkpoint.path {job.checkpoint.path!r} leads out of the working directory"
                )
            self._checkpoint_directory.mkdir(parents=True, exist_ok=True)
        self._kept = keep(
            *(self._hub, self._node, self._nodes, self._gang),
            *(self._checkpoint_directory, directory.outputs, logs.note),
        )
        restored, outputs = self._patience.insist(self._kept.restore)
        if restored is not None:
            logs.note(f"checkpoint {restored} restored")
        if outputs:
            logs.note(f"outputs so far restored: {outputs} {'file' if outputs == 1 else 'files'}")

    def _job_environment(self, job: Job, runner: Runner, secrets: dict[str, str]) -> dict[str, str]:
        places = runner.places
        return {
            "PYTHONUNBUFFERED": "1",
            **places.environment,
            **job.env,
            **{name: secrets[name] for name in job.secret_names if name in secrets},
            **self._identity.marks(),
            "HARCHOS_OUTPUT_DIR": places.outputs,
            "HARCHOS_CHECKPOINT_DIR": places.checkpoints,
            **({"HARCHOS_PORT": str(job.service.port)} if job.service else {}),
        }

    def _watches(self, job: Job, logs: LogShipper) -> list[Watch]:
        watches: list[Watch] = []
        interval_s = job.checkpoint.interval_s if job.checkpoint else None
        if self._node:  # the leader says when
            watches.append(Repeated("checkpoint", LOOK_S, lambda: self._upload_checkpoint(logs, 0.0)))
        elif interval_s:
            self._checkpoint_due = time.monotonic() + interval_s
            watches.append(
                Repeated(
                    "checkpoint",
                    min(interval_s, _CHECKPOINT_RETRY_S),
                    lambda: self._upload_checkpoint(logs, interval_s),
                )
            )
        if job.service:
            watches.append(
                Repeated(
                    "health",
                    job.service.period_s,
                    lambda: self._look_at_health(job),
                    job.service.initial_delay_s,
                )
            )
            watches.append(Repeated("tokens", _TOKENS_S, lambda: self._look_at_tokens(job)))
        return watches

    def _upload_checkpoint(self, logs: LogShipper, interval_s: float) -> bool:
        """Upload when it is due; what fails is due until it succeeds."""
        if time.monotonic() < self._checkpoint_due:
            return True
        try:
            number = self._kept.checkpoint()
        except (MailboxError, OSError, ChangingError) as error:
            if not self._checkpoint_failing:
                logs.note(f"checkpoint was not uploaded, and is tried again: {error}")
            self._checkpoint_failing = True
            return True
        self._checkpoint_failing = False
        self._checkpoint_due = time.monotonic() + interval_s
        if number is not None:
            logs.note(f"checkpoint {number} uploaded")
        return True

    def _look_at_health(self, job: Job) -> bool:
        assert job.service is not None
        if not service.healthy(job.service):
            return True
        self._board.change(only_from="running", phase="ready", ready_at=now())
        return False

    def _look_at_tokens(self, job: Job) -> bool:
        assert job.service is not None
        with self._looking:  # an older count that comes after a newer one would pass for a restart
            served = self._tokens.total(service.tokens(job.service))
            if served is not None and served != self._board.status.units.get("tokens"):
                self._board.change(units={**self._board.status.units, "tokens": served})
        return True

    def _store(self, phase: str, reason: str | None, logs: LogShipper) -> tuple[str, str | None]:
        """Upload checkpoints and outputs; a success whose outputs cannot be stored is none."""
        units = self._kept.outputs.units()
        if units:
            self._board.change(units={**self._board.status.units, **units})
        while True:
            try:
                refused = self._kept.store()
                self._patience.reached()
                break
            except RunnerError as error:
                phase = "failed" if phase == "succeeded" else phase
                return phase, reason if reason == str(error) else _join(reason, str(error))
            except (MailboxError, OSError, ChangingError) as error:
                if not self._patience.wait():
                    lost = f"outputs could not be stored: {error}"
                    self._gang.fail(lost)
                    return "failed" if phase == "succeeded" else phase, _join(reason, lost)
        for path in refused:
            logs.note(f"output {path} is not stored: it is no regular file, or no object can have its name")
        return phase, reason

    def _may_give_up(self, trying_s: float) -> bool:
        """Return whether the final status need not be tried any longer; without an end in sight it is."""
        return (
            trying_s > _INSIST_S and self._endings.now() is not None and not self._endings.may_wait(trying_s)
        )

    def _cpu_seconds(self) -> float:
        used = self._cgroup.cpu_seconds()
        return _tree_cpu_seconds(os.getpid()) if used is None else used


def _join(*reasons: str | None) -> str | None:
    return "; ".join(filter(None, reasons)) or None


def _tree_cpu_seconds(pid: int) -> float:
    return proc.cpu_seconds(pid) + sum(map(_tree_cpu_seconds, proc.children(pid)))


def main(directory: Path, guard_pid: int) -> None:
    """Run as the worker of the guard that started it."""
    log_patiently()
    proc.die_with_parent(guard_pid, signal.SIGUSR1)
    where = Directory(directory)
    identity = where.identity()
    if identity is None:
        raise SystemExit(f"{directory}: hub.json cannot be read")
    Worker(where, identity).run()
