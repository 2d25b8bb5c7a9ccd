"""A rented machine, booted: the rendered user-data in a virtual machine, from power-on to power-off.

Each machine boots once, a few at a time, and only those whose tests were asked for. Success is what the
machine says on its console when it powers itself off, and what is in its mailbox then; the test ends none.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.clouds.vault_aws import ParameterStore
from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.package import build_agent
from harchos_infra.provision.binary import find_binary, terraform_environment
from harchos_infra.runs.obstore_wheel import obstore_wheel
from harchos_infra.share import share_directory
from support import vm
from support.agent import Hub
from support.azure_identity import IdentityFront
from support.fake_gcs import FakeGcs
from support.fake_metadata import FakeMetadata
from support.object_stores import ACCOUNT, KEY, Services, azurite_server
from support.recorder import Recorder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(vm.missing() is not None, reason=str(vm.missing())),
]

AT_ONCE = 3
TOKEN = "a-machines-own-token"
SECRET = "a-secret-by-reference"
MODULE = share_directory("terraform") / "modules" / "hub-boot"
STORE, MANAGEMENT = f"http://{vm.STORE}", f"http://{vm.MANAGEMENT}"
S3 = {"AWS_ENDPOINT_URL": STORE, "AWS_REGION": "us-east-1"}
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
SAVES = """
trap 'echo "step $step" > "$HARCHOS_CHECKPOINT_DIR/state"; echo saved; exit 0' TERM
step=0
while :; do step=$((step + 1)); echo "step $step"; sleep 0.5; done
"""
"""Saves its last step when it is asked to end."""
CHECKPOINT = {"path": "saved", "interval_s": None, "grace_s": 10.0, "command": None}
NEARLY_OVER = 'date -s "@$(( $(date -d "$HARCHOS_EXPIRES" +%s) - 5 ))"'


@dataclass(frozen=True)
class Scene:
    """One machine: what its job is, what it is booted with, and what happens while the job runs."""

    script: str
    job: Mapping[str, Any] = field(default_factory=dict)
    cloud: str = "aws"
    mailbox: str = "s3://mailbox/team"
    environment: Mapping[str, str] = field(default_factory=lambda: S3)
    metadata_boots: bool = False
    """User-data comes from the cloud's metadata service instead of a disk."""
    staged: bool = True
    """The agent is in the mailbox."""
    meanwhile: Callable[[Booted], None] = lambda booted: None

    @property
    def kind(self) -> str:
        """Return the kind of its mailbox: `s3`, `gs` or `az`."""
        return self.mailbox[:2]


@dataclass
class Booted:
    """A machine of a scene, and all that is served to it."""

    hub: Hub
    machine: vm.Machine
    metadata: FakeMetadata
    management: Recorder
    user_data: str

    def wait_log(self, text: str) -> None:
        self.machine.wait(lambda: text in self.hub.log(), f"{text!r} in the job's log")


def say_stop(booted: Booted) -> None:
    booted.wait_log("step 2")
    booted.hub.mailbox.put_json("control.json", {"want": "stop", "reason": "enough", "at": "now"})


def take_back(booted: Booted) -> None:
    booted.wait_log("step 2")
    booted.metadata.take_back(in_s=120.0)


