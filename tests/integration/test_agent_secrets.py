"""The real agent takes secrets by reference: they reach the job, and no file, log, status or argument."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harchos_infra.hub.package import build_agent
from support.agent import Hub
from support.fake_gcp import PROJECT
from support.fake_metadata import FakeMetadata
from support.fake_secret_manager import FakeSecretManager

VALUE = "by-r3ference-\u00e9"
REFERENCE = f"gcpsm://projects/{PROJECT}/secrets/harchos-a-TOKEN/versions/latest"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSecretManager]:
    with FakeSecretManager() as fake, FakeMetadata("gcp") as metadata:
        fake.secrets[f"projects/{PROJECT}/secrets/harchos-a-TOKEN"] = {}
        fake.versions["harchos-a-TOKEN"] = [VALUE.encode()]
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", fake.url)
        monkeypatch.setenv("HARCHOS_METADATA", metadata.url)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield fake


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    found = Hub(tmp_path, build_agent(tmp_path / "agent.pyz"))
    yield found
    found.stop(0.2)


def test_a_secret_by_reference_reaches_the_job_masked_everywhere_else(
    hub: Hub, google: FakeSecretManager
) -> None:
    hub.mailbox.put_json("secrets.json", {"OTHER": "sent-value"})
    hub.shell(
        'echo "$TOKEN $OTHER"; printf "%s" "$TOKEN" | wc -c; echo "$TOKEN" >&2',
        secret_names=["OTHER", "TOKEN"],
        secret_refs={"TOKEN": REFERENCE},
    )
    hub.start()
    assert hub.wait_end()["phase"] == "succeeded"
    assert sorted(hub.log().splitlines()) == ["***", "*** ***", str(len(VALUE.encode()))]
    for root, _, names in os.walk(hub.store.parent):
        for name in names:
            assert VALUE.encode() not in Path(root, name).read_bytes(), f"{root}/{name}"


def test_a_secret_that_cannot_be_read_fails_the_job_before_it_starts(
    hub: Hub, google: FakeSecretManager
) -> None:
    hub.shell("echo started", secret_names=["TOKEN"], secret_refs={"TOKEN": REFERENCE.replace("-a-", "-b-")})
    hub.start()
    status = hub.wait_end()
    assert status["phase"] == "failed"
    assert status["job_started_at"] is None
    assert status["reason"].startswith("secret TOKEN cannot be read from gcpsm://projects/")
    assert "NOT_FOUND" in status["reason"]
