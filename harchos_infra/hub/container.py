"""The job in a container, by the engine's own command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harchos_infra.hub import proc
from harchos_infra.hub.cgroup import Cgroup
from harchos_infra.hub.directory import MARK_DIRECTORY, Directory, Identity
from harchos_infra.hub.engine import Engine, EngineError
from harchos_infra.hub.host_image import host_mounts
from harchos_infra.hub.invocation import dying_with
from harchos_infra.hub.job import Job
from harchos_infra.hub.meters import machine_memory_gib
from harchos_infra.hub.runner import ENGINE_LOST, JobLostError, Places, RunnerError
from harchos_infra.hub.ttl import Ttl

ROOT = PurePosixPath("/harchos")
_USER = 1000
_TTL_MARGIN_S = 15
_DEAF_S = 5.0
_LOOK_S = 0.1
_LOST_S = 15.0
"""How long the engine may take to notice that a container has ended."""
_INITS = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit")
_CLIENT_NAMES = re.compile(
    r"PATH|HOME|TMPDIR|LD_\w+|XDG_\w+|CONTAINERS_\w+|CONTAINER_\w+|DOCKER_\w+|BUILDAH_\w+|STORAGE_\w+|GODEBUG|NOTIFY_SOCKET"
)
_AS_INIT = (
    'end() { asked=1; [ -z "$job" ] || { asked=; kill -TERM -"$job" 2>/dev/null || kill -TERM "$job"; }; }; '
    'trap end TERM; setsid "$@" & job=$!; [ -z "$asked" ] || end; '
    'while :; do wait "$job"; code=$?; kill -0 "$job" 2>/dev/null || exit "$code"; done'
)
"""Pid 1 ignores signals it has no handler for: a shell takes them for the job and passes them on."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image to run; `host`: this machine's own files are mounted into it."""

    name: str
    host: bool


