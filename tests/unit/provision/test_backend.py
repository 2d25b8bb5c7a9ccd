"""Where the states of hubs are kept, by the setting `terraform.backend`."""

import re

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.backend import LOCAL, backend_for

RUN, HUB = "digits-0a1b2c", "digits-0a1b2c-h1"


def test_without_a_setting_states_stay_beside_their_hubs() -> None:
    assert backend_for(None, RUN, HUB) == LOCAL
    assert backend_for("", RUN, HUB) == LOCAL


def test_a_state_in_s3_has_its_own_key_is_encrypted_and_locked() -> None:
    backend = backend_for("s3://acme/states?region=eu-west-1", RUN, HUB)
    assert backend.kind == "s3"
    assert backend.block == {
        "bucket": "acme",
        "key": "states/digits-0a1b2c/digits-0a1b2c-h1.tfstate",
        "region": "eu-west-1",
        "encrypt": True,
        "use_lockfile": True,
    }
    assert backend.required_terraform == (1, 10, 0)


def test_another_s3_store_is_named_by_its_endpoint() -> None:
    block = backend_for("s3://acme?region=x&endpoint=https://minio.acme.test", RUN, HUB).block
    assert block["endpoints"] == {"s3": "https://minio.acme.test"}
    assert block["use_path_style"]
    assert block["key"] == "digits-0a1b2c/digits-0a1b2c-h1.tfstate"


def test_a_state_on_google_cloud_has_its_own_prefix() -> None:
    backend = backend_for("gs://acme/states/", RUN, HUB)
    assert backend.kind == "gcs"
    assert backend.block == {"bucket": "acme", "prefix": "states/digits-0a1b2c/digits-0a1b2c-h1"}


def test_a_state_on_azure_is_reached_by_identity_not_by_key() -> None:
    backend = backend_for("az://acme/box/states", RUN, HUB)
    assert backend.kind == "azurerm"
    assert backend.block == {
        "storage_account_name": "acme",
        "container_name": "box",
        "key": "states/digits-0a1b2c/digits-0a1b2c-h1.tfstate",
        "use_azuread_auth": True,
    }


@pytest.mark.parametrize("hub", [HUB, "a.b-h1", "a-b-h1", "x" * 80 + "-h1"])
def test_a_hub_has_its_own_schema_in_postgresql(hub: str) -> None:
    (name,) = backend_for("pg", RUN, hub).block.values()
    assert re.fullmatch("[a-z][a-z0-9_]{0,62}", name)


def test_hubs_that_are_named_alike_do_not_share_a_schema() -> None:
    hubs = ["a.b-h1", "a-b-h1", *("x" * 80 + end for end in ("-h1", "-h2"))]
    assert len({str(backend_for("pg", RUN, hub).block) for hub in hubs}) == len(hubs)


@pytest.mark.parametrize(
    "setting",
    ["/srv/states", "s3://", "http://acme/states", "az://acme", "s3://acme?lock=no", "postgres://acme"],
)
def test_what_is_no_store_is_refused_with_the_settings_name(setting: str) -> None:
    with pytest.raises(HarchosError, match=r"setting terraform\.backend"):
        backend_for(setting, RUN, HUB)
