"""States of hubs in shared stores, on real ones: who locks, what a killed Terraform leaves, what is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from harchos_infra.errors import HarchosError
from harchos_infra.provision.binary import Binary, find_binary
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.provisioner import Provisioner
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay
from support.schema_replay.stage import Stage, staged

BUCKET = "acme-states"
KEY = "hubs/digits-0a1b2c/digits-0a1b2c-h1.tfstate"


class Store:
    """S3 as moto serves it, over HTTP."""

    def __init__(self, endpoint: str) -> None:
        self.setting = f"s3://{BUCKET}/hubs?region=eu-north-1&endpoint={endpoint}"
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="eu-north-1")
        self.endpoint = endpoint
        self.lose()
        self.make()

    def make(self) -> None:
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})

    def names(self) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def resources(self) -> list[object]:
        body = self.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        resources: list[object] = json.loads(body)["resources"]
        return resources

    def lose(self) -> None:
        httpx.post(f"{self.endpoint}/moto-api/reset").raise_for_status()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Store(f"http://{host}:{port}")
    finally:
        server.stop()


@pytest.fixture
def stage(replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return staged("gcp", replay, tmp_path, monkeypatch)


def kept_in(stage: Stage, store: Store) -> Provisioner:
    return stage.provisioner(backend=store.setting)


def test_a_state_in_s3_is_encrypted_locked_and_nowhere_else(stage: Stage, store: Store) -> None:
    kept_in(stage, store).create(stage.spec)
    assert store.names() == [KEY]
    assert store.resources()
    assert len(kept_in(stage, store).state(stage.spec.directory)) >= len(stage.left)
    assert store.s3.head_object(Bucket=BUCKET, Key=KEY)["ServerSideEncryption"] == "AES256"
    assert (stage.spec.workspace / "terraform.tfstate").read_text() == ""

    kept_in(stage, store).destroy(stage.spec)
    assert stage.left == []
    assert store.resources() == []


def test_another_machine_takes_the_hub_down(stage: Stage, store: Store, tmp_path: Path) -> None:
    kept_in(stage, store).create(stage.spec)
    shutil.rmtree(stage.spec.directory)
    elsewhere = replace(stage.spec, directory=tmp_path / "elsewhere")
    deleted_by_marks: list[str] = []
    stage.listing.delete = deleted_by_marks.append  # type: ignore[method-assign, assignment]
    kept_in(stage, store).destroy(elsewhere)
    assert stage.left == []
    assert deleted_by_marks == []
    assert store.resources() == []


def test_a_hub_keeps_its_store_whatever_the_setting_becomes(stage: Stage, store: Store) -> None:
    kept_in(stage, store).create(stage.spec)
    stage.provisioner().create(stage.spec)
    stage.provisioner().destroy(stage.spec.directory)
    assert stage.left == []
    assert store.resources() == []


def test_the_lock_of_a_killed_terraform_stops_nobody(stage: Stage, store: Store) -> None:
    stage.replay.faults["google_compute_instance:create"] = Fault(crash=True, leaves="orphan")
    with pytest.raises(ProvisionError) as raised:
        kept_in(stage, store).create(stage.spec)
    assert raised.value.code == "crash"
    assert f"{KEY}.tflock" in store.names()
    kept_in(stage, store).destroy(stage.spec)
    assert stage.left == []

    del stage.replay.faults["google_compute_instance:create"]
    kept_in(stage, store).create(stage.spec)
    kept_in(stage, store).destroy(stage.spec)
    assert stage.left == []
    assert f"{KEY}.tflock" not in store.names()


def test_a_create_after_a_killed_one_makes_one_hub(stage: Stage, store: Store) -> None:
    stage.replay.faults["google_compute_instance:create"] = Fault(crash=True, leaves="orphan", times=1)
    with pytest.raises(ProvisionError):
        kept_in(stage, store).create(stage.spec)
    kept_in(stage, store).create(stage.spec)
    assert sum(one.type == "google_compute_instance" for one in stage.left) == 2


def locked_by(store: Store, who: str) -> None:
    lock = {
        "ID": "5d1f9a3e-0a83-4bb7-9d0b-53a1f0b0a4ad",
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": who,
        "Version": "1.11.4",
        "Created": "2026-11-25T02:00:00.123Z",
        "Path": f"{BUCKET}/{KEY}",
    }
    store.s3.put_object(Bucket=BUCKET, Key=f"{KEY}.tflock", Body=json.dumps(lock).encode())


def test_a_state_locked_by_someone_else_names_who_and_how_to_go_on(stage: Stage, store: Store) -> None:
    locked_by(store, "eve@another-host")
    with pytest.raises(ProvisionError) as raised:
        kept_in(stage, store).create(stage.spec)
    error = raised.value
    assert error.code == "state-locked"
    assert not error.elsewhere
    assert "eve@another-host" in error.what
    assert error.hint and "terraform force-unlock 5d1f9a3e-0a83-4bb7-9d0b-53a1f0b0a4ad" in error.hint
    assert stage.left == []


def test_a_hub_whose_state_is_locked_by_someone_else_goes_by_its_marks(stage: Stage, store: Store) -> None:
    kept_in(stage, store).create(stage.spec)
    locked_by(store, "eve@another-host")
    heard: list[TerraformEvent] = []
    kept_in(stage, store).destroy(stage.spec, heard.append)
    assert stage.left == []
    (warning,) = (event for event in heard if event.level == "warn")
    assert "eve@another-host" in warning.message
    assert f"{KEY}.tflock" in store.names()


def test_a_hub_whose_state_is_lost_goes_by_its_marks(stage: Stage, store: Store) -> None:
    kept_in(stage, store).create(stage.spec)
    store.lose()
    kept_in(stage, store).destroy(stage.spec)
    assert stage.left == []


def test_a_bucket_that_is_not_there_is_named(stage: Stage, store: Store) -> None:
    store.lose()
    with pytest.raises(ProvisionError) as raised:
        kept_in(stage, store).create(stage.spec)
    assert raised.value.code == "bucket"
    assert BUCKET in raised.value.what
    assert stage.left == []


def test_a_state_that_could_not_be_stored_is_stored_later(stage: Stage, store: Store) -> None:
    lost = Event()
    stage.replay.faults["google_compute_instance:create"] = Fault(until=lost)

    def lose_it(event: TerraformEvent) -> None:
        if event.type == "apply_complete" and event.address == "module.hub.google_service_account.hub":
            store.lose()
            lost.set()

    with pytest.raises(ProvisionError):
        kept_in(stage, store).create(stage.spec, lose_it)
    unwritten = stage.spec.workspace / "errored.tfstate"
    assert unwritten.stat().st_mode & 0o777 == 0o600
    store.make()
    kept_in(stage, store).destroy(stage.spec)
    assert stage.left == []
    assert store.resources() == []
    assert not unwritten.exists()


def test_s3_needs_a_terraform_that_has_its_lock_file(stage: Stage, store: Store) -> None:
    old = Binary(find_binary().path, (1, 9, 8))
    with pytest.raises(HarchosError, match=r"need Terraform or OpenTofu 1\.10\.0 or later"):
        stage.provisioner(backend=store.setting, binary=old).create(stage.spec)
    assert not stage.spec.workspace.exists()


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the DSN of a PostgreSQL of its own, on a socket."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip("PostgreSQL is not installed")
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="harchos-pg-") as folder:
        Path(folder).chmod(0o777)
        data = f"{folder}/data"
        control = [*as_user, binaries[-1] / "pg_ctl", "-D", data, "-w", "-s"]
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        for command in (
            [*as_user, binaries[-1] / "initdb", "-D", data, "-A", "trust", "-U", "harchos"],
            [*control, "start", "-l", f"{folder}/log", "-o", options],
        ):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            dsn = f"postgres://harchos@/postgres?host={folder}&sslmode=disable"
            monkeypatch.setenv("PG_CONN_STR", dsn)
            yield dsn
        finally:
            subprocess.run([*control, "stop", "-m", "fast"], check=True)


def test_states_in_postgresql_are_locked_and_the_dsn_is_in_no_file(stage: Stage, postgres: str) -> None:
    provisioner = stage.provisioner(backend="pg")
    stage.replay.faults["google_compute_instance:create"] = Fault(crash=True, leaves="orphan", times=1)
    with pytest.raises(ProvisionError):
        provisioner.create(stage.spec)
    provisioner.create(stage.spec)
    assert provisioner.state(stage.spec.directory)
    for file in filter(Path.is_file, stage.spec.workspace.rglob("*")):
        assert postgres not in file.read_text(errors="replace"), file
    provisioner.destroy(stage.spec)
    assert stage.left == []
    assert provisioner.state(stage.spec.directory) == []


@pytest.mark.parametrize("setting", ["gs://acme-states/hubs", "az://acmestates/box/hubs"])
def test_terraform_takes_the_other_stores_as_they_are_written(
    setting: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without an account only its configuration can be checked: what stops it is the missing account."""
    binary = find_binary()
    for name, value in {"HTTPS_PROXY": "http://127.0.0.1:9", "HOME": str(tmp_path), "PATH": "/none"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner(backend=setting, binary=binary).create(stage.spec)
    assert raised.value.code in ("credentials", "timeout"), raised.value.what
    assert stage.left == []
