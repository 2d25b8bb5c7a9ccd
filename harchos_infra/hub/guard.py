"""The guard: the worker's parent, which ends what a killed worker left, and enforces the TTL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harchos_infra.hub.agent_log import log_patiently
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.closing import close_status
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.invocation import agent_command
from harchos_infra.hub.mailbox import MailboxError
from harchos_infra.hub.marks import sweep
from harchos_infra.hub.patience import OUTAGE_S
from harchos_infra.hub.proc import Process
from harchos_infra.hub.status import keep_clock, now
from harchos_infra.hub.ttl import Ttl

_TICK_S = 1.0
_EXPIRED_WORKER_S = 30.0
_PUBLISH_PAUSE_S = 2.0
EXIT_CODES = {"succeeded": 0, "failed": 1, "stopped": 3, "expired": 4}
"""By the final phase of the hub."""
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Guard:
    """Starts the worker and waits; the worker does everything else."""

    def __init__(self, directory: Directory, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        self._ttl = Ttl.parse(identity.expires)

    def run(self) -> int:
        """Wait until the worker has ended or must; leave nothing of the hub behind; return how it ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        spare = frozenset((os.getpid(),))
        for left in sweep(self._identity.hub, spare=spare):
            print(f"{now()} of an earlier agent: {left} is still there", flush=True)
        cgroup = Cgroup(self._identity.hub)
        cgroup.create()
        cgroup.join("agent")
        started_at = now()
        worker = self._start_worker()
        self._directory.write_processes(self._identity, _self(), Process.of(worker.pid), started_at)
        phase, reason = self._wait(worker)
        for left in sweep(self._identity.hub, spare=spare):
            print(f"{now()} {left} is still there", flush=True)
        self._close_status(phase, reason)
        cgroup.leave()
        cgroup.remove()
        last = self._directory.status() or {}
        return EXIT_CODES.get(str(last.get("phase")), EXIT_CODES[phase])

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            agent_command("_worker", str(self._directory.path), str(os.getpid())),
            stdin=subprocess.DEVNULL,
            preexec_fn=_unblock,
        )

    def _wait(self, worker: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Return the phase and reason that hold if the worker did not write its own."""
        while worker.poll() is None:
            taken = signal.sigtimedwait(_SIGNALS, _TICK_S)
            if taken and taken.si_signo == signal.SIGTERM:
                worker.send_signal(signal.SIGTERM)
            if self._ttl.left_s() < -_EXPIRED_WORKER_S:
                worker.kill()
                worker.wait()
                return "expired", f"{self._ttl.why()}, and its worker did not answer"
        code = worker.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return "failed", f"the agent's worker {how}"

    def _close_status(self, phase: str, reason: str) -> None:
        """Write the final status if the worker has not."""
        until = time.monotonic() + OUTAGE_S
        while True:
            try:
                close_status(self._directory, self._identity, phase, reason)
                return
            except MailboxError as error:
                print(f"{now()} {error}", flush=True)
                if time.monotonic() > until or self._ttl.left_s() <= 0:
                    return
                time.sleep(_PUBLISH_PAUSE_S)


def _self() -> Process:
    process = Process.of(os.getpid())
    assert process is not None
    return process


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(directory: Path) -> int:
    """Run as the guard of the hub in this directory; return its exit code."""
    log_patiently()
    keep_clock()
    where = Directory(directory)
    identity = where.identity()
    if identity is None:
        sys.exit(f"{directory}: hub.json cannot be read")
    return Guard(where, identity).run()
