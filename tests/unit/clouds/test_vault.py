"""Secrets of a run in the cloud's store: written, replaced, listed with marks, gone when deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from harchos_infra.clouds import azure_session, gcp_session, vault_azure
from harchos_infra.clouds.vault import Vault, delete_secrets, store_secrets, vault
from harchos_infra.clouds.vault_aws import ParameterStore
from harchos_infra.clouds.vault_azure import KeyVault
from harchos_infra.clouds.vault_gcp import SecretManager
from harchos_infra.errors import HarchosError
from support.fake_gcp import BACKEND, PROJECT
from support.fake_key_vault import FakeKeyVault, refusal
from support.fake_secret_manager import FakeSecretManager
from support.rest_server import reset

RUN = "llm-abc123"
SECRET = "s3cret-Value/ü"
EXPIRES = (datetime.now(UTC) + timedelta(hours=6)).replace(microsecond=0)
TAGS = {
    "harchos:run": RUN,
    "harchos:workload": "llm",
    "harchos:expires": EXPIRES.isoformat().replace("+00:00", "Z"),
}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [
        n for n in os.environ if n.startswith(("GOOGLE_", "CLOUDSDK_", "AWS_", "AZURE_", "IDENTITY_"))
    ]:
        monkeypatch.delenv(name)
    for name, value in {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
        "HARCHOS_HOME": str(tmp_path / "home"),
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gcp_session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_session, "RETRY_FOR_S", 0.2)
    monkeypatch.setattr(vault_azure, "PAUSE_S", 0.01)
    monkeypatch.setattr(azure_session, "BACKOFF_S", 0.001)


@pytest.fixture
def parameters(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ParameterStore]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    store = ParameterStore("eu-north-1")
    yield store
    for left in store.list():
        store.delete(left.reference)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeSecretManager]:
    with FakeSecretManager() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    with FakeKeyVault() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture(params=["aws", "gcp", "azure"])
def store(request: pytest.FixtureRequest) -> Vault:
    if request.param == "aws":
        made: Vault = request.getfixturevalue("parameters")
        return made
    if request.param == "gcp":
        request.getfixturevalue("google")
        return SecretManager("europe-north1")
    request.getfixturevalue("azure")
    return KeyVault("harchos-vault")


def value_of(request: pytest.FixtureRequest, store: Vault, reference: str) -> str:
    """Look in the store itself."""
    if isinstance(store, ParameterStore):
        path = reference.removeprefix(f"ssm://{store.region}")
        client = boto3.client("ssm", region_name=store.region)
        said = client.get_parameter(Name=path, WithDecryption=True)["Parameter"]
        assert said["Type"] == "SecureString"
        return str(said["Value"])
    if isinstance(store, SecretManager):
        google: FakeSecretManager = request.getfixturevalue("google")
        return google.value(reference.split("/")[-3])
    azure: FakeKeyVault = request.getfixturevalue("azure")
    return str(azure.secrets[reference.rpartition("/")[2].lower()]["value"])


REFERENCES = {
    "SSM Parameter Store": f"ssm://eu-north-1/harchos/{RUN}/HF_TOKEN",
    "Secret Manager": f"gcpsm://projects/{PROJECT}/secrets/harchos-{RUN}-HF-TOKEN/versions/latest",
    "Key Vault": f"azkv://harchos-vault/harchos-{RUN}-HF-TOKEN",
}


def test_a_secret_is_stored_under_the_name_that_the_hubs_role_reaches(
    store: Vault, request: pytest.FixtureRequest
) -> None:
    reference = store.put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert reference == REFERENCES[store.name]
    assert value_of(request, store, reference) == SECRET


def test_storing_it_again_takes_the_place_of_the_first(store: Vault, request: pytest.FixtureRequest) -> None:
    assert store.put(RUN, "HF_TOKEN", "old", {**TAGS, "harchos:workload": "other"}) == store.put(
        RUN, "HF_TOKEN", SECRET, TAGS
    )
    assert value_of(request, store, REFERENCES[store.name]) == SECRET
    assert len(store.list()) == 1


def test_it_is_listed_with_the_marks_of_its_run(store: Vault) -> None:
    store.put(RUN, "HF_TOKEN", SECRET, TAGS)
    store.put("other-000000", "A", "b", {**TAGS, "harchos:run": "other-000000"})
    (mine,) = store.list(run=RUN)
    assert (mine.reference, mine.run, mine.expires) == (REFERENCES[store.name], RUN, EXPIRES)
    assert {found.run for found in store.list()} == {RUN, "other-000000"}
    assert SECRET not in repr(mine)


def test_a_runs_secrets_are_deleted_and_no_other(store: Vault) -> None:
    store_secrets(store, RUN, {"A": "1", "B": "2"}, TAGS)
    kept = store.put("other-000000", "A", "b", {**TAGS, "harchos:run": "other-000000"})
    delete_secrets(store, RUN)
    delete_secrets(store, RUN)
    assert [found.reference for found in store.list()] == [kept]
    store.delete(REFERENCES[store.name])


def test_a_run_whose_name_begins_like_another_keeps_its_secrets(store: Vault) -> None:
    store.put(RUN, "A", "1", TAGS)
    longer = store.put(f"{RUN}4", "A", "1", {**TAGS, "harchos:run": f"{RUN}4"})
    delete_secrets(store, RUN)
    assert [found.reference for found in store.list()] == [longer]


def test_many_are_listed_over_all_pages(store: Vault, request: pytest.FixtureRequest) -> None:
    if store.name == "Secret Manager":
        request.getfixturevalue("google").page_size = 7
    names = [f"N{number}" for number in range(60 if isinstance(store, ParameterStore) else 30)]
    references = store_secrets(store, RUN, dict.fromkeys(names, "v"), TAGS)
    assert sorted(found.reference for found in store.list(run=RUN)) == sorted(references.values())


@pytest.mark.parametrize("size", [0, 70_000])
def test_a_size_that_no_store_takes_is_refused_without_the_value(store: Vault, size: int) -> None:
    with pytest.raises(HarchosError, match=f"secret BIG has {size} bytes; {store.name} takes 1 to") as said:
        store.put(RUN, "BIG", "x" * size, TAGS)
    assert "xx" not in str(said.value)
    assert store.list() == []


def test_where_one_cannot_be_stored_none_is_left(store: Vault) -> None:
    with pytest.raises(HarchosError, match="secret EMPTY has 0 bytes"):
        store_secrets(store, RUN, {"A": "1", "EMPTY": ""}, TAGS)
    assert store.list(run=RUN) == []


def test_one_that_would_take_anothers_place_is_refused(azure: FakeKeyVault) -> None:
    with pytest.raises(HarchosError, match="secret token would take the place of another in Key Vault"):
        store_secrets(KeyVault("v"), RUN, {"TOKEN": "1", "token": "2"}, TAGS)
    assert azure.secrets == {}


def test_each_cloud_has_its_store(azure: FakeKeyVault, google: FakeSecretManager) -> None:
    assert isinstance(vault("aws", region="eu-north-1"), ParameterStore)
    assert isinstance(vault("gcp", region="europe-north1"), SecretManager)
    with pytest.raises(HarchosError, match="no key vault is set") as said:
        vault("azure", region="swedencentral")
    assert said.value.hint == "harchos config set azure.key_vault NAME"
    with pytest.raises(HarchosError, match="local has no store of secrets"):
        vault("local", region="local")


def test_google_keeps_it_in_the_hubs_region_and_ends_it_by_itself(google: FakeSecretManager) -> None:
    SecretManager("europe-north1").put(RUN, "HF_TOKEN", SECRET, TAGS)
    (kept,) = google.secrets.values()
    assert kept["replication"] == {"userManaged": {"replicas": [{"location": "europe-north1"}]}}
    assert kept["expireTime"] == TAGS["harchos:expires"]
    assert kept["labels"]["harchos-run"] == RUN


def test_google_is_asked_again_where_it_may_help(google: FakeSecretManager) -> None:
    google.fail(":addVersion", BACKEND, times=1)
    google.fail("POST /v1", reset, times=1)
    SecretManager("europe-north1").put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert google.value(f"harchos-{RUN}-HF-TOKEN") == SECRET


def test_what_google_denies_is_named(google: FakeSecretManager) -> None:
    google.denied.add("secretmanager.secrets.create")
    with pytest.raises(HarchosError, match=r"secretmanager\.secrets\.create") as said:
        SecretManager("europe-north1").put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert SECRET not in f"{said.value.what}{said.value.hint}"


def test_azure_purges_what_it_deletes_once_it_lets_it(azure: FakeKeyVault) -> None:
    store = KeyVault("harchos-vault")
    reference = store.put(RUN, "HF_TOKEN", SECRET, TAGS)
    azure.purge_delays = 2
    store.delete(reference)
    assert (azure.secrets, azure.removed) == ({}, {})


def test_where_purging_is_not_allowed_the_vault_keeps_it_as_it_says(azure: FakeKeyVault) -> None:
    store = KeyVault("harchos-vault")
    azure.may_purge = False
    store.delete(store.put(RUN, "HF_TOKEN", SECRET, TAGS))
    assert store.list() == [] and len(azure.removed) == 1


def test_one_that_azure_still_keeps_is_recovered_for_the_next_hub(azure: FakeKeyVault) -> None:
    store = KeyVault("harchos-vault")
    azure.may_purge = False
    store.delete(store.put(RUN, "HF_TOKEN", "old", TAGS))
    azure.fail(
        "PUT", refusal(409, "Conflict", "Secret is being recovered", "ObjectIsBeingRecovered"), times=2
    )
    reference = store.put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert azure.secrets[reference.rpartition("/")[2].lower()]["value"] == SECRET
    assert azure.removed == {}


def test_azure_is_asked_again_where_it_may_help(azure: FakeKeyVault) -> None:
    azure.fail("PUT", refusal(429, "Throttled", "Request was not processed"), times=1)
    azure.fail("PUT", reset, times=1)
    store = KeyVault("harchos-vault")
    store.put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert len(store.list()) == 1


def test_what_azure_refuses_is_said_with_its_own_word(azure: FakeKeyVault) -> None:
    azure.fail("PUT", refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac"))
    with pytest.raises(HarchosError, match=r"Caller is not authorized.*ForbiddenByRbac") as said:
        KeyVault("harchos-vault").put(RUN, "HF_TOKEN", SECRET, TAGS)
    assert SECRET not in f"{said.value.what}{said.value.hint}"


def test_a_store_that_repeats_the_value_in_its_refusal_is_masked(azure: FakeKeyVault) -> None:
    azure.fail("PUT", refusal(400, "BadParameter", f"Value '{SECRET}' at 'value' failed a constraint"))
    with pytest.raises(HarchosError, match=r"Value '\*\*\*' at") as said:
        store_secrets(KeyVault("harchos-vault"), RUN, {"HF_TOKEN": SECRET}, TAGS)
    assert said.value.__cause__ is None


def test_without_credentials_for_aws_nothing_is_sent(
    moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HarchosError, match="credentials"):
        ParameterStore("eu-north-1").put(RUN, "HF_TOKEN", SECRET, TAGS)
