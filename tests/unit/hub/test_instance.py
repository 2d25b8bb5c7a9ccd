"""What a rented machine does with its own identity, against metadata services and stores on real sockets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.hub import instance
from support.fake_metadata import FakeMetadata
from support.recorder import Recorder

CREDENTIALS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "wJalr/EXAMPLE+KEY", "Token": "Fwo//token=="}
AT = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every request on this machine, and its own settings out of the test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder((200, b"")) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not sleep; return the pauses that were asked for. Threads of other tests sleep as they did."""
    pauses: list[float] = []
    here, sleep = threading.current_thread(), time.sleep

    def pause(seconds: float) -> None:
        if threading.current_thread() is here:
            pauses.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(instance.time, "sleep", pause)
    return pauses


def on(cloud: str, monkeypatch: pytest.MonkeyPatch) -> FakeMetadata:
    fake = FakeMetadata(cloud, region="eu-north-1", credentials=CREDENTIALS)
    monkeypatch.setenv("HARCHOS_METADATA", fake.url)
    return fake


@pytest.mark.parametrize("token", [None, CREDENTIALS["Token"]])
@pytest.mark.parametrize("key", ["box/run-1/agent.pyz", "box/a%20b/%C3%BC%2Bx"])
def test_an_s3_get_is_signed_as_amazons_own_client_signs_it(
    monkeypatch: pytest.MonkeyPatch, key: str, token: str | None
) -> None:
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return AT

        @classmethod
        def utcnow(cls) -> datetime:
            return AT.replace(tzinfo=None)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: AT, raising=False)
    monkeypatch.setattr(botocore.auth, "datetime", Clock, raising=False)
    url = f"https://s3.eu-north-1.amazonaws.com/{key}"
    request = AWSRequest("GET", url)
    credentials = Credentials(CREDENTIALS["AccessKeyId"], CREDENTIALS["SecretAccessKey"], token)
    botocore.auth.S3SigV4Auth(credentials, "s3", "eu-north-1").add_auth(request)

    ours = instance.aws_signature(
        url, "eu-north-1", CREDENTIALS["AccessKeyId"], CREDENTIALS["SecretAccessKey"], token, AT
    )
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"] == "20261124T060000Z"
    assert ours["Authorization"] == request.headers["Authorization"]


def test_a_machine_of_aws_reads_s3_with_its_roles_credentials(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path
) -> None:
    server.answers = [(200, b"the agent")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with on("aws", monkeypatch) as fake:
        instance.fetch("s3://box/some/prefix/", "run/hub/agent.pyz", tmp_path / "agent.pyz")
    assert (tmp_path / "agent.pyz").read_bytes() == b"the agent"
    method, path, headers = server.requests[0]
    assert (method, path) == ("GET", "/box/some/prefix/run/hub/agent.pyz")
    assert "Credential=ASIAEXAMPLE/" in headers["authorization"]
    assert "/eu-north-1/s3/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == CREDENTIALS["Token"]
    assert ("PUT", "/latest/api/token", 200) in fake.requests
    assert all(status == 200 for _, _, status in fake.requests)


def test_a_machine_of_google_reads_its_bucket_with_its_service_account(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path
) -> None:
    with on("gcp", monkeypatch) as fake:
        request = instance.object_request("gs://box/prefix", "run/hub/agent.pyz")
    assert request.full_url == "https://storage.googleapis.com/box/prefix/run/hub/agent.pyz"
    assert request.get_header("Authorization") == f"Bearer {fake.access_token}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:4443")
    request = instance.object_request("gs://box/prefix", "run/hub/agent.pyz")
    assert request.full_url == "http://127.0.0.1:4443/box/prefix/run/hub/agent.pyz"
    assert request.get_header("Authorization") is None


def test_a_machine_of_azure_reads_its_container_with_its_managed_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with on("azure", monkeypatch) as fake:
        request = instance.object_request("az://account/box/prefix", "run/hub/agent.pyz")
        asked = [path for _, path, _ in fake.requests]
    assert request.full_url == "https://account.blob.core.windows.net/box/prefix/run/hub/agent.pyz"
    assert request.get_header("Authorization") == f"Bearer {fake.access_token}"
    assert request.get_header("X-ms-version") == "2021-12-02"
    assert "resource=https%3A%2F%2Fstorage.azure.com%2F" in asked[0]


def test_credentials_of_the_environment_go_before_the_machines_own(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path
) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIAENV", "SECRET_ACCESS_KEY": "s", "REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with on("gcp", monkeypatch) as fake:
        instance.fetch("s3://box", "run/hub/agent.pyz", tmp_path / "agent.pyz")
        assert fake.requests == []
    assert "Credential=AKIAENV/" in server.requests[0][2]["authorization"]


