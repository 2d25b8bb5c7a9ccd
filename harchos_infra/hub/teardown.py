"""Ending a hub from outside: ask, wait, then end whatever carries its marks. Right from any state."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

from harchos_infra.hub.closing import close_status
from harchos_infra.hub.directory import Directory
from harchos_infra.hub.mailbox import MailboxError
from harchos_infra.hub.marks import sweep
from harchos_infra.hub.proc import Process

_STORE_S = 30.0


def stop(directory: Directory, grace_s: float) -> list[str]:
    """End everything the hub started; return what is left, in words.

    The job gets `grace_s` to save and end, the agent half a minute more to store what it saved.
    """
    identity = directory.identity()
    if identity is None:
        return []
    guard, worker = directory.processes()
    if any(process and process.alive() for process in (guard, worker)):
        directory.write_stop(grace_s)
        _ask(guard, worker, grace_s + _STORE_S)
    left = sweep(identity.hub)
    with suppress(MailboxError):  # a mailbox that is gone is no reason to fail
        close_status(directory, identity, "stopped", "the hub was stopped; its agent did not answer")
    return left


def _ask(guard: Process | None, worker: Process | None, timeout_s: float) -> None:
    """Ask the agent to end; the guard passes it on. A stopped agent is woken to hear it."""
    until = time.monotonic() + timeout_s
    for process in (guard, worker):
        if process:
            process.signal(signal.SIGCONT)
    asked = (guard and guard.signal(signal.SIGTERM)) or (worker and worker.signal(signal.SIGTERM))
    for process in (guard, worker):
        if asked and process:
            process.wait(until - time.monotonic())
