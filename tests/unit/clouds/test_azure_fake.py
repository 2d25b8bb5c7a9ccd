"""The fake of Azure speaks to Azure's own libraries as Azure does: creation, capacity, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from support.fake_azure import SKU_NOT_AVAILABLE, SUBSCRIPTION, FakeAzure

GROUP = "harchos"
FAR = 4_000_000_000
MACHINE: dict[str, Any] = {
    "location": "westeurope",
    "tags": {"harchos:hub": "h"},
    "properties": {"hardwareProfile": {"vmSize": "Standard_NC4as_T4_v3"}},
}


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token-7Qx", FAR)

    def get_token_info(self, *scopes: str, **options: Any) -> AccessTokenInfo:
        return AccessTokenInfo("token-7Qx", FAR)


class PlainHttp(SansIOHTTPPolicy[Any, Any]):
    def on_request(self, request: Any) -> None:
        request.context["enforce_https"] = False


@pytest.fixture
def fake() -> Iterator[FakeAzure]:
    with FakeAzure() as fake:
        yield fake


def options(fake: FakeAzure) -> dict[str, Any]:
    return {
        "base_url": fake.url,
        "credential_scopes": [f"{fake.url}/.default"],
        "polling_interval": 0.01,
        "per_call_policies": [PlainHttp()],
    }


@pytest.fixture
def compute(fake: FakeAzure) -> Any:
    return ComputeManagementClient(Credential(), SUBSCRIPTION, **options(fake))


def test_a_machine_is_made_by_a_long_operation(fake: FakeAzure, compute: Any) -> None:
    fake.polls = 3
    made = compute.virtual_machines.begin_create_or_update(GROUP, "m", MACHINE).result()
    assert (made.name, made.tags, made.provisioning_state) == ("m", {"harchos:hub": "h"}, "Succeeded")
    assert fake.calls("/operations/") == 3


def test_a_disk_is_made_by_a_long_operation(fake: FakeAzure, compute: Any) -> None:
    disk = {
        "location": "westeurope",
        "properties": {"diskSizeGB": 10, "creationData": {"createOption": "Empty"}},
    }
    assert compute.disks.begin_create_or_update(GROUP, "d", disk).result().disk_size_gb == 10


def test_capacity_that_is_missing_is_a_conflict_by_its_own_name(fake: FakeAzure, compute: Any) -> None:
    fake.fail("PUT", SKU_NOT_AVAILABLE)
    with pytest.raises(ResourceExistsError) as caught:
        compute.virtual_machines.begin_create_or_update(GROUP, "m", MACHINE)
    assert caught.value.error is not None and caught.value.error.code == "SkuNotAvailable"


def test_a_creation_that_fails_later_is_told_with_status_200_and_leaves_the_machine(
    fake: FakeAzure, compute: Any
) -> None:
    fake.operation_errors["virtualMachines"] = {"code": "AllocationFailed", "message": "Allocation failed."}
    with pytest.raises(HttpResponseError) as caught:
        compute.virtual_machines.begin_create_or_update(GROUP, "m", MACHINE).result()
    assert caught.value.status_code == 200
    assert "AllocationFailed" in str(caught.value)
    assert compute.virtual_machines.get(GROUP, "m").provisioning_state == "Failed"


def test_what_is_not_there_is_not_found_and_its_deletion_is_no_error(fake: FakeAzure, compute: Any) -> None:
    with pytest.raises(ResourceNotFoundError):
        compute.virtual_machines.get(GROUP, "m")
    assert compute.virtual_machines.begin_delete(GROUP, "m").result() is None


def test_the_list_of_everything_has_no_tags_when_it_is_filtered_by_tag(fake: FakeAzure) -> None:
    fake.add_hub("r-000000", "r-000000-h1")
    resources = ResourceManagementClient(Credential(), SUBSCRIPTION, **options(fake)).resources
    filtered = list(resources.list(filter="tagName eq 'harchos:hub' and tagValue eq 'r-000000-h1'"))
    assert filtered and all(item.tags is None for item in filtered)
    assert any(item.tags for item in resources.list())
