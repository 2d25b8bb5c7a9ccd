"""The job's first process: starts it, forwards signals, adopts its orphans, and takes all of them along.

Pid 1 of the job's own pid namespace where that is allowed, otherwise a subreaper. It is told what to run,
and later which signal to forward, through a pipe; the pipe's end means that the agent is gone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from harchos_infra.hub import proc

_KILL_S = 5.0


def main(control: int) -> int:
    """Run the job described on descriptor `control`; return its exit code."""
    os.set_inheritable(control, False)
    order = json.loads(_line(control))
    for file in order["cgroup_procs"]:
        with suppress(OSError):
            Path(file).write_text("0")
    if os.getpid() != 1:
        proc.become_subreaper()
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        job = _spawn(order)
    except OSError as error:
        print(f"[harchos] {order['argv'][0]}: {error.strerror}", flush=True)
        return 127 if isinstance(error, FileNotFoundError) else 126
    code = _supervise(job, control, wake_in)
    _end_orphans()
    return code


def _spawn(order: dict[str, Any]) -> int:
    """Start the job in a session of its own, with the default signals and its own environment."""
    os.chdir(order["cwd"])
    os.environ["PATH"] = order["env"].get("PATH", os.defpath)
    return os.posix_spawnp(
        order["argv"][0],
        order["argv"],
        order["env"],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
    )


def _supervise(job: int, control: int, wake: int) -> int:
    """Reap until the job ends; forward each signal number that comes down the pipe."""
    while True:
        code = _reap(job)
        if code is not None:
            return code
        readable, _, _ = select.select([control, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
        if control in readable:
            line = _line(control)
            number = int(line) if line else signal.SIGKILL
            with suppress(ProcessLookupError):
                os.killpg(job, number)
            if not line:
                return 128 + signal.SIGKILL


def _reap(job: int) -> int | None:
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == job:
                result = os.waitstatus_to_exitcode(status)
                code = result if result >= 0 else 128 - result
    return code


def _end_orphans() -> None:
    """Kill what the job left behind; in a pid namespace the kernel does that when this process ends."""
    until = time.monotonic() + _KILL_S
    while os.getpid() != 1 and time.monotonic() < until:
        for pid in proc.children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _line(descriptor: int) -> bytes:
    """Read one line byte by byte, so that nothing is left in a buffer where select cannot see it."""
    line = bytearray()
    while byte := os.read(descriptor, 1):
        if byte == b"\n":
            return bytes(line)
        line += byte
    return bytes(line)
