"""A child process in a group of its own: its lines as they come, a time limit, and a polite end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
    with _Output() as lines, _Output() as errors:
        try:
            process = subprocess.Popen(
                arguments,
                cwd=directory,
                env=environment,
                stdin=stdin,
                stdout=lines.descriptor,
                stderr=errors.descriptor,
                start_new_session=True,
            )
        except OSError as error:
            raise HarchosError(
                f"{_name(arguments)} did not start: {error.filename}: {error.strerror}"
            ) from error
        with process:
            try:
                _follow(process, arguments, lines, on_line, limits)
            except BaseException:
                _end(process, limits.interrupt_grace_s)
                raise
        return process.returncode, errors.read().decode(errors="replace")


class _Output:
    """What a child writes, in memory that it holds itself.

    A pipe would break when this process is killed, and Terraform with it, in the middle of what it makes: so
    it goes on to its end, and its state says what there is.
    """

    def __enter__(self) -> Self:
        self.descriptor = os.memfd_create("output")
        self._read = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def read(self) -> bytes:
        """Return what was written since the last call."""
        chunks = []
        while chunk := os.pread(self.descriptor, 65536, self._read):
            self._read += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)


def _follow(
    process: subprocess.Popen[bytes],
    arguments: Sequence[str],
    output: _Output,
    on_line: Callable[[str], None],
    limits: Limits,
) -> None:
    until = time.monotonic() + limits.timeout_s
    line = b""
    ended = False
    while not ended:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_POLL_S)
            ended = True
        if not ended and limits.cancel.is_set():
            raise CancelledError(f"{_name(arguments)} was cancelled")
        if not ended and time.monotonic() > until:
            raise HarchosError(f"{_name(arguments)} did not end within {limits.timeout_s:.0f} s")
        *lines, line = (line + output.read()).split(b"\n")
        for complete in lines:
            on_line(complete.decode(errors="replace"))
    if line:
        on_line(line.decode(errors="replace"))


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