SUCCEEDS = Scene(
    """
    echo "to stdout"; echo "to stderr" >&2
    echo "python $(python3 -c 'import sys; print(sys.version_info[:2])')"
    awk '$4 == "0A" {print "listening on", $2}' /proc/net/tcp /proc/net/tcp6
    env | sed 's/^/env /'
    echo "secret $HF_KEY of $(printf %s "$HF_KEY" | wc -c) bytes"
    echo 42 > "$HARCHOS_OUTPUT_DIR/answer"; sleep 1
    """,
    {"secret_names": ["HF_KEY"], "secret_refs": {"HF_KEY": "ssm:///harchos/boot/HF_KEY"}},
    metadata_boots=True,
)
IS_STOPPED = Scene(SAVES, {"checkpoint": CHECKPOINT}, meanwhile=say_stop)
ON_AWS = Scene(SAVES, {"checkpoint": CHECKPOINT}, meanwhile=take_back)
ON_GOOGLE = Scene(
    SAVES,
    {"checkpoint": CHECKPOINT},
    "gcp",
    "gs://mailbox/team",
    {"GOOGLE_BASE_URL": STORE, "HARCHOS_MANAGEMENT": MANAGEMENT},
    metadata_boots=True,
    meanwhile=take_back,
)
ON_AZURE = Scene(
    SAVES,
    {"checkpoint": CHECKPOINT},
    "azure",
    f"az://{ACCOUNT}/mailbox/team",
    {"AZURE_STORAGE_ENDPOINT": f"{STORE}/{ACCOUNT}", "HARCHOS_MANAGEMENT": MANAGEMENT},
    meanwhile=take_back,
)
CRASHES_AND_HANGS = Scene(
    f"""
    if [ ! -e /var/tmp/booted ]; then
      touch /var/tmp/booted; sync; echo "first boot"; sleep 2
      echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger; sleep 60
    fi
    trap 'echo "not now"' TERM
    echo "second boot"; sleep 2
    {NEARLY_OVER}
    while :; do sleep 1; done
    """,
)
AGENT_HANGS = Scene(
    f"""
    echo "about to freeze"; sleep 2
    echo 1 > "/sys/fs/cgroup/harchos/$HARCHOS_HUB/agent/cgroup.freeze"
    {NEARLY_OVER}
    while :; do sleep 1; done
    """,
)
NOTHING_STAGED = Scene("true", staged=False)


def of(scene: Scene) -> Callable[[Any], Any]:
    """Say which scene a test looks at."""

    def mark(test: Any) -> Any:
        test.scene = scene
        return test

    return mark


class Stage:
    """Boots scenes, a few at a time, each into a folder of its own."""

    def __init__(self, folder: Path, ports: Mapping[str, int], agent: Path, wheel: Path) -> None:
        self._folder = folder
        self._ports = ports
        self._agent, self._wheel = agent, wheel
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._stack = ExitStack()
        self._futures: dict[int, Future[Booted]] = {}

    def prepare(self, scene: Scene) -> None:
        """Queue a scene once."""
        if id(scene) not in self._futures:
            self._futures[id(scene)] = self._pool.submit(self._play, scene, len(self._futures))

    def ended(self, scene: Scene) -> Booted:
        """Return what is left of a scene's machine after it powered itself off."""
        return self._futures[id(scene)].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stack.close()

    def _play(self, scene: Scene, number: int) -> Booted:
        folder = self._folder / str(number)
        folder.mkdir()
        hub = Hub(folder, self._agent)
        hub.mailbox = Mailbox(scene.mailbox, hub.run, hub.hub)
        hub.shell(scene.script, **scene.job)
        if scene.staged:
            hub.mailbox.put_file("agent.pyz", self._agent)
            hub.mailbox.put_file("obstore.whl", self._wheel)
        user_data = render(folder, scene, hub)
        served = user_data.encode() if scene.metadata_boots else b""
        metadata = self._stack.enter_context(FakeMetadata(scene.cloud, user_data=served))
        metadata.access_token = TOKEN
        management = self._stack.enter_context(Recorder((202, b"{}")))
        ports = {
            vm.METADATA: metadata.port,
            vm.STORE: self._ports[scene.kind],
            vm.MANAGEMENT: management.port,
        }
        machine = vm.Machine(folder, ports)
        self._stack.callback(machine.end)
        machine.boot(user_data, scene.cloud if scene.metadata_boots else None)
        booted = Booted(hub, machine, metadata, management, user_data)
        scene.meanwhile(booted)
        machine.wait_for_power_off()
        return booted