def test_a_role_that_does_not_count_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path, impatient: list[float]
) -> None:
    server.answers = [(403, b"AccessDenied"), (500, b"slow down"), (200, b"the agent")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with on("aws", monkeypatch) as fake:
        fake.fail(503, 404)
        instance.fetch("s3://box", "run/hub/agent.pyz", tmp_path / "agent.pyz")
    assert (tmp_path / "agent.pyz").read_bytes() == b"the agent"
    assert impatient == [0.5, 1.0, 2.0, 4.0]


def test_a_bucket_in_another_region_is_asked_again_there(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path, impatient: list[float]
) -> None:
    server.answers = [(301, b"PermanentRedirect"), (200, b"the agent")]
    server.headers = {"x-amz-bucket-region": "us-west-2"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with on("aws", monkeypatch):
        instance.fetch("s3://box", "run/hub/agent.pyz", tmp_path / "agent.pyz")
    scopes = [headers["authorization"].split("/")[2] for _, _, headers in server.requests]
    assert scopes == ["eu-north-1", "us-west-2"]


def test_an_object_that_is_not_there_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path, impatient: list[float]
) -> None:
    server.answers = [(404, b"")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with on("aws", monkeypatch), pytest.raises(instance.MissingError, match=r"no run/hub/agent\.pyz in s3"):
        instance.fetch("s3://box", "run/hub/agent.pyz", tmp_path / "agent.pyz")
    assert impatient == []


def test_patience_ends_with_the_stores_own_words(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, tmp_path: Path
) -> None:
    server.answers = [(403, b"<Code>AccessDenied</Code>")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setattr(instance, "_PATIENCE_S", 0.1)
    with on("aws", monkeypatch), pytest.raises(OSError, match=r"403.*AccessDenied"):
        instance.fetch("s3://box", "run/hub/agent.pyz", tmp_path / "agent.pyz")


def test_the_metadata_service_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with on("gcp", monkeypatch):
        assert instance.gcp_metadata("instance/name") == "harchos-test-h1"


SOON, PAST = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/test"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/harchos-test-h1"


def test_a_machine_of_google_deletes_itself(monkeypatch: pytest.MonkeyPatch, server: Recorder) -> None:
    server.answers = [(200, b"{}")]
    monkeypatch.setenv("HARCHOS_MANAGEMENT", server.url)
    with on("gcp", monkeypatch) as fake:
        instance.give_back({"cloud": "gcp", "expires": SOON})
    machine = "/compute/v1/projects/test/zones/eu-north-1-a/instances/harchos-test-h1"
    assert server.calls == [("DELETE", machine)]
    assert server.requests[0][2]["authorization"] == f"Bearer {fake.access_token}"


def test_a_machine_of_google_that_may_not_delete_itself_is_left_to_its_termination_time(
    monkeypatch: pytest.MonkeyPatch, server: Recorder
) -> None:
    server.answers = [(403, b"compute.instances.delete")]
    monkeypatch.setenv("HARCHOS_MANAGEMENT", server.url)
    with on("gcp", monkeypatch):
        instance.give_back({"cloud": "gcp", "expires": SOON})
    assert [method for method, _ in server.calls] == ["DELETE"]


def test_a_machine_of_azure_deletes_its_resource_group_after_a_time_for_the_controller_to_do_so(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, impatient: list[float]
) -> None:
    server.answers = [(503, b"busy"), (202, b"")]
    monkeypatch.setenv("HARCHOS_MANAGEMENT", server.url)
    with on("azure", monkeypatch) as fake:
        instance.give_back({"cloud": "azure", "expires": SOON})
        assert fake.asked("resource=https%3A%2F%2Fmanagement.azure.com%2F") == 2
    assert server.calls == [("DELETE", GROUP), ("DELETE", GROUP)]
    assert impatient == [45.0, 0.5]


def test_a_further_node_of_azure_deletes_nothing_but_itself(
    monkeypatch: pytest.MonkeyPatch, server: Recorder
) -> None:
    server.answers = [(202, b"")]
    monkeypatch.setenv("HARCHOS_MANAGEMENT", server.url)
    monkeypatch.setenv("HARCHOS_NODE", "1")
    with on("azure", monkeypatch):
        instance.give_back({"cloud": "azure", "expires": PAST})
    assert server.calls == [("DELETE", MACHINE)]


def test_a_machine_of_azure_that_may_not_delete_is_deallocated_and_at_once_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, server: Recorder, impatient: list[float]
) -> None:
    server.answers = [(403, b""), (202, b"")]
    monkeypatch.setenv("HARCHOS_MANAGEMENT", server.url)
    with on("azure", monkeypatch):
        instance.give_back({"cloud": "azure", "expires": PAST})
    assert server.calls == [("DELETE", GROUP), ("POST", f"{MACHINE}/deallocate")]
    assert impatient == []


def test_a_machine_of_aws_needs_no_call_to_be_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    with on("aws", monkeypatch) as fake:
        instance.give_back({"cloud": "aws", "expires": SOON})
        assert fake.requests == []


def test_boot_says_in_one_line_what_failed(tmp_path: Path) -> None:
    program = tmp_path / "instance.py"
    program.write_bytes(Path(instance.__file__).read_bytes())
    hub = {"cloud": "aws", "mailbox": "file:///x", "run": "r", "hub": "h", "environment": {}}
    (tmp_path / "boot.json").write_text(json.dumps({**hub, "environment": {}}))
    done = subprocess.run(
        [sys.executable, "-I", str(program), "boot"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "harchos: error: file:///x: a machine can read s3://, gs:// and az:// only\n"
