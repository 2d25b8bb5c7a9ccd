"""The root of a hub: pure, standalone, and marked so that the hub can be found without it."""

import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.hub_spec import HubSpec
from harchos_infra.provision.root_module import root_module, write_root

SPEC = HubSpec(
    run="digits-0a1b2c",
    hub="digits-0a1b2c-h1",
    workload="digits",
    provider="aws",
    region="eu-north-1",
    zone="SE-SE3",
    instance_type="g6.xlarge",
    market="spot",
    nodes=1,
    expires=datetime(2026, 11, 24, 8, 0, 0, 900, tzinfo=timezone(timedelta(hours=2))),
    mailbox_url="file:///srv/mail ${box} %{if}",
    directory=Path("/srv/hubs/digits-0a1b2c-h1"),
    agent=Path("/srv/agent.pyz"),
    python=Path(sys.executable),
    rehearsal=True,
)


def test_tags_name_run_hub_expiry_and_workload() -> None:
    assert SPEC.tags == {
        "harchos:run": "digits-0a1b2c",
        "harchos:hub": "digits-0a1b2c-h1",
        "harchos:expires": "2026-11-24T06:00:00Z",
        "harchos:workload": "digits",
    }


def test_a_rehearsal_is_a_local_hub_whatever_the_provider() -> None:
    hub = root_module(SPEC)["module"]["hub"]
    assert hub["source"] == "./modules/local-hub"
    assert hub["directory"] == "/srv/hubs/digits-0a1b2c-h1/machine"
    assert hub["expires"] == "2026-11-24T06:00:00Z"


def test_a_rehearsal_has_as_many_nodes_as_the_plan() -> None:
    assert root_module(replace(SPEC, nodes=3))["module"]["hub"]["nodes"] == 3


def test_the_root_only_instantiates_a_module() -> None:
    assert set(root_module(SPEC)) == {"//", "terraform", "module", "output"}
    assert root_module(SPEC)["terraform"]["backend"] == {"local": {}}


def test_what_looks_like_a_template_is_kept_as_text() -> None:
    assert root_module(SPEC)["module"]["hub"]["mailbox"] == "file:///srv/mail $${box} %%{if}"


RENTED = replace(SPEC, rehearsal=False, mailbox_url="s3://mail/box", account="123456789012")


def test_a_rented_hub_has_its_provider_and_only_what_was_decided() -> None:
    root = root_module(replace(RENTED, max_price_usd_hour=0.5, ingress=((8080, ("198.51.100.0/24",)),)))
    assert root["terraform"]["required_providers"] == {
        "aws": {"source": "hashicorp/aws", "version": "~> 6.47"}
    }
    assert root["provider"] == {"aws": {"region": "eu-north-1", "allowed_account_ids": ["123456789012"]}}
    hub = root["module"]["hub"]
    assert hub["source"] == "./modules/aws-hub"
    assert hub["max_price_usd_hour"] == 0.5
    assert hub["ingress"] == [{"port": 8080, "cidrs": ["198.51.100.0/24"]}]
    assert not {"image", "availability_zone", "project"} & hub.keys()


def test_a_hub_on_azure_needs_no_rights_over_its_subscription() -> None:
    root = root_module(replace(RENTED, provider="azure", region="swedencentral", account="sub"))
    assert root["provider"]["azurerm"] == {
        "features": {"resource_group": {"prevent_deletion_if_contains_resources": False}},
        "subscription_id": "sub",
        "resource_provider_registrations": "none",
    }


@pytest.mark.parametrize(
    ("provider", "what", "setting"),
    [
        ("gcp", "no Google project", "gcp.project"),
        ("azure", "no Azure subscription", "azure.subscription"),
    ],
)
def test_a_cloud_that_must_be_told_the_account_is(provider: str, what: str, setting: str) -> None:
    with pytest.raises(HarchosError, match=what) as raised:
        root_module(replace(RENTED, provider=provider, account=None))
    assert raised.value.hint and setting in raised.value.hint


def test_a_provider_without_a_module_is_refused_with_what_to_do() -> None:
    with pytest.raises(HarchosError) as raised:
        root_module(replace(RENTED, provider="elsewhere"))
    assert raised.value.what == "there is no module for hubs on elsewhere"
    assert raised.value.hint == "rehearse with --rehearse"


def test_the_written_root_stands_alone_and_is_written_once(tmp_path: Path) -> None:
    write_root(SPEC, tmp_path)
    assert json.loads((tmp_path / "main.tf.json").read_text()) == root_module(SPEC)
    module = tmp_path / "modules" / "local-hub"
    assert {p.name for p in module.iterdir()} == {
        "README.md",
        "main.tf",
        "outputs.tf",
        "variables.tf",
        "versions.tf",
    }
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    write_root(SPEC, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
