"""The fake of Google Cloud speaks to Google's own library as Google does: creation, stock-outs, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import compute_v1
from google.oauth2 import service_account

from support.fake_gcp import PROJECT, STOCK_OUT, FakeGcp, refusal

ZONE = "us-central1-a"
PATH = f"projects/{PROJECT}/zones/{ZONE}/instances/n"


@pytest.fixture
def fake() -> Iterator[FakeGcp]:
    with FakeGcp() as fake:
        yield fake


def client(fake: FakeGcp, tmp_path: Path, name: str = "InstancesClient") -> Any:
    fake.environment(tmp_path)
    credentials = service_account.Credentials.from_service_account_file(str(tmp_path / "key.json"))
    return getattr(compute_v1, name)(credentials=credentials, client_options={"api_endpoint": fake.url})


def insert(fake: FakeGcp, tmp_path: Path) -> Any:
    instance = compute_v1.Instance(name="n", machine_type=f"zones/{ZONE}/machineTypes/g2-standard-4")
    instance.labels = {"harchos-hub": "h"}
    return client(fake, tmp_path).insert_unary(project=PROJECT, zone=ZONE, instance_resource=instance)


def wait(fake: FakeGcp, tmp_path: Path, operation: Any) -> Any:
    waits = client(fake, tmp_path, "ZoneOperationsClient").wait
    while operation.status != compute_v1.Operation.Status.DONE:
        operation = waits(project=PROJECT, zone=ZONE, operation=operation.name)
    return operation


def test_an_instance_is_made_by_an_operation(fake: FakeGcp, tmp_path: Path) -> None:
    fake.polls = 3
    operation = insert(fake, tmp_path)
    assert operation.status == compute_v1.Operation.Status.RUNNING
    assert not wait(fake, tmp_path, operation).error.errors
    assert fake.calls("/wait") == 3
    made = client(fake, tmp_path).get(project=PROJECT, zone=ZONE, instance="n")
    assert (made.name, made.status, dict(made.labels)) == ("n", "RUNNING", {"harchos-hub": "h"})


def test_a_stock_out_is_an_operation_that_is_done_with_an_error(fake: FakeGcp, tmp_path: Path) -> None:
    fake.operation_errors[PATH] = STOCK_OUT
    operation = wait(fake, tmp_path, insert(fake, tmp_path))
    assert [error.code for error in operation.error.errors] == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert PATH not in fake.left


def test_a_second_of_the_same_name_is_a_conflict(fake: FakeGcp, tmp_path: Path) -> None:
    insert(fake, tmp_path)
    with pytest.raises(exceptions.Conflict) as caught:
        insert(fake, tmp_path)
    assert caught.value.errors[0]["reason"] == "alreadyExists"


def test_quota_that_is_used_up_is_forbidden(fake: FakeGcp, tmp_path: Path) -> None:
    message = "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1."
    fake.fail("POST", refusal(403, message, "quotaExceeded"))
    with pytest.raises(exceptions.Forbidden) as caught:
        insert(fake, tmp_path)
    assert caught.value.errors[0]["reason"] == "quotaExceeded"


def test_without_credentials_nothing_is_answered(fake: FakeGcp) -> None:
    answer = httpx.get(f"{fake.url}/compute/v1/{PATH}")
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_googles_own_pager_reads_every_page(fake: FakeGcp, tmp_path: Path) -> None:
    fake.add_hub("r-000000", "r-000000-h1", zone=ZONE, nodes=3)
    fake.page_size = 1
    places = client(fake, tmp_path).aggregated_list(project=PROJECT)
    assert sum(len(scoped.instances) for _, scoped in places) == 3
    assert fake.calls("aggregated/instances") == 3