def render(folder: Path, scene: Scene, hub: Hub) -> str:
    """Return the user-data that real Terraform renders by the module."""
    module = {
        "source": str(MODULE),
        "cloud": scene.cloud,
        "run": hub.run,
        "hub": hub.hub,
        "workload": "test",
        "expires": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "mailbox": scene.mailbox,
        "environment": dict(scene.environment),
    }
    root = folder / "terraform"
    root.mkdir()
    document = {"module": {"boot": module}, "output": {"user_data": {"value": "${module.boot.user_data}"}}}
    (root / "main.tf.json").write_text(json.dumps(document))

    def terraform(*words: str) -> str:
        done = subprocess.run(
            [find_binary().path, *words],
            cwd=root,
            env=terraform_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    texts: list[str] = json.loads(terraform("output", "-json", "user_data"))
    assert len(texts) == 1
    return texts[0]


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, services: Services
) -> Iterator[Stage]:
    """Begin to boot what the tests of this session want, in their order."""
    try:
        find_binary()
    except HarchosError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("boot")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("HARCHOS_HOME", str(folder / "home"))
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        ports = serve_stores(services, stack, patch)
        made = Stage(folder, ports, build_agent(folder / "agent.pyz"), obstore_wheel("x86_64"))
        stack.callback(made.close)
        for item in request.session.items:
            scene = getattr(getattr(item, "function", None), "scene", None)
            if scene is not None and scene.kind in ports:
                made.prepare(scene)
        yield made


def serve_stores(services: Services, stack: ExitStack, patch: pytest.MonkeyPatch) -> dict[str, int]:
    """Lead this process to a bucket `mailbox` of each kind; return the ports where a machine finds them.

    Google's and Azure's take the machines' token and nothing else; moto looks at no signature.
    """
    google = stack.enter_context(FakeGcs("mailbox"))
    identity = stack.enter_context(FakeMetadata("gcp"))
    google.token = identity.access_token = TOKEN
    environment = {
        **KEYS,
        "AWS_ENDPOINT_URL": services["s3"].url,
        "AWS_REGION": "us-east-1",
        "GOOGLE_BASE_URL": google.url,
        "GCE_METADATA_HOST": identity.url.removeprefix("http://"),
    }
    services["s3"].make_bucket("mailbox")
    ports = {"s3": int(services["s3"].url.rpartition(":")[2]), "gs": google.port}
    if azurite_server().exists():
        services["az"].make_bucket("mailbox")
        environment["AZURE_STORAGE_ENDPOINT"] = f"{services['az'].url}/{ACCOUNT}"
        environment["AZURE_STORAGE_ACCOUNT_KEY"] = KEY
        ports["az"] = stack.enter_context(IdentityFront(services["az"].url, TOKEN)).port
    for name, value in environment.items():
        patch.setenv(name, value)
    ParameterStore("us-east-1").put("boot", "HF_KEY", SECRET, {})
    return ports


@pytest.fixture
def booted(request: pytest.FixtureRequest, stage: Stage) -> Booted:
    """Return the scene of this test, ended."""
    scene: Scene = request.function.scene
    if scene.kind == "az" and not azurite_server().exists():
        pytest.skip(f"no Azurite at {azurite_server()}: run scripts/setup_object_stores.sh")
    return stage.ended(scene)


def checkpoint_of(hub: Hub) -> str:
    """Return what the job saved last."""
    newest = max(entry.name for entry in hub.mailbox.list("checkpoints") if entry.name.endswith(".json"))
    return (hub.mailbox.get(f"{newest.removesuffix('.json')}/state") or b"").decode()


def assert_saved_and_stopped(hub: Hub, reason: str) -> None:
    status = hub.status()
    assert status["phase"] == "stopped"
    assert re.match(reason, status["reason"])
    last = re.findall(r"^step \d+$", hub.log(), re.MULTILINE)[-1]
    assert checkpoint_of(hub) == f"{last}\n"
    assert "saved" in hub.log()


@of(SUCCEEDS)
def test_cloud_init_finds_no_fault_in_the_user_data(booted: Booted) -> None:
    assert len(booted.user_data.encode()) < 16384
    assert vm.schema_errors(booted.user_data) == ""
    assert vm.schema_errors(booted.user_data.replace("runcmd:\n", "runcmd: none\n#")) != ""


@of(SUCCEEDS)
def test_a_machine_runs_its_job_and_powers_itself_off(booted: Booted) -> None:
    status = booted.hub.status()
    assert (status["phase"], status["exit_code"], status["runner"]) == ("succeeded", 0, "process")
    assert "to stdout\nto stderr\npython (3, 11)\n" in booted.hub.log()
    assert booted.hub.mailbox.get("outputs/answer") == b"42\n"
    assert [item["path"] for item in booted.hub.mailbox.get_json("outputs.json")] == ["answer"]
    assert sum(line["seconds"] for line in booted.hub.power()) > 1.0


