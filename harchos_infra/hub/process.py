"""The job as a supervised process of this machine, in its own pid namespace where that is allowed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.invocation import agent_command, agent_environment, dying_with
from harchos_infra.hub.marks import kill_marked
from harchos_infra.hub.runner import Places, RunnerError

_NAMESPACES = (
    ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
    ("unshare", "--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_PROBE_S = 10.0
_INHERITED = re.compile(
    r"HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_\w+|(?:https?|no|all)_proxy",
    re.IGNORECASE,
)


class ProcessRunner:
    """Starts the job under `init`, which the kernel kills together with this agent."""

    name = "process"

    def __init__(
        self, identity: Identity, directory: Directory, checkpoints: Path, cgroup: Cgroup, why: str
    ) -> None:
        self._identity = identity
        self._cgroup = cgroup
        self._namespace = _namespace()
        self.detail = f"supervised process ({why}); " + (
            "own pid namespace" if self._namespace else "no pid namespace: unshare is not allowed here"
        )
        self.places = Places(
            work=str(directory.work),
            outputs=str(directory.outputs),
            checkpoints=str(checkpoints),
            environment=_base_environment(),
        )
        self._job: subprocess.Popen[bytes] | None = None
        self._control = -1

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start the job; return the descriptor of its merged output. Raises RunnerError."""
        self._job, self._control, output = self._spawn(command, environment)
        return output

    def poll(self) -> int | None:
        """Return the job's exit code (128 + n for a signal), or None while it runs."""
        code = self._job.poll() if self._job else None
        if code is not None and self._control >= 0:
            os.close(self._control)
            self._control = -1
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        """Send SIGTERM to the job's process group, through its init."""
        with suppress(BrokenPipeError):
            os.write(self._control, b"%d\n" % signal.SIGTERM)

    def kill(self) -> None:
        """Kill init, and with it the namespace; then whatever else the hub's cgroup or marks show."""
        if self._job and self._job.poll() is None:
            self._job.kill()
            self._job.wait()
        self._cgroup.kill_job()
        kill_marked(self._identity.hub)

    def execute(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout_s: float,
        read: Callable[[int], object],
    ) -> int:
        """Run another command beside the job, in a namespace of its own; `read` takes its output."""
        process, control, output = self._spawn(command, environment)
        read(output)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise RunnerError(f"{command[0]} did not end within {timeout_s:.0f} s") from error
        finally:
            os.close(control)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], int, int]:
        control_in, control = os.pipe()
        output, output_in = os.pipe()
        order = {
            "argv": list(command),
            "env": dict(environment),
            "cwd": self.places.work,
            "cgroup_procs": [str(self._cgroup.job / "main" / "cgroup.procs")] if self._cgroup.job else [],
        }
        try:
            process = subprocess.Popen(
                [*self._namespace, *agent_command("_init", str(control_in))],
                stdin=subprocess.DEVNULL,
                stdout=output_in,
                stderr=output_in,
                env={**agent_environment(), **self._identity.marks()},
                pass_fds=(control_in,),
                # Without a namespace init must live to end the job: it sees its pipe close.
                preexec_fn=dying_with(os.getpid()) if self._namespace else None,
            )
        except OSError as error:
            os.close(control)
            os.close(output)
            raise RunnerError(f"the job cannot be started: {error}") from error
        finally:
            os.close(control_in)
            os.close(output_in)
        threading.Thread(
            target=os.write, args=(control, json.dumps(order).encode() + b"\n"), daemon=True
        ).start()
        return process, control, output


def _namespace() -> tuple[str, ...]:
    """Return the first way into a pid namespace that works here; none if none does."""
    if shutil.which("unshare"):
        for way in _NAMESPACES:
            with suppress(OSError, subprocess.TimeoutExpired):
                tried = subprocess.run([*way, "true"], capture_output=True, timeout=_PROBE_S, check=False)
                if tried.returncode == 0:
                    return way
    return ()


def _base_environment() -> dict[str, str]:
    """Return what a job may know of this machine: not all that the agent's environment holds."""
    inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH") or os.defpath])
    return {**inherited, "PATH": path}
