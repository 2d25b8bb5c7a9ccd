"""Terraform in one workspace: python-terraform builds the commands, `run_child` runs them.

python-terraform's own runner has no streaming, no time limit and no way to cancel; its breakages with
Terraform 1.x (`-force`, an apply that waits for approval) are avoided by giving each command its options.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import python_terraform
from python_terraform import IsFlagged

from harchos_infra.errors import HarchosError
from harchos_infra.provision.binary import Binary, plugin_cache, terraform_environment
from harchos_infra.provision.child import Limits, run_child
from harchos_infra.provision.event import OnEvent, TerraformEvent, ignore
from harchos_infra.provision.workspace_lock import WorkspaceLock

_NOTES = ("terraform.tfstate", "modules/modules.json")
"""What Terraform notes in `.terraform` of the backend and the modules that it was prepared for."""
DISK_FULL_HINT = "free some space on that disk, then run the same command again"
_UNTOLD_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Changes:
    """What an operation adds, changes and removes, in resources."""

    add: int = 0
    change: int = 0
    remove: int = 0

    def __bool__(self) -> bool:
        return bool(self.add or self.change or self.remove)


@dataclass(frozen=True, slots=True)
class StateLock:
    """Who holds the lock of a state, as Terraform tells it."""

    id: str
    who: str
    """`user@host`."""
    operation: str
    created: str


class TerraformError(HarchosError):
    """A command of Terraform failed. `lock`: because somebody else holds the state's."""

    def __init__(self, what: str, *, hint: str | None, lock: StateLock | None) -> None:
        super().__init__(what, hint=hint)
        self.lock = lock

    @property
    def is_held_by_the_untold(self) -> bool:
        """Whether a state file is locked and its holder has not written down, or not yet, who it is.

        For such a lock Terraform does not wait, whatever its `-lock-timeout` is.
        """
        return self.lock is None and _is_locked_file(self.what)