@of(SUCCEEDS)
def test_a_machine_knows_itself_by_tokens_only(booted: Booted) -> None:
    statuses = {path: status for _, path, status in booted.metadata.requests}
    assert statuses["/2021-03-23/user-data"] == 200
    assert any("security-credentials/" in path and status == 200 for path, status in statuses.items())
    assert 401 not in statuses.values()


@of(SUCCEEDS)
def test_a_machine_reads_its_secret_with_its_own_role_and_shows_it_nowhere(booted: Booted) -> None:
    box = booted.hub.mailbox
    assert f"secret *** of {len(SECRET)} bytes" in booted.hub.log()
    shown = [booted.user_data, booted.machine.console(), booted.hub.log()]
    assert not any(SECRET in text for text in shown)
    assert [entry.name for entry in box.list() if SECRET.encode() in (box.get(entry.name) or b"")] == []


@of(SUCCEEDS)
def test_a_machine_listens_on_no_port(booted: Booted) -> None:
    assert "python (3" in booted.hub.log()
    assert "listening on" not in booted.hub.log()


@of(SUCCEEDS)
def test_a_job_sees_nothing_of_the_agents_environment(booted: Booted) -> None:
    names = set(re.findall(r"^env (\w+)=", booted.hub.log(), re.MULTILINE))
    assert {"HARCHOS_RUN", "HARCHOS_HUB", "HARCHOS_NODE", "HOME", "PATH"} <= names
    assert not any(name.startswith("AWS") for name in names) and "PYTHONPATH" not in names


@of(IS_STOPPED)
def test_the_controllers_stop_saves_the_job_and_ends_the_machine(booted: Booted) -> None:
    assert_saved_and_stopped(booted.hub, "enough")


@of(ON_AWS)
def test_a_spot_notice_of_aws_saves_the_job_and_ends_the_machine(booted: Booted) -> None:
    assert_saved_and_stopped(booted.hub, r"spot notice: AWS takes .* back")
    assert booted.management.calls == []


@of(ON_GOOGLE)
def test_a_spot_notice_of_google_saves_the_job_and_the_machine_deletes_itself(booted: Booted) -> None:
    assert_saved_and_stopped(booted.hub, r"spot notice: Google Cloud takes .* back")
    name, zone = booted.metadata.name, "us-east-1-a"
    machine = f"/compute/v1/projects/test/zones/{zone}/instances/{name}"
    assert booted.management.calls == [("DELETE", machine)]
    assert booted.management.requests[0][2]["authorization"] == f"Bearer {TOKEN}"


@of(ON_AZURE)
def test_a_spot_notice_of_azure_saves_the_job_and_the_machine_deletes_its_group(booted: Booted) -> None:
    assert_saved_and_stopped(booted.hub, r"spot notice: Azure takes .* back")
    [(method, group)] = booted.management.calls
    assert (method, group.rpartition("/resourceGroups/")[2]) == ("DELETE", "test")


@of(CRASHES_AND_HANGS)
def test_a_machine_that_crashed_goes_on_and_still_ends_with_its_time_to_live(booted: Booted) -> None:
    log = booted.hub.log()
    assert "second boot" in log and "not now" in log
    status = booted.hub.status()
    assert status["phase"] == "expired"
    assert "time to live" in status["reason"]
    assert len(re.findall(r"Linux version", booted.machine.console())) == 2


@of(AGENT_HANGS)
def test_a_machine_whose_agent_hangs_powers_itself_off_all_the_same(booted: Booted) -> None:
    assert "about to freeze" in booted.hub.log()
    assert booted.hub.status()["phase"] == "running"
    assert "Waiting for process" not in booted.machine.console()


@of(NOTHING_STAGED)
def test_a_machine_without_its_agent_says_so_and_powers_itself_off(booted: Booted) -> None:
    hub = booted.hub
    missing = f"harchos: error: there is no {hub.run}/{hub.hub}/agent.pyz in s3://mailbox/team"
    assert missing in booted.machine.console()
    assert hub.mailbox.get("status.json") is None
