"""Processes of this machine that belong to a hub, told by their environment or their cgroup."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harchos_infra.errors import HarchosError

MARKS = ("HARCHOS_HUB", "HARCHOS_RUN", "HARCHOS_EXPIRES")
_PROC = Path("/proc")
_KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class HubProcess:
    """A live process of a hub; `start_ticks` (since boot) tells it from a later user of its pid."""

    pid: int
    start_ticks: int
    hub: str
    run: str | None
    expires: str | None
    command: str


def hub_processes(members: Mapping[int, str]) -> list[HubProcess]:
    """Return every process marked as a hub's, or named in `members` (pid → hub), oldest first.

    This process and its ancestors are never among them, whatever their environment says: a shell
    that exported the mark must not make the command line end itself. Processes of other users,
    which only root can read, are left to their owner.
    """
    ours = set(_lineage())
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (pid := int(entry.name)) not in ours:
            process = _read(pid, members.get(pid))
            if process:
                found.append(process)
    return sorted(found, key=lambda process: (process.start_ticks, process.pid))


def end_process(pid: int, start_ticks: int, *, grace_s: float) -> None:
    """Send SIGTERM, wait, then SIGKILL; nothing is sent to a process that merely reuses the pid.

    Raises HarchosError when it cannot be signalled or does not end.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) != start_ticks:
            return
        for signal_number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_WAIT_S)):
            signal.pidfd_send_signal(handle, signal_number)
            if select.select([handle], [], [], wait_s)[0]:
                return
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise HarchosError(
            f"process {pid} belongs to another user and was not ended", hint="run the command as that user"
        ) from error
    finally:
        os.close(handle)
    raise HarchosError(
        f"process {pid} does not end after SIGKILL", hint="see its state in `ps -o stat,wchan`"
    )


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it has ended."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else int(stat[19])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third on: [0] state, [1] parent, [19] start time."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _lineage() -> Iterator[int]:
    pid = os.getpid()
    while pid > 0:
        yield pid
        stat = _stat(pid)
        pid = int(stat[1]) if stat else 0


def _read(pid: int, hub_by_cgroup: str | None) -> HubProcess | None:
    marks: dict[str, str] = {}
    command = ""
    with suppress(PermissionError, FileNotFoundError, ProcessLookupError):
        marks = _marks((_PROC / str(pid) / "environ").read_bytes())
        command = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    hub = hub_by_cgroup or marks.get("HARCHOS_HUB")
    start_ticks = start_time(pid) if hub else None
    if not hub or start_ticks is None:
        return None
    return HubProcess(
        pid, start_ticks, hub, marks.get("HARCHOS_RUN"), marks.get("HARCHOS_EXPIRES"), command.strip()
    )


def _marks(environment: bytes) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in environment.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs if name in MARKS and value}
