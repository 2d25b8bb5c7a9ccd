"""A hub reads its secrets from the cloud's store with the machine's identity, and says what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from harchos_infra.hub import instance, secret_reference
from harchos_infra.hub.job import SECRET_STORES
from harchos_infra.hub.secret_reference import SecretError, read_secret
from support.fake_gcp import PROJECT
from support.fake_key_vault import FakeKeyVault, refusal
from support.fake_metadata import FakeMetadata
from support.fake_secret_manager import FakeSecretManager
from support.rest_server import Answer, reset

RUN, VALUE = "llm-abc123", "s3cret-Value/ü\n"
GOOGLE = f"gcpsm://projects/{PROJECT}/secrets/harchos-{RUN}-A/versions/latest"


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("AWS_", "AZURE_", "CLOUDSDK_", "HARCHOS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(secret_reference, "_PAUSE_S", 0.01)
    monkeypatch.setattr(secret_reference, "PATIENCE_S", 0.3)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def parameter(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMetadata]:
    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b")
    client = session.client("ssm", region_name="us-east-1", endpoint_url=moto)
    client.put_parameter(Name=f"/harchos/{RUN}/A", Value=VALUE, Type="SecureString", Overwrite=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    with FakeMetadata("aws") as fake:
        monkeypatch.setenv("HARCHOS_METADATA", fake.url)
        yield fake


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSecretManager]:
    with FakeSecretManager() as fake, FakeMetadata("gcp") as metadata:
        fake.secrets[f"projects/{PROJECT}/secrets/harchos-{RUN}-A"] = {}
        fake.versions[f"harchos-{RUN}-A"] = [b"older", VALUE.encode()]
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", f"{fake.url}/")
        monkeypatch.setenv("HARCHOS_METADATA", metadata.url)
        yield fake


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    with FakeKeyVault() as fake, FakeMetadata("azure") as metadata:
        fake.secrets[f"harchos-{RUN}-a"] = {"id": f"{fake.url}/secrets/harchos-{RUN}-A/1", "value": VALUE}
        monkeypatch.setenv("AZURE_KEY_VAULT_ENDPOINT", fake.url)
        monkeypatch.setenv("HARCHOS_METADATA", metadata.url)
        yield fake


@pytest.mark.parametrize("region", ["us-east-1", ""])
def test_a_parameter_is_read_with_the_machines_role(parameter: FakeMetadata, region: str) -> None:
    assert read_secret(f"ssm://{region}/harchos/{RUN}/A") == VALUE
    assert parameter.asked(f"security-credentials/{parameter.role}") == 1
    assert parameter.asked("placement/region") == (0 if region else 1)


def test_the_newest_version_is_read_from_secret_manager(google: FakeSecretManager) -> None:
    assert read_secret(GOOGLE) == VALUE
    assert read_secret(GOOGLE.replace("latest", "1")) == "older"


def test_a_secret_is_read_from_a_key_vault(azure: FakeKeyVault) -> None:
    assert read_secret(f"azkv://harchos-vault/harchos-{RUN}-A") == VALUE
    assert [request.headers["authorization"] for request in azure.requests] == [f"Bearer {azure.machine}"]


@pytest.mark.parametrize("token", [None, "session-token"])
def test_the_signature_is_the_one_that_botocore_makes(token: str | None) -> None:
    url, body = "https://ssm.eu-north-1.amazonaws.com/", b'{"Name": "/harchos/a/B", "WithDecryption": true}'
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter"}
    at = datetime.now(UTC)
    mine = instance.aws_signature(
        url, "eu-north-1", "AKIA", "s3cr3t", token, at, service="ssm", post=body, signed=headers
    )
    request = AWSRequest(
        "POST", url, data=body, headers={**headers, "x-amz-content-sha256": mine["x-amz-content-sha256"]}
    )
    signer = SigV4Auth(Credentials("AKIA", "s3cr3t", token), "ssm", "eu-north-1")
    request.context["timestamp"] = mine["x-amz-date"]
    request.headers["X-Amz-Date"] = mine["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    assert mine["Authorization"].rpartition("Signature=")[2] == expected
    assert mine["host"] == urlsplit(url).netloc


@pytest.mark.parametrize(
    ("reference", "store", "said"),
    [
        (f"ssm:///harchos/{RUN}/GONE", "parameter", "ParameterNotFound"),
        (GOOGLE.replace("-A/", "-GONE/"), "google", "NOT_FOUND"),
        ("azkv://harchos-vault/gone", "azure", "SecretNotFound"),
    ],
)
def test_one_that_is_not_there_is_not_asked_for_twice(
    reference: str, store: str, said: str, request: pytest.FixtureRequest
) -> None:
    fake = request.getfixturevalue(store)
    with pytest.raises(SecretError, match=said) as refused:
        read_secret(reference)
    assert str(refused.value).startswith(f"{reference}: ")
    if not isinstance(fake, FakeMetadata):
        assert len(fake.requests) == 1


def test_a_role_that_does_not_count_yet_is_waited_for(azure: FakeKeyVault) -> None:
    azure.fail("GET", refusal(403, "Forbidden", "Caller is not authorized.", "ForbiddenByRbac"), times=3)
    azure.fail("GET", reset, times=1)
    assert read_secret(f"azkv://v/harchos-{RUN}-A") == VALUE


def test_a_role_that_never_counts_ends_in_the_stores_own_words(google: FakeSecretManager) -> None:
    google.denied.add("secretmanager.versions.access")
    with pytest.raises(SecretError, match=r"PERMISSION_DENIED .*secretmanager\.versions\.access.* \(403\)"):
        read_secret(GOOGLE)
    assert len(google.requests) > 3


def test_a_hub_that_is_to_end_does_not_wait(google: FakeSecretManager) -> None:
    google.denied.add("secretmanager.versions.access")
    with pytest.raises(SecretError):
        read_secret(GOOGLE, stopped=lambda: True)
    assert len(google.requests) == 1


def test_an_answer_that_cannot_be_read_is_said_without_its_content(google: FakeSecretManager) -> None:
    google.fail("GET", Answer(200, {"payload": {"value": VALUE}}))
    with pytest.raises(SecretError, match="the store's answer cannot be read") as refused:
        read_secret(GOOGLE)
    assert VALUE.strip() not in str(refused.value)


def test_every_scheme_of_a_job_can_be_read() -> None:
    assert set(secret_reference._REQUESTS) == set(SECRET_STORES)