class Terraform:
    """Runs Terraform in `directory`.

    A command that may write holds the workspace's lock, ends after `timeout_s`, and is interrupted when
    `cancel` is set. What fails raises HarchosError with Terraform's own diagnostics. Several commands belong
    together under `with lock.held():`.
    """

    def __init__(
        self,
        directory: Path,
        binary: Binary,
        *,
        cancel: threading.Event | None = None,
        lock: WorkspaceLock | None = None,
        timeout_s: float = 900.0,
        interrupt_grace_s: float = 30.0,
        state_lock_timeout_s: int = 30,
    ) -> None:
        self._directory = directory
        self._state_lock_timeout_s = state_lock_timeout_s
        self._commands = _Commands(terraform_bin_path=str(binary.path))
        self._limits = Limits(cancel or threading.Event(), timeout_s, interrupt_grace_s)
        self._lock = lock or WorkspaceLock(directory)

    def init(self) -> None:
        """Prepare the workspace; harmless when it is prepared.

        A provider is downloaded once for all hubs; one Terraform at a time fills the cache. What an earlier
        one noted and could not write to its end is forgotten: Terraform would fail on it, and notes it again.
        """
        for name in _NOTES:
            _forget_torn(self._directory / ".terraform" / name)
        cache = plugin_cache()
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with WorkspaceLock(cache, timeout_s=self._limits.timeout_s).held():
            self._write("init", input=False, no_color=IsFlagged)

    def plan(self, on_event: OnEvent = ignore) -> Changes:
        """Return what an apply would do."""
        return self._operate("plan", on_event)

    def apply(self, on_event: OnEvent = ignore) -> Changes:
        """Make the resources as the configuration has them; return what was done."""
        return self._operate("apply", on_event, auto_approve=IsFlagged)

    def destroy(self, on_event: OnEvent = ignore) -> Changes:
        """Destroy every resource in the state; return what was done."""
        return self._operate("destroy", on_event, auto_approve=IsFlagged)

    def validate(self) -> None:
        """Raise HarchosError with every error in the configuration."""
        answer = json.loads(self._read("validate", accept=(0, 1), json=IsFlagged))
        if not answer["valid"]:
            raise self._failure("validate", answer["diagnostics"])

    def unlock(self, lock: StateLock) -> None:
        """Take a lock away from a Terraform that is known to have ended."""
        self._write("force-unlock", lock.id, force=IsFlagged)

    def push_state(self, file: str) -> None:
        """Put a state that could not be written to its backend in the place of the one there."""
        self._write("state push", file, force=IsFlagged)

    def state_list(self) -> list[str]:
        """Return the address of every resource in the state."""
        try:
            return self._read("state list").split()
        except TerraformError as error:
            if "No state file was found" in error.what:
                return []
            raise

    def outputs(self) -> dict[str, Any]:
        """Return the root's outputs by name."""
        answer = json.loads(self._read("output", json=IsFlagged))
        return {name: output["value"] for name, output in answer.items()}

    def _operate(self, command: str, on_event: OnEvent, **options: Any) -> Changes:
        until = time.monotonic() + self._state_lock_timeout_s
        while True:
            try:
                return self._operate_once(command, on_event, **options)
            except TerraformError as error:
                if not error.is_held_by_the_untold or time.monotonic() > until:
                    raise
            self._limits.cancel.wait(_UNTOLD_PAUSE_S)

    def _operate_once(self, command: str, on_event: OnEvent, **options: Any) -> Changes:
        diagnostics: list[dict[str, Any]] = []
        changes = Changes()

        def observe(line: str) -> None:
            nonlocal changes
            event = TerraformEvent.parse(line)
            if event.type == "diagnostic" and event.level == "error":
                diagnostics.append(event.raw["diagnostic"])
                if _is_locked_file(_sentence(event.raw["diagnostic"])):
                    return
            elif event.type == "change_summary":
                done = event.raw["changes"]
                changes = Changes(done["add"], done["change"], done["remove"])
            on_event(event)

        self._write(
            command,
            on_line=observe,
            diagnostics=diagnostics,
            input=False,
            json=IsFlagged,
            lock_timeout=f"{self._state_lock_timeout_s}s",
            **options,
        )
        return changes

    def _write(
        self,
        command: str,
        *arguments: str,
        on_line: Callable[[str], None] = lambda line: None,
        diagnostics: list[dict[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        with self._lock.held() as descriptor:
            status, errors = self._run(command, descriptor, on_line, *arguments, **options)
        if status != 0:
            raise self._failure(command, diagnostics or [], errors)

    def _read(self, command: str, *, accept: tuple[int, ...] = (0,), **options: Any) -> str:
        lines: list[str] = []
        status, errors = self._run(command, subprocess.DEVNULL, lines.append, **options)
        if status not in accept:
            raise self._failure(command, [], errors)
        return "\n".join(lines)

    def _run(
        self, command: str, stdin: int, on_line: Callable[[str], None], *arguments: str, **options: Any
    ) -> tuple[int, str]:
        status, errors = run_child(
            self._commands.generate_cmd_string(command, *arguments, **options),
            directory=self._directory,
            environment=terraform_environment(),
            stdin=stdin,
            on_line=on_line,
            limits=self._limits,
        )
        return status, f"terraform {command} was killed by signal {-status}" if status < 0 else errors

    def _failure(self, command: str, diagnostics: list[dict[str, Any]], errors: str = "") -> TerraformError:
        said = list(dict.fromkeys(filter(None, map(_sentence, diagnostics)))) or [_plain(errors)]
        full = [sentence for sentence in said if "no space left on device" in sentence]
        what = f"terraform {command} failed in {self._directory}:\n  " + "\n  ".join(full[:1] or said)
        return TerraformError(what, hint=DISK_FULL_HINT if full else None, lock=_state_lock(said))


class _Commands(python_terraform.Terraform):  # type: ignore[misc]  # the library has no types
    """python-terraform as a builder of commands; it would read, and stumble over, a state file at once."""

    def read_state_file(self, file_path: str | None = None) -> None:
        pass


def _forget_torn(note: Path) -> None:
    """Delete a file of JSON that was written half-way, as on a disk that was full."""
    try:
        json.loads(note.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        note.unlink()


def _sentence(diagnostic: dict[str, Any]) -> str:
    if diagnostic["severity"] != "error" or diagnostic["summary"] == "execution halted":
        return ""
    detail = " ".join(diagnostic.get("detail", "").split())
    return ": ".join(part for part in (diagnostic.get("address"), diagnostic["summary"], detail) if part)


def _plain(errors: str) -> str:
    """Return what a command without JSON output wrote, without the frame that is drawn around it."""
    return " ".join(re.sub("[╷│╵]|\x1b\\[[0-9;]*m", " ", errors).split())


def _is_locked_file(text: str) -> bool:
    return bool(re.search(r"acquiring the state lock.*resource temporarily unavailable", text, re.DOTALL))


def _state_lock(said: list[str]) -> StateLock | None:
    """Read who holds the lock out of `Error acquiring the state lock`."""
    for sentence in said:
        match = re.search(
            r"Lock Info: ID: (\S+) Path: .*? Operation: (\S+) Who: (\S+) Version: \S+ Created: (\S+ \S+)",
            sentence,
        )
        if match:
            return StateLock(match[1], match[3], match[2], match[4])
    return None
