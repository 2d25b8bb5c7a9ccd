"""The local hub through real Terraform, judged by what runs on the machine afterwards."""

import json
import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.clouds.cloud import Resource
from harchos_infra.clouds.local import LocalCloud
from harchos_infra.errors import HarchosError
from harchos_infra.provision.binary import Binary, find_binary, terraform_environment
from harchos_infra.provision.child import CancelledError
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.provision.root_module import write_root
from harchos_infra.provision.terraform import Changes, Terraform
from harchos_infra.share import share_directory

FAKE_AGENT = Path(__file__).parents[1] / "support" / "fake_agent.py"
MODULE = share_directory("terraform") / "modules" / "local-hub"


@dataclass
class Bench:
    """A hub about to be made, and eyes on the machine."""

    spec: HubSpec

    def agent_does(self, behaviour: str) -> None:
        self.spec.agent.with_name("behaviour").write_text(behaviour)

    def pids(self) -> list[int]:
        """Return the live processes that carry the hub's mark, read straight from /proc."""
        mark = f"HARCHOS_HUB={self.spec.hub}".encode()
        return [pid for pid in _pids() if mark in _proc(pid, "environ").split(b"\0")]

    def terraform_pids(self) -> list[int]:
        return [
            pid
            for pid in _pids()
            if pid != os.getpid()
            and _cwd(pid) == self.spec.workspace
            and b"apply" in _proc(pid, "cmdline").split(b"\0")
        ]

    def terraform(self) -> Terraform:
        return Terraform(self.spec.workspace, find_binary())

    def state(self) -> Path:
        return self.spec.workspace / "terraform.tfstate"


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _proc(pid: int, file: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / file).read_bytes()
    except OSError:
        return b""


def _cwd(pid: int) -> Path | None:
    try:
        return (Path("/proc") / str(pid) / "cwd").readlink()
    except OSError:
        return None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    place = tmp_path / "it's a ${place}"
    place.mkdir()
    shutil.copy(FAKE_AGENT, place / "agent.pyz")
    run = f"digits-{secrets.token_hex(3)}"
    spec = HubSpec(
        run=run,
        hub=f"{run}-h1",
        workload="digits",
        provider="local",
        region="local",
        zone="DE",
        instance_type="host",
        market="on-demand",
        nodes=1,
        expires=datetime.now(UTC) + timedelta(hours=1),
        mailbox_url=f"file://{place}/mailbox",
        directory=place / "hubs" / f"{run}-h1",
        agent=place / "agent.pyz",
        python=Path(sys.executable),
        stop_grace_s=1,
    )
    bench = Bench(spec)
    yield bench
    for pid in [*bench.terraform_pids(), *bench.pids()]:
        os.kill(pid, signal.SIGKILL)


def wait_for(condition: object, *, what: str) -> None:
    assert callable(condition)
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.02)


