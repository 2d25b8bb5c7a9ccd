"""A child process in a group of its own: its lines as they come, a time limit, and a polite end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harchos_infra.errors import HarchosError

_POLL_S = 0.1


class CancelledError(HarchosError):
    """The command was cancelled, and its process has ended."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a child may run and what ends it sooner."""

    cancel: threading.Event
    timeout_s: float
    interrupt_grace_s: float
    """Between SIGINT to the child and SIGKILL to its whole group."""


def run_child(
    arguments: Sequence[str],
    *,
    directory: Path,
    environment: dict[str, str],
    stdin: int,
    on_line: Callable[[str], None],
    limits: Limits,
) -> tuple[int, str]:
    """Run a command, give each line of its output to `on_line`; return its exit status and standard error.

    Raises CancelledError when `cancel` is set and HarchosError after `timeout_s`; then, and when `on_line`
    raises or Ctrl-C is pressed, the child ends before this does.
    """
    if limits.cancel.is_set():
        raise CancelledError(f"{_name(arguments)} was cancelled before it started")
    try:
        process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise HarchosError(f"{_name(arguments)} did not start: {error.filename}: {error.strerror}") from error
    with process:
        try:
            errors = _follow(process, arguments, on_line, limits)
        except BaseException:
            _end(process, limits.interrupt_grace_s)
            raise
    return process.returncode, errors


def _follow(
    process: subprocess.Popen[bytes], arguments: Sequence[str], on_line: Callable[[str], None], limits: Limits
) -> str:
    assert process.stdout and process.stderr
    until = time.monotonic() + limits.timeout_s
    errors, line = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            if limits.cancel.is_set():
                raise CancelledError(f"{_name(arguments)} was cancelled")
            if time.monotonic() > until:
                raise HarchosError(f"{_name(arguments)} did not end within {limits.timeout_s:.0f} s")
            ready = selector.select(_POLL_S)
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    errors += chunk
                else:
                    *lines, line = (line + chunk).split(b"\n")
                    for complete in lines:
                        on_line(complete.decode(errors="replace"))
            if not ready and process.poll() is not None:
                break
    if line:
        on_line(line.decode(errors="replace"))
    process.wait()
    return errors.decode(errors="replace")


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Interrupt the child once, and kill its group if that does not end it."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=grace_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _name(arguments: Sequence[str]) -> str:
    return " ".join([Path(arguments[0]).name, *(a for a in arguments[1:3] if not a.startswith("-"))])