class ContainerRunner:
    """Runs each attempt as one container, removed when it ends."""

    def __init__(
        self,
        engine: Engine,
        image: Image,
        job: Job,
        identity: Identity,
        directory: Directory,
        checkpoints: Path,
        cgroup: Cgroup,
        network: str | None,
        detail: str,
    ) -> None:
        self.name = engine.name
        self.detail = detail
        self._engine = engine
        self._image = image
        self._job = job
        self._identity = identity
        self._directory = directory
        self._cgroup = cgroup
        self._network = network
        self._mounts = _job_mounts(job, directory, checkpoints)
        self._client: subprocess.Popen[bytes] | None = None
        self._attempt = 0
        self._environment_file = directory.path / "container.env"
        self._pid_file = directory.path / "container.pid"
        self._first: proc.Process | None = None
        self._over_at: float | None = None
        self.places = Places(
            work=str(ROOT / "work"),
            outputs=str(ROOT / "outputs"),
            checkpoints=str(
                self._mounts.get(checkpoints) or ROOT / "work" / checkpoints.relative_to(directory.work)
            ),
            environment=_base_environment(image),
        )

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start the container; return the descriptor of its merged output. Raises RunnerError."""
        self._attempt += 1
        self._pid_file.unlink(missing_ok=True)
        self._first = self._over_at = None
        _give_to_user(self._mounts)
        words = [
            *("run", "--rm", "--name", self._container, "--log-driver", "none"),
            *labels(self._identity),
            *_hardened(),
            *self._limits(),
            *self._places(),
            *self._environment(environment),
            self._image.name,
            *(("/bin/sh", "-c", _AS_INIT, "init") if self._image.host else ()),
            *command,
        ]
        self._client, output = self._spawn(words, environment)
        return output

    def poll(self) -> int | None:
        """Return the job's exit code (128 + n for a signal), or None while it runs.

        Raises JobLostError once nobody can tell: the engine's client or its monitor was killed.
        """
        code = self._client.poll() if self._client else None
        if code is None:
            if self._over_s() > _LOST_S:
                raise JobLostError(f"{ENGINE_LOST}: its monitor was killed")
            return None
        self._environment_file.unlink(missing_ok=True)
        if code < 0:
            raise JobLostError(f"{ENGINE_LOST}: its client was killed by {signal.Signals(-code).name}")
        return code

    def _over_s(self) -> float:
        """Return for how long the container's first process has been gone; 0 where that is not known."""
        if self._first is None:
            try:
                self._first = proc.Process.of(int(self._pid_file.read_text()))
            except (OSError, ValueError):
                return 0.0
        if self._first is not None and self._first.alive():
            return 0.0
        self._over_at = self._over_at or time.monotonic()
        return time.monotonic() - self._over_at

    def terminate(self) -> None:
        """Send SIGTERM to the container's first process, as soon as there is one that hears it."""
        until = time.monotonic() + _DEAF_S
        while self.poll() is None and time.monotonic() < until and not self._hears():
            time.sleep(_LOOK_S)
        with suppress(EngineError):
            self._engine.run("kill", "--signal", "TERM", self._container)

    def _hears(self) -> bool:
        """Tell whether the container is up and, where its first process is our shell, has its handler."""
        try:
            pid = int(self._engine.run("inspect", "--format", "{{.State.Pid}}", self._container))
        except (EngineError, ValueError):
            return False
        return pid > 0 and (not self._image.host or proc.handles(pid, "sh", signal.SIGTERM))

    def kill(self) -> None:
        """Remove the hub's containers, then whatever is left in its cgroup."""
        self._engine.remove_labelled(self._identity.hub)
        self._cgroup.kill_job()
        if self._client and self._client.poll() is None:
            try:
                self._client.wait(5)
            except subprocess.TimeoutExpired:
                self._client.kill()
                self._client.wait()
        self._environment_file.unlink(missing_ok=True)

    def execute(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout_s: float,
        read: Callable[[int], object],
    ) -> int:
        """Run another command in the container, its output going to `read`; return its exit code."""
        client, output = self._spawn(["exec", self._container, *command], environment)
        read(output)
        try:
            return client.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            client.kill()
            client.wait()
            raise RunnerError(f"{command[0]} did not end within {timeout_s:.0f} s") from error

    @property
    def _container(self) -> str:
        return f"harchos-{self._identity.hub}-{self._attempt}"

    def _spawn(
        self, words: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], int]:
        """Start the engine's client; values reach it by its environment, never by its command line."""
        output, output_in = os.pipe()
        passed = {name: value for name, value in environment.items() if not _CLIENT_NAMES.fullmatch(name)}
        try:
            client = subprocess.Popen(
                [self._engine.binary, *words],
                stdin=subprocess.DEVNULL,
                stdout=output_in,
                stderr=output_in,
                env=self._engine.environment(passed),
                preexec_fn=dying_with(os.getpid()),
            )
        except OSError as error:
            os.close(output)
            raise RunnerError(f"{self._engine.name} cannot be run: {error}") from error
        finally:
            os.close(output_in)
        return client, output

    def _environment(self, environment: Mapping[str, str]) -> list[str]:
        """Pass values by name; names that the client itself heeds go through a file with mode 0600."""
        words = []
        lines = []
        for name, value in {**environment, MARK_DIRECTORY: str(self._directory.path)}.items():
            if not _CLIENT_NAMES.fullmatch(name):
                words += ["--env", name if name != MARK_DIRECTORY else f"{name}={value}"]
            elif "\n" in value:
                raise RunnerError(
                    f"env {name}: its value has more than one line, which {self._engine.name} cannot take"
                )
            else:
                lines.append(f"{name}={value}\n")
        descriptor = os.open(self._environment_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(lines)
        return [*words, "--env-file", str(self._environment_file)]

    def _limits(self) -> list[str]:
        job = self._job
        memory_gib = min(job.memory_gib or machine_memory_gib(), machine_memory_gib())
        words = ["--shm-size", f"{int(memory_gib / 2 * 2**30)}b"]
        if job.cpus:
            words += ["--cpus", f"{min(job.cpus, os.cpu_count() or 1):g}"]
        if job.memory_gib:
            words += ["--memory", f"{int(memory_gib * 2**30)}b"]
        if self._engine.name == "podman":
            words += ["--pidfile", str(self._pid_file)]
            left_s = Ttl.parse(self._identity.expires).left_s()
            words += ["--timeout", str(max(1, int(left_s)) + _TTL_MARGIN_S)]
            if self._engine.conf and self._cgroup.job:
                words += ["--cgroup-parent", f"/harchos/{self._identity.hub}/job"]
        if not self._image.host and (self._engine.name == "docker" or any(map(os.path.exists, _INITS))):
            words.append("--init")
        return [*words, *self._gpus()]

    def _gpus(self) -> list[str]:
        devices = sorted(str(device) for device in Path("/dev").glob("nvidia*") if not device.is_dir())
        if self._job.gpus == 0 or not devices:
            return []
        if self._image.host:
            return [word for device in devices for word in ("--device", device)]
        return ["--gpus", "all"] if self._engine.name == "docker" else ["--device", "nvidia.com/gpu=all"]

    def _places(self) -> list[str]:
        words = ["--workdir", self.places.work]
        for host, inside in self._mounts.items():
            words += ["--volume", f"{host}:{inside}"]
        return [*words, *image_mounts(self._image), *network_words(self._network)]


def image_mounts(image: Image) -> list[str]:
    """Return the mounts that make the host image one."""
    paths = host_mounts() if image.host else []
    return [word for path in paths for word in ("--volume", f"{path}:{path}:ro")]


def network_words(network: str | None) -> list[str]:
    """Return the flags for a network; None: the engine's default."""
    return [] if network is None else ["--network", network]


def labels(identity: Identity) -> list[str]:
    """Return the flags that mark a container as a hub's."""
    marks = {"run": identity.run, "hub": identity.hub, "expires": identity.expires}
    return [word for name, value in marks.items() for word in ("--label", f"harchos:{name}={value}")]


def probe(engine: Engine, image: Image, network: str | None, identity: Identity) -> None:
    """Run `true` in a container as the job would be run, and marked like it. Raises EngineError."""
    words = [
        "run",
        "--rm",
        *labels(identity),
        *_hardened(),
        *image_mounts(image),
        *network_words(network),
        image.name,
        "/bin/true",
    ]
    engine.run(*words, timeout_s=60)


def _hardened() -> list[str]:
    return [
        *("--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop=ALL"),
        *("--security-opt", "no-new-privileges", "--user", _user()),
    ]


def _user() -> str:
    """Return whom the job runs as: an ordinary user; where the agent is one already, that one."""
    return str(_USER) if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"


def _job_mounts(job: Job, directory: Directory, checkpoints: Path) -> dict[Path, PurePosixPath]:
    """Return where the job's directories go; checkpoints inside the working directory need no mount."""
    mounts = {directory.work: ROOT / "work", directory.outputs: ROOT / "outputs"}
    if not checkpoints.is_relative_to(directory.work):
        mounts[checkpoints] = PurePosixPath(job.checkpoint.path) if job.checkpoint else ROOT / "checkpoints"
    return mounts


def _give_to_user(mounts: Mapping[Path, PurePosixPath]) -> None:
    if os.getuid() != 0:
        return
    for directory in mounts:
        os.chown(directory, _USER, _USER)
        for root, folders, files in os.walk(directory):
            for name in folders + files:
                os.chown(Path(root, name), _USER, _USER, follow_symlinks=False)


def _base_environment(image: Image) -> dict[str, str]:
    base = {"HOME": "/tmp", "USER": "harchos", "LOGNAME": "harchos"}
    if image.host:
        path = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        return {**base, "PATH": os.pathsep.join(path), "LANG": os.environ.get("LANG", "C.UTF-8")}
    return base