def test_the_module_is_formatted_valid_and_passes_its_own_tests(tmp_path: Path) -> None:
    module = tmp_path / "local-hub"
    shutil.copytree(MODULE, module, ignore=shutil.ignore_patterns(".terraform*"))
    binary = str(find_binary().path)
    for command in (
        ["fmt", "-check", "-recursive", "-diff"],
        ["init", "-input=false"],
        ["validate"],
        ["test"],
        ["-chdir=examples/minimal", "init", "-input=false"],
        ["-chdir=examples/minimal", "validate"],
    ):
        done = subprocess.run(
            [binary, *command], cwd=module, env=terraform_environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_hub_is_made_once_and_leaves_nothing_when_destroyed(bench: Bench) -> None:
    provisioner = Provisioner()
    outputs = provisioner.create(bench.spec)
    first = bench.pids()
    assert outputs == {
        "hub": bench.spec.hub,
        "directory": str(bench.spec.machine),
        "mailbox": bench.spec.mailbox_url,
    }
    assert len(first) == 1
    assert len(provisioner.state(bench.spec.directory)) == 2

    assert bench.terraform().plan() == Changes()
    provisioner.create(bench.spec)
    assert bench.pids() == first

    provisioner.destroy(bench.spec)
    assert bench.pids() == []
    assert provisioner.state(bench.spec.directory) == []
    provisioner.destroy(bench.spec)


def test_a_hubs_processes_do_not_hold_the_workspace(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    assert len(bench.pids()) == 1
    Provisioner(lock_timeout_s=0).destroy(bench.spec)


def test_progress_is_told_in_order(bench: Bench) -> None:
    seen: list[TerraformEvent] = []
    Provisioner().create(bench.spec, seen.append)
    done = [event for event in seen if event.type == "apply_complete"]
    assert [(event.address, event.action) for event in done] == [
        ("module.hub.terraform_data.agent[0]", "create"),
        ("module.hub.terraform_data.ready[0]", "create"),
    ]
    assert all(event.elapsed_s is not None for event in done)


def test_state_and_workspace_are_readable_by_their_owner_only(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    assert bench.spec.directory.stat().st_mode & 0o777 == 0o700
    assert bench.spec.workspace.stat().st_mode & 0o777 == 0o700
    Provisioner().destroy(bench.spec)
    states = list(bench.spec.workspace.glob("terraform.tfstate*"))
    assert len(states) == 2
    assert {file.stat().st_mode & 0o777 for file in states} == {0o600}


def test_the_hub_keeps_the_users_umask(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    (status,) = (_proc(pid, "status").decode() for pid in bench.pids())
    umask = os.umask(0)
    os.umask(umask)
    assert f"Umask:\t{umask:04o}" in status


def test_terraform_settings_of_the_user_do_not_leak_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-no-such-option")
    monkeypatch.setenv("TF_WORKSPACE", "elsewhere")
    monkeypatch.setenv("TF_DATA_DIR", "/nonexistent/data")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nonexistent/terraformrc")
    Provisioner().create(bench.spec)
    assert bench.state().exists()


def test_a_hub_that_never_becomes_ready_is_still_stopped_by_terraform(bench: Bench) -> None:
    bench.agent_does("never-ready")
    with pytest.raises(HarchosError, match=r"terraform_data\.ready\[0\]: .*no heartbeat"):
        Provisioner().create(replace(bench.spec, ready_timeout_s=0.2))
    assert len(bench.pids()) == 1

    seen: list[TerraformEvent] = []
    Provisioner().destroy(bench.spec, seen.append)
    assert "module.hub.terraform_data.agent[0]" in [e.address for e in seen if e.type == "provision_complete"]
    assert bench.pids() == []


def test_an_agent_that_does_not_start_says_why(bench: Bench) -> None:
    bench.agent_does("fails-to-start")
    with pytest.raises(HarchosError, match="no mailbox here"):
        Provisioner().create(bench.spec)


def test_a_hub_whose_agent_was_killed_is_destroyed(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    os.kill(bench.pids()[0], signal.SIGKILL)
    Provisioner().destroy(bench.spec)
    assert bench.pids() == []


def _taint(bench: Bench) -> None:
    subprocess.run(
        [find_binary().path, "taint", "module.hub.terraform_data.agent[0]"],
        cwd=bench.spec.workspace,
        env=terraform_environment(),
        check=True,
        capture_output=True,
    )


def _delete_everything(bench: Bench) -> None:
    shutil.rmtree(bench.spec.directory)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_taint, id="the agent is tainted, so Terraform would not stop it"),
        pytest.param(lambda b: b.state().unlink(), id="the state is lost"),
        pytest.param(lambda b: b.state().write_text("{ not a state"), id="the state is corrupt"),
        pytest.param(lambda b: shutil.rmtree(b.spec.workspace / "modules"), id="the module is lost"),
        pytest.param(lambda b: (b.spec.workspace / "main.tf.json").unlink(), id="the root is lost"),
        pytest.param(lambda b: b.spec.agent.unlink(), id="the agent's program is lost"),
        pytest.param(lambda b: b.agent_does("fails-to-stop"), id="the agent refuses to stop"),
        pytest.param(_delete_everything, id="the directory is lost"),
    ],
)
def test_a_hub_is_destroyed_although(bench: Bench, damage: object) -> None:
    assert callable(damage)
    Provisioner().create(bench.spec)
    damage(bench)
    Provisioner().destroy(bench.spec.directory)
    assert bench.pids() == []
    assert Provisioner().state(bench.spec.directory) == []


def test_a_hub_is_destroyed_although_terraform_is_not_installed_any_more(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    seen: list[TerraformEvent] = []
    gone = Binary(Path("/nonexistent/terraform"), (1, 11, 4))
    Provisioner(binary=gone).destroy(bench.spec, seen.append)
    assert bench.pids() == []
    assert [event.level for event in seen] == ["warn"]


def test_what_is_left_is_named(bench: Bench) -> None:
    class Stubborn(LocalCloud):
        def delete(self, resource: Resource) -> None:
            raise HarchosError(f"permission denied for {resource.id}")

    Provisioner().create(bench.spec)
    bench.agent_does("fails-to-stop")
    with pytest.raises(HarchosError) as raised:
        Provisioner(cloud=lambda name: Stubborn()).destroy(bench.spec)
    assert f"process {bench.pids()[0]}:" in raised.value.what
    assert "permission denied" in raised.value.what
    assert "terraform destroy failed" in raised.value.what


def test_after_a_killed_terraform_the_next_attempt_makes_one_hub(bench: Bench) -> None:
    bench.agent_does("slow-start")

    def kill_it(event: TerraformEvent) -> None:
        if event.type == "provision_progress":
            wait_for((bench.spec.machine / "heartbeat").exists, what="the hub's start")
            for pid in bench.terraform_pids():
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(HarchosError):
        Provisioner().create(bench.spec, kill_it)
    bench.agent_does("")
    Provisioner().create(bench.spec)
    (only,) = bench.pids()
    assert b"serve" in _proc(only, "cmdline").split(b"\0")
    Provisioner().destroy(bench.spec)
    assert bench.pids() == []


def test_a_state_that_a_full_disk_tore_is_put_away_and_one_hub_is_made(bench: Bench) -> None:
    Provisioner().create(bench.spec)
    state = bench.spec.workspace / "terraform.tfstate"
    state.write_text(state.read_text()[:200])
    Provisioner().create(bench.spec)
    assert len(bench.pids()) == 1
    assert state.stat().st_mode & 0o777 == 0o600
    Provisioner().destroy(bench.spec)
    assert bench.pids() == []


def test_an_orphaned_terraform_keeps_the_next_attempt_waiting(bench: Bench) -> None:
    bench.agent_does("slow-start")
    pid = os.fork()
    if pid == 0:
        try:
            Provisioner().create(bench.spec)
        finally:
            os._exit(0)
    wait_for((bench.spec.machine / "heartbeat").exists, what="the hub's start")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    (orphan,) = bench.terraform_pids()
    with pytest.raises(HarchosError, match=rf"in use by .* \(pid {orphan}\)"):
        Provisioner(lock_timeout_s=0.3).destroy(bench.spec)

    os.kill(orphan, signal.SIGKILL)
    Provisioner().destroy(bench.spec)
    assert bench.pids() == []


def test_two_creates_at_once_work_one_after_the_other(bench: Bench) -> None:
    order: list[str] = []

    def create(name: str) -> None:
        Provisioner().create(bench.spec, lambda event: order.append(name))

    threads = [threading.Thread(target=create, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes_of_name = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert sorted(changes_of_name) == ["first", "second"]
    assert len(bench.pids()) == 1


def test_a_cancelled_create_leaves_no_terraform_behind_and_can_be_destroyed(bench: Bench) -> None:
    bench.agent_does("slow-start")
    cancel = threading.Event()

    def cancel_it(event: TerraformEvent) -> None:
        if event.type == "provision_progress":
            wait_for((bench.spec.machine / "heartbeat").exists, what="the hub's start")
            cancel.set()

    with pytest.raises(CancelledError) as raised:
        Provisioner(cancel=cancel).create(bench.spec, cancel_it)
    assert raised.value.exit_code == 130
    assert bench.terraform_pids() == []
    Provisioner().destroy(bench.spec)
    assert bench.pids() == []


ON_A_FULL_DISK = """
import pickle, sys
from pathlib import Path
from harchos_infra.errors import HarchosError
from harchos_infra.provision.provisioner import Provisioner

spec = pickle.loads(bytes.fromhex(sys.argv[1]))
ballast = spec.workspace / "ballast"

def fill(event=None):
    if event is None or event.type == "planned_change":
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass

def attempt(on_event):
    try:
        Provisioner().create(spec, on_event)
    except HarchosError as error:
        assert "no space left on device" in error.what.lower(), error.what
        assert "free some space" in error.hint
    else:
        raise AssertionError("nothing was said of the full disk")

fill()
attempt(lambda event: None)
ballast.unlink()
attempt(fill)
Provisioner().destroy(spec)
ballast.unlink()
Provisioner().create(spec)
fill()
Provisioner().destroy(spec)
"""


def test_a_full_disk_is_named_and_the_hub_can_still_be_destroyed(bench: Bench) -> None:
    bench.spec.workspace.mkdir(parents=True)
    user_namespace = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    mount = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"'
    child = [sys.executable, "-c", ON_A_FULL_DISK, pickle.dumps(bench.spec).hex()]
    done = subprocess.run(
        ["unshare", "--mount", *user_namespace, "sh", "-c", mount, bench.spec.workspace, *child],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert bench.pids() == []


def test_every_error_of_a_configuration_is_told(bench: Bench) -> None:
    bench.spec.workspace.mkdir(parents=True)
    write_root(bench.spec, bench.spec.workspace)
    terraform = bench.terraform()
    terraform.init()
    root = bench.spec.workspace / "main.tf.json"
    document = json.loads(root.read_text())
    document["module"]["hub"] |= {"colour": "green"}
    del document["module"]["hub"]["run"]
    root.write_text(json.dumps(document))
    with pytest.raises(HarchosError) as raised:
        terraform.validate()
    assert "colour" in raised.value.what
    assert '"run" is required' in raised.value.what
