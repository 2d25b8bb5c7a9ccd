"""Makes a hub and takes it down again, from whatever state it is found in."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harchos_infra.clouds.cloud import Cloud, Resource, cloud
from harchos_infra.errors import HarchosError
from harchos_infra.provision.binary import Binary, find_binary
from harchos_infra.provision.child import CancelledError
from harchos_infra.provision.event import OnEvent, TerraformEvent, ignore
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.root_module import root_module, write_root
from harchos_infra.provision.terraform import DISK_FULL_HINT, Terraform
from harchos_infra.provision.workspace_lock import WorkspaceLock

_STATE = "terraform.tfstate"
_SWEEPS = 3


class Provisioner:
    """Each hub has its own Terraform workspace and state, so hubs come and go independently."""

    def __init__(
        self,
        *,
        binary: Binary | None = None,
        cancel: threading.Event | None = None,
        cloud: Callable[[str], Cloud] = cloud,
        lock_timeout_s: float = 120.0,
    ) -> None:
        self._binary = binary
        self._cancel = cancel
        self._cloud = cloud
        self._lock_timeout_s = lock_timeout_s

    def create(self, spec: HubSpec, on_event: OnEvent = ignore) -> dict[str, Any]:
        """Create the hub and return the module's outputs; a hub that exists is left as it is.

        What an attempt left without a trace in the state (it was killed, the disk was full) is removed first,
        else its agent and the new one would meet.

        Raises HarchosError when it fails; what was made by then stays, for `destroy` or another `create`.
        """
        root_module(spec)
        lock = self._lock(spec.workspace)
        terraform = self._terraform(spec.workspace, lock)
        with _disk_errors(spec.directory):
            _make_private(spec)
            with lock.held():
                if (spec.workspace / "main.tf.json").exists() and not _has_state(spec.workspace):
                    _sweep(self._cloud(spec.cloud), spec.hub, None)
                write_root(spec, spec.workspace)
                terraform.init()
                terraform.apply(on_event)
                return terraform.outputs()

    def destroy(self, hub: HubSpec | Path, on_event: OnEvent = ignore) -> None:
        """Destroy a hub, given its spec or its directory, and prove it by the cloud's own listing.

        Where Terraform cannot (its state, module or binary is lost, or a resource is tainted), what the
        listing shows is deleted. Raises HarchosError naming what is left.
        """
        if isinstance(hub, HubSpec):
            directory, name, cloud_name = hub.directory, hub.hub, hub.cloud
        else:
            directory, (name, cloud_name) = hub, _identify(hub)
        adapter = self._cloud(cloud_name)
        workspace = directory / "terraform"
        if not workspace.is_dir():
            _sweep(adapter, name, None)
            return
        lock = self._lock(workspace)
        with lock.held():
            failure = self._destroy_by_terraform(workspace, lock, on_event)
            _sweep(adapter, name, failure)
            if failure:
                _set_state_aside(workspace)

    def state(self, directory: Path) -> list[str]:
        """Return the address of each resource in the state of the hub in `directory`."""
        workspace = directory / "terraform"
        return self._terraform(workspace, self._lock(workspace)).state_list() if _has_state(workspace) else []

    def _destroy_by_terraform(
        self, workspace: Path, lock: WorkspaceLock, on_event: OnEvent
    ) -> HarchosError | None:
        """Destroy what the state holds; return, and report as a warning, why that could not be done."""
        if not _has_state(workspace):
            return None
        try:
            terraform = self._terraform(workspace, lock)
            terraform.init()
            terraform.destroy(on_event)
        except CancelledError:
            raise
        except HarchosError as failure:
            on_event(
                TerraformEvent("log", f"{failure.what}; the hub is removed by its marks instead", "warn")
            )
            return failure
        return None

    def _terraform(self, workspace: Path, lock: WorkspaceLock) -> Terraform:
        self._binary = self._binary or find_binary()
        return Terraform(workspace, self._binary, cancel=self._cancel, lock=lock)

    def _lock(self, workspace: Path) -> WorkspaceLock:
        return WorkspaceLock(workspace, timeout_s=self._lock_timeout_s)


def _identify(directory: Path) -> tuple[str, str]:
    """Return the names of a hub and its cloud, from its root if that can be read."""
    try:
        module = json.loads((directory / "terraform" / "main.tf.json").read_text())["module"]["hub"]
        return module["hub"], module["source"].rpartition("/")[2].removesuffix("-hub")
    except (OSError, ValueError, KeyError, TypeError):
        return directory.name, "local"


def _sweep(adapter: Cloud, hub: str, failure: HarchosError | None) -> None:
    """Delete what the cloud still lists for a hub, until it lists nothing."""
    refusals: list[str] = []
    for _ in range(_SWEEPS):
        left = adapter.list(hub=hub)
        if not left:
            return
        refusals = []
        for resource in left:
            try:
                adapter.delete(resource)
            except HarchosError as error:
                refusals.append(error.what)
    left = adapter.list(hub=hub)
    if left:
        reasons = [*refusals, *([failure.what] if failure else [])]
        raise HarchosError(
            f"hub {hub} is not gone; {adapter.name} ({adapter.identity()}) still lists:\n  "
            + "\n  ".join([*map(_describe, left), *reasons]),
            hint="correct the cause and run `harchos destroy` again, or `harchos sweep`",
        )


def _describe(resource: Resource) -> str:
    price = f", {resource.price_usd_hour:.2f} USD/h" if resource.price_usd_hour is not None else ""
    return f"{resource.kind} {resource.id} {resource.detail}".rstrip() + price


def _make_private(spec: HubSpec) -> None:
    """Make directories and state files that only their owner can read.

    Not by a umask: Terraform would hand it on to the hub's job.
    """
    for directory in (spec.directory, spec.workspace):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    for name in (_STATE, f"{_STATE}.backup"):
        (spec.workspace / name).touch(mode=0o600)


def _has_state(workspace: Path) -> bool:
    """Return whether the state holds resources; one that cannot be read may."""
    try:
        text = (workspace / _STATE).read_text(encoding="utf-8")
        return bool(text) and json.loads(text)["resources"] != []
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _set_state_aside(workspace: Path) -> None:
    """Keep, under another name, the state of a hub that is gone but that Terraform could not destroy."""
    (workspace / _STATE).replace(workspace / f"{_STATE}.abandoned")


@contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = DISK_FULL_HINT if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise HarchosError(f"{error.filename or directory}: {error.strerror}", hint=hint) from error
