"""Makes a hub and takes it down again, from whatever state it is found in."""

from __future__ import annotations

import errno
import getpass
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harchos_infra.clouds.cloud import Cloud, cloud
from harchos_infra.clouds.namespaces import forget_namespaces
from harchos_infra.errors import HarchosError
from harchos_infra.provision.backend import LOCAL, Backend, backend_for
from harchos_infra.provision.binary import Binary, find_binary
from harchos_infra.provision.child import CancelledError
from harchos_infra.provision.event import OnEvent, TerraformEvent, ignore
from harchos_infra.provision.failure import provision_error
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.removal import LOCAL_PAUSES_S, PAUSES_S, remove
from harchos_infra.provision.rented_hub import CLOUDS
from harchos_infra.provision.root_module import ROOT, root_module, write_root, written_backend
from harchos_infra.provision.terraform import DISK_FULL_HINT, Changes, Terraform, TerraformError
from harchos_infra.provision.workspace_lock import WorkspaceLock
from harchos_infra.settings import Settings

_STATE = "terraform.tfstate"
_UNWRITTEN = "errored.tfstate"
"""Where Terraform leaves a state that its backend would not take."""


class Provisioner:
    """Each hub has its own Terraform workspace and state, so hubs come and go independently.

    `backend` is the setting `terraform.backend` where it is not to be read from the settings; hubs on this
    machine keep their state beside them.
    """

    def __init__(
        self,
        *,
        binary: Binary | None = None,
        cancel: threading.Event | None = None,
        cloud: Callable[[str], Cloud] = cloud,
        backend: str | None = None,
        lock_timeout_s: float = 120.0,
        state_lock_timeout_s: int = 30,
        removal_pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._binary = binary
        self._cancel = cancel or threading.Event()
        self._cloud = cloud
        self._backend = backend
        self._lock_timeout_s = lock_timeout_s
        self._state_lock_timeout_s = state_lock_timeout_s
        self._removal_pauses_s = removal_pauses_s

    def create(self, spec: HubSpec, on_event: OnEvent = ignore) -> dict[str, Any]:
        """Create the hub and return the module's outputs; a hub that exists is left as it is.

        What an attempt left without a trace in the state (it was killed, the disk was full) is removed first,
        else its agent and the new one would meet.

        Raises ProvisionError when it fails; what was made by then stays, for `destroy` or another `create`.
        """
        backend = written_backend(spec.workspace) or self._backend_of(spec)
        root_module(spec, backend)
        lock = self._lock(spec.workspace)
        terraform = self._terraform(spec.workspace, lock)
        self._check_version(backend)
        with _explained(spec), _disk_errors(spec.directory):
            _make_private(spec.directory)
            with lock.held():
                is_first = not (spec.workspace / ROOT).exists()
                is_torn = backend.kind == "local" and _is_torn(spec.workspace)
                if is_torn:
                    on_event(TerraformEvent("log", "the state was torn; the hub is made anew", "warn"))
                if is_torn or (
                    not is_first and backend.kind == "local" and not _has_local_state(spec.workspace)
                ):
                    self._remove(spec.cloud, spec.hub, None)
                if is_torn:
                    (spec.workspace / _STATE).write_text("")
                write_root(spec, spec.workspace, backend)
                terraform.init()
                if not is_first and backend.kind != "local" and not terraform.state_list():
                    self._remove(spec.cloud, spec.hub, None)
                _unless_stale(terraform, terraform.apply, on_event, is_first=is_first)
                return terraform.outputs()

    def destroy(self, hub: HubSpec | Path, on_event: OnEvent = ignore) -> None:
        """Destroy a hub, given its spec or its directory, and prove it by the cloud's own listing.

        Where Terraform cannot (its state, module or binary is lost, or a resource is tainted), what the
        listing shows is deleted. Raises HarchosError naming what is left.
        """
        if isinstance(hub, HubSpec):
            directory, name, cloud_name = hub.directory, hub.hub, hub.cloud
            self._restore_root(hub)
        else:
            directory, (name, cloud_name) = hub, _identify(hub)
        workspace = directory / "terraform"
        if not workspace.is_dir():
            self._remove(cloud_name, name, None)
            return
        lock = self._lock(workspace)
        with lock.held():
            failure = self._destroy_by_terraform(workspace, lock, on_event)
            self._remove(cloud_name, name, failure)
            if failure:
                _set_state_aside(workspace)

    def state(self, directory: Path) -> list[str]:
        """Return the address of each resource in the state of the hub in `directory`."""
        workspace = directory / "terraform"
        if _is_local(workspace):
            has_state = _has_local_state(workspace)
            return self._terraform(workspace, self._lock(workspace)).state_list() if has_state else []
        terraform = self._terraform(workspace, self._lock(workspace))
        terraform.init()
        return terraform.state_list()

    def _destroy_by_terraform(
        self, workspace: Path, lock: WorkspaceLock, on_event: OnEvent
    ) -> HarchosError | None:
        """Destroy what the state holds; return, and report as a warning, why that could not be done."""
        is_local = _is_local(workspace)
        if is_local and not _has_local_state(workspace):
            return None
        try:
            terraform = self._terraform(workspace, lock)
            terraform.init()
            if (workspace / _UNWRITTEN).exists():
                terraform.push_state(_UNWRITTEN)
                (workspace / _UNWRITTEN).unlink()
            if is_local or terraform.state_list():
                _unless_stale(terraform, terraform.destroy, on_event, is_first=False)
        except CancelledError:
            raise
        except HarchosError as failure:
            on_event(
                TerraformEvent("log", f"{failure.what}; the hub is removed by its marks instead", "warn")
            )
            return failure
        return None

    def _restore_root(self, spec: HubSpec) -> None:
        """Write the root again where it was lost, if the state may still be in a store elsewhere."""
        backend = self._backend_of(spec)
        if backend.kind == "local" or written_backend(spec.workspace):
            return
        with _disk_errors(spec.directory):
            _make_private(spec.directory)
            write_root(spec, spec.workspace, backend)

    def _remove(self, cloud_name: str, hub: str, failure: HarchosError | None) -> None:
        remove(
            self._cloud(cloud_name),
            hub,
            failure=failure,
            pauses_s=LOCAL_PAUSES_S if cloud_name == "local" else self._removal_pauses_s,
            cancel=self._cancel,
        )
        if cloud_name == "local":
            forget_namespaces()

    def _backend_of(self, spec: HubSpec) -> Backend:
        if spec.cloud not in CLOUDS:
            return LOCAL
        return backend_for(self._backend or Settings.load().terraform_backend, spec.run, spec.hub)

    def _check_version(self, backend: Backend) -> None:
        """Raise HarchosError where the backend needs a later Terraform."""
        assert self._binary
        if self._binary.version < backend.required_terraform:
            needed = ".".join(map(str, backend.required_terraform))
            raise HarchosError(
                f"{self._binary.path}: states on {backend.kind} need Terraform or OpenTofu {needed} or later",
                hint="install a later one, or unset terraform.backend",
            )

    def _terraform(self, workspace: Path, lock: WorkspaceLock) -> Terraform:
        self._binary = self._binary or find_binary()
        return Terraform(
            workspace,
            self._binary,
            cancel=self._cancel,
            lock=lock,
            state_lock_timeout_s=self._state_lock_timeout_s,
        )

    def _lock(self, workspace: Path) -> WorkspaceLock:
        return WorkspaceLock(workspace, timeout_s=self._lock_timeout_s)


def _identify(directory: Path) -> tuple[str, str]:
    """Return the names of a hub and its cloud, from its root if that can be read."""
    try:
        module = json.loads((directory / "terraform" / ROOT).read_text())["module"]["hub"]
        return module["hub"], module["source"].rpartition("/")[2].removesuffix("-hub")
    except (OSError, ValueError, KeyError, TypeError):
        return directory.name, "local"


def _unless_stale(
    terraform: Terraform, command: Callable[[OnEvent], Changes], on_event: OnEvent, *, is_first: bool
) -> None:
    """Run a command, once more if the state's lock was left by a Terraform of this workspace that was killed.

    It was if it names this user on this machine: whoever holds the workspace's own lock knows that no other
    Terraform runs in it.
    """
    try:
        command(on_event)
    except TerraformError as error:
        if is_first or not error.lock or error.lock.who != f"{getpass.getuser()}@{socket.gethostname()}":
            raise
        terraform.unlock(error.lock)
        command(on_event)


def _make_private(directory: Path) -> None:
    """Make directories and state files that only their owner can read.

    Not by a umask: Terraform would hand it on to the hub's job.
    """
    workspace = directory / "terraform"
    for folder in (directory, workspace):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    for name in (_STATE, f"{_STATE}.backup"):
        (workspace / name).touch(mode=0o600)


def _is_local(workspace: Path) -> bool:
    """Return whether the state is kept beside the root; without a root nothing else is known."""
    backend = written_backend(workspace)
    return backend is None or backend.kind == "local"


def _is_torn(workspace: Path) -> bool:
    """Return whether the state beside the root was written half-way, as on a disk that was full."""
    try:
        text = (workspace / _STATE).read_text(encoding="utf-8")
        return bool(text) and not isinstance(json.loads(text), dict)
    except OSError:
        return False
    except ValueError:
        return True


def _has_local_state(workspace: Path) -> bool:
    """Return whether the state beside the root holds resources; one that cannot be read may."""
    try:
        text = (workspace / _STATE).read_text(encoding="utf-8")
        return bool(text) and json.loads(text)["resources"] != []
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _set_state_aside(workspace: Path) -> None:
    """Keep, under another name, the state of a hub that is gone but that Terraform could not destroy."""
    if (workspace / _STATE).exists():
        (workspace / _STATE).replace(workspace / f"{_STATE}.abandoned")


@contextmanager
def _explained(spec: HubSpec) -> Iterator[None]:
    """Raise what goes wrong as a ProvisionError; a state that no store took is for its owner only."""
    try:
        yield
    except CancelledError:
        raise
    except HarchosError as error:
        if (spec.workspace / _UNWRITTEN).exists():
            (spec.workspace / _UNWRITTEN).chmod(0o600)
        raise provision_error(error, spec) from error


@contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = DISK_FULL_HINT if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise HarchosError(f"{error.filename or directory}: {error.strerror}", hint=hint) from error
