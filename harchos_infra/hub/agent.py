"""The agent's command line: `start`, `ready` and `stop` for Terraform, `run` for systemd, `_…` for itself."""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.hub.invocation import agent_command, agent_environment

if TYPE_CHECKING:
    from harchos_infra.hub.directory import Directory

_START_S = 30.0
_TAIL_BYTES = 2000


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["_init"]:
        from harchos_infra.hub import init

        return init.main(int(words[1]))
    if words[:1] == ["_worker"]:
        from harchos_infra.hub import worker

        worker.main(Path(words[1]), int(words[2]))
        return 0
    if words[:1] == ["_guard"]:
        from harchos_infra.hub import guard

        return guard.main(Path(words[1]))
    options = _parser().parse_args(words)
    try:
        code: int = options.command(options)
    except OSError as error:
        return _fail(str(error))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description="HarchOS agent: runs the job of one hub.")
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="start the hub's processes and return")
    start.set_defaults(command=_start, cloud="local")
    run = commands.add_parser(
        "run", help="carry out the job in the foreground; exit 0 succeeded, 1 failed, 3 stopped, 4 expired"
    )
    run.set_defaults(command=_run)
    run.add_argument("--cloud", required=True, choices=("aws", "gcp", "azure"), help="whose machine this is")
    for command in (start, run):
        command.add_argument("--mailbox", required=True, help="object-store URL that holds <run>/<hub>/")
        command.add_argument("--run", required=True)
        command.add_argument("--hub", required=True)
        command.add_argument(
            "--expires", required=True, type=_iso, help="ISO time at which the hub must be gone"
        )
    ready = commands.add_parser("ready", help="wait for the first heartbeat")
    ready.set_defaults(command=_ready)
    ready.add_argument("--timeout", required=True, type=_seconds)
    stop = commands.add_parser("stop", help="end everything the hub started")
    stop.set_defaults(command=_stop)
    stop.add_argument("--grace", required=True, type=_seconds)
    for command in (start, run, ready, stop):
        command.add_argument("--dir", required=True, type=Path, help="the hub's own directory")
    return parser


def _start(options: argparse.Namespace) -> int:
    from harchos_infra.hub.directory import Directory

    directory = Directory(options.dir)
    directory.create()
    with directory.lock.open("a") as lock:
        holder = _take(directory, lock.fileno(), options)
        if holder == options.hub:
            print(f"the agent of hub {options.hub} runs already")
            return 0
        if holder:
            return _fail(f"{options.dir} is in use by the agent of hub {holder}")
        with directory.log.open("a") as log:
            guard = subprocess.Popen(
                agent_command("_guard", str(directory.path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory.path,
                env=_guard_environment(directory),
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
    until = time.monotonic() + _START_S
    while not all(directory.processes()):
        if guard.poll() is not None or time.monotonic() > until:
            return _fail(f"the agent did not start: {_tail(directory.log)}")
        time.sleep(0.01)
    return 0


def _run(options: argparse.Namespace) -> int:
    """Become the guard: its supervisor then supervises the hub, and its exit code is how the job ended."""
    from harchos_infra.hub.directory import Directory

    directory = Directory(options.dir)
    directory.create()
    lock = os.open(directory.lock, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    holder = _take(directory, lock, options)
    if not holder:
        os.set_inheritable(lock, True)
        os.chdir(directory.path)
        guard = agent_command("_guard", str(directory.path))
        os.execve(guard[0], guard, _guard_environment(directory))
    return _fail(f"{options.dir} is in use by the agent of hub {holder}")


def _take(directory: Directory, lock: int, options: argparse.Namespace) -> str | None:
    """Make the directory this hub's own for as long as `lock` is open; else return the hub that has it."""
    from harchos_infra.hub.directory import Identity

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        running = directory.identity()
        return running.hub if running else "unknown"
    directory.clear()
    directory.write_identity(
        Identity(options.mailbox, options.run, options.hub, options.expires, options.cloud)
    )
    return None


def _guard_environment(directory: Directory) -> dict[str, str]:
    from harchos_infra.hub.directory import MARK_DIRECTORY

    identity = directory.identity()
    assert identity is not None
    return {
        **agent_environment(),
        **identity.marks(),
        MARK_DIRECTORY: str(directory.path),
        "HARCHOS_MAILBOX": identity.mailbox,
    }


def _ready(options: argparse.Namespace) -> int:
    from harchos_infra.hub.directory import Directory
    from harchos_infra.hub.mailbox import Mailbox, MailboxError

    directory = Directory(options.dir)
    identity, started_at = directory.identity(), directory.started_at()
    if identity is None or started_at is None:
        return _fail(f"{options.dir}: no agent was started here")
    mailbox = Mailbox(identity.mailbox, identity.run, identity.hub)
    until = time.monotonic() + options.timeout
    said = "no heartbeat"
    while True:
        alive = any(process and process.alive() for process in directory.processes())
        try:
            heartbeat = mailbox.get_json("heartbeat.json")
            if heartbeat and heartbeat["at"] >= started_at:
                return 0
        except MailboxError as error:
            said = str(error)
        if not alive:
            return _fail(f"the agent died: {_tail(directory.log) or said}")
        if time.monotonic() > until:
            return _fail(f"the agent gave no sign of life within {options.timeout:g} s: {said}")
        time.sleep(0.05)


def _stop(options: argparse.Namespace) -> int:
    from harchos_infra.hub.directory import Directory
    from harchos_infra.hub.teardown import stop

    left = stop(Directory(options.dir), options.grace)
    return _fail("still there: " + ", ".join(left)) if left else 0


def _iso(text: str) -> str:
    from harchos_infra.hub.ttl import Ttl

    Ttl.parse(text)
    return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError(text)
    return seconds


def _tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    except OSError:
        return ""
    return os.linesep.join(text.strip().splitlines()[-5:])


def _fail(what: str) -> int:
    print(f"error: {what}", file=sys.stderr)
    return 1
