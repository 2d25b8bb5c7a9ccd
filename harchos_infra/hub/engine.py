"""Container engines by their command line: podman and docker, which agree but for a few flags."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harchos_infra.hub.cgroup import Cgroup

NAMES = ("podman", "docker")
LABEL = "harchos:hub"
ANSWER_S = 20.0
_LOOK_S = 0.2
_REMOVALS = 3
_CLIENTS = 3
_MARKS = ("HARCHOS_HUB", "HARCHOS_RUN", "HARCHOS_EXPIRES", "HARCHOS_DIR")
_FILES = 20_000
_PROCESSES = 32_768


class EngineError(Exception):
    """The engine refused, or did not answer in time; says what it said."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine; `conf` is podman's configuration of our own, or None."""

    name: str
    binary: str
    conf: Path | None = None

    def run(
        self,
        *arguments: str,
        timeout_s: float = ANSWER_S,
        data: bytes = b"",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        """Run a command of the engine; return what it printed. Raises EngineError.

        A client that somebody killed says nothing of the engine: all commands here may be given again.
        """
        until = time.monotonic() + timeout_s
        for _ in range(_CLIENTS):
            code, out, err = self._client(arguments, until, data, cancelled)
            if code >= 0:
                break
        if code != 0:
            said = err.decode(errors="replace").strip().splitlines() or [f"exit {code}"]
            raise EngineError(f"{self.name} {arguments[0]}: {said[-1]}")
        return out.decode(errors="replace")

    def _client(
        self, arguments: Sequence[str], until: float, data: bytes, cancelled: Callable[[], bool]
    ) -> tuple[int, bytes, bytes]:
        """Return exit code (negative: its signal), output and errors of a client."""
        try:
            client = subprocess.Popen(
                [self.binary, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment(),
            )
        except OSError as error:
            raise EngineError(f"{self.name} cannot be run: {error}") from error
        since = time.monotonic()
        while True:
            try:
                out, err = client.communicate(data, timeout=_LOOK_S)
                return client.returncode, out, err
            except subprocess.TimeoutExpired:
                if time.monotonic() > until or cancelled():
                    client.kill()
                    client.communicate()
                    waited_s = time.monotonic() - since
                    why = "given up" if cancelled() else f"no answer within {waited_s:.0f} s"
                    raise EngineError(f"{self.name} {arguments[0]}: {why}") from None

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the client's environment, without the hub's marks."""
        env = {name: value for name, value in os.environ.items() if name not in _MARKS}
        conf = {"CONTAINERS_CONF": str(self.conf)} if self.conf and self.conf.exists() else {}
        return {**env, **(extra or {}), **conf}

    def has_image(self, image: str) -> bool:
        """Return whether an image is in the local store."""
        try:
            self.run("image", "inspect", "--format", "{{.Id}}", image)
        except EngineError:
            return False
        return True

    def containers(self, hub: str) -> list[str]:
        """Return the ids of a hub's containers, running or not. Raises EngineError."""
        listed = self.run("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={hub}")
        return listed.split()

    def remove_labelled(self, hub: str) -> list[str]:
        """Remove a hub's containers; return those that are still there. An engine that is down has none.

        podman refuses the first time where a container's monitor was killed.
        """
        at_once = ("--time", "0") if self.name == "podman" else ()
        for _ in range(_REMOVALS):
            try:
                ids = self.containers(hub)
            except EngineError:
                return []
            if not ids:
                return []
            with suppress(EngineError):
                self.run("rm", "--force", *at_once, "--volumes", *ids, timeout_s=60)
        try:
            return self.containers(hub)
        except EngineError:
            return []


def installed_engines(conf: Path | None = None) -> list[Engine]:
    """Return the engines whose command line is installed, podman first."""
    found = ((name, shutil.which(name)) for name in NAMES)
    return [Engine(name, binary, conf if name == "podman" else None) for name, binary in found if binary]


def write_podman_conf(path: Path, cgroup: Cgroup) -> None:
    """Write podman's configuration for root without systemd; nothing under /etc is touched.

    crun refuses hybrid cgroups, so runc runs there. The limits are what this process may ask for itself.
    """
    files = _hard_limit(resource.RLIMIT_NOFILE, _FILES)
    processes = min(_hard_limit(resource.RLIMIT_NPROC, _PROCESSES), _pid_max())
    runtime = 'runtime="runc"\n' if cgroup.hybrid and shutil.which("runc") else ""
    path.write_text(
        "[containers]\n"
        f"default_ulimits={json.dumps([f'nofile={files}:{files}', f'nproc={processes}:{processes}'])}\n"
        "[network]\n"
        'network_backend="netavark"\n'
        "[engine]\n"
        f'{runtime}cgroup_manager="cgroupfs"\nevents_logger="file"\n',
        encoding="utf-8",
    )


def _hard_limit(kind: int, most: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


def _pid_max() -> int:
    return int(Path("/proc/sys/kernel/pid_max").read_text())
