"""azure-hub through the real Terraform and the genuine schemas: what is made, its tags, how it goes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.share import share_directory
from support.module_workspace import Life, Workspace, first, has, last
from support.schema_replay import Fault, Replay
from support.schema_replay.answers import SUBSCRIPTION

EXPIRES = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
VARIABLES = {"subscription": SUBSCRIPTION, "mailbox": "az://acmemailbox/hubs/team", "expires": EXPIRES}
TAGS = {
    "harchos:run": "llm-4d5e6f",
    "harchos:hub": "llm-4d5e6f-h2",
    "harchos:expires": EXPIRES,
    "harchos:workload": "llm",
}
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/harchos-llm-4d5e6f-h2"
IN_THE_COMPLETE_EXAMPLE = {
    "azurerm_resource_group": 1,
    "azurerm_virtual_network": 1,
    "azurerm_subnet": 1,
    "azurerm_network_security_group": 1,
    "azurerm_network_security_rule": 6,
    "azurerm_subnet_network_security_group_association": 1,
    "azurerm_public_ip": 2,
    "azurerm_network_interface": 2,
    "azurerm_user_assigned_identity": 1,
    "azurerm_role_assignment": 3,
    "azurerm_proximity_placement_group": 1,
    "azurerm_linux_virtual_machine": 2,
    "azurerm_dev_test_global_vm_shutdown_schedule": 2,
}
PARTS_OF_WHAT_IS_TAGGED = {
    "azurerm_subnet",
    "azurerm_network_security_rule",
    "azurerm_subnet_network_security_group_association",
}
MACHINE = "azurerm_linux_virtual_machine"
SCHEDULE = "azurerm_dev_test_global_vm_shutdown_schedule"


def workspace(replay: Replay, folder: Path, part: str) -> Workspace:
    return Workspace.of(replay, folder, "azure-hub", part, dict(VARIABLES))


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Of the complete example: two spot nodes that expose a port and read a secret."""
    with Replay(providers=["azurerm"]) as replay:
        return Life.lived_in(workspace(replay, tmp_path_factory.mktemp("azure"), "examples/complete"))


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_an_example_is_valid_is_made_stays_as_it_is_and_goes(example: str, tmp_path: Path) -> None:
    with Replay(providers=["azurerm"]) as replay:
        hub = workspace(replay, tmp_path, f"examples/{example}")
        hub.succeeds("validate")
        hub.succeeds("plan", "-out=plan.bin")
        hub.succeeds("show", "-json", "plan.bin")
        hub.succeeds("apply", "plan.bin")
        assert len(replay.world.existing) == len(replay.world.done("create")) > 0

        hub.succeeds("plan", "-detailed-exitcode")

        hub.succeeds("destroy", "-auto-approve")
        assert replay.world.existing == []


def test_the_module_s_own_tests_pass(tmp_path: Path) -> None:
    with Replay(providers=["azurerm"]) as replay:
        workspace(replay, tmp_path, ".").succeeds("test")


@pytest.mark.parametrize("file", ["variables.tf", "outputs.tf"])
def test_the_module_s_page_names_all_that_goes_in_and_comes_out(file: str) -> None:
    module = share_directory("terraform") / "modules" / "azure-hub"
    names = re.findall(r'^(?:variable|output) "(\w+)"', (module / file).read_text(), re.M)
    page = (module / "README.md").read_text()
    assert names
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_hub_is_made_of_these(life: Life) -> None:
    assert Counter(call.type for call in life.created) == IN_THE_COMPLETE_EXAMPLE


def test_everything_that_can_carries_the_tags_and_lies_in_the_group_of_the_hub(life: Life) -> None:
    words = " ".join(f"{name}={value}" for name, value in sorted(TAGS.items()))
    for call in life.created:
        if has("azurerm", call.type, "tags"):
            assert call.tags == TAGS, call.type
        elif call.type == "azurerm_role_assignment":
            assert call.values["description"] == words
        else:
            assert call.type in PARTS_OF_WHAT_IS_TAGGED
        if has("azurerm", call.type, "resource_group_name"):
            assert call.values["resource_group_name"] == "harchos-llm-4d5e6f-h2"


def test_machines_are_made_last_and_go_first(life: Life) -> None:
    made = [call.type for call in life.created]
    gone = [call.type for call in life.deleted]
    for kind in IN_THE_COMPLETE_EXAMPLE.keys() - {MACHINE, SCHEDULE}:
        assert last(made, kind) < first(made, MACHINE), kind
        assert first(gone, kind) > last(gone, MACHINE), kind
    assert gone[-1] == "azurerm_resource_group"
    assert Counter(gone) == Counter(made)


def test_nothing_comes_in_but_what_is_exposed_and_the_hub_s_own_machines(life: Life) -> None:
    rules = {call.values["name"]: call.values for call in life.all("azurerm_network_security_rule")}
    inbound = {name: rule for name, rule in rules.items() if rule["direction"] == "Inbound"}
    assert inbound.keys() == {"port-8000", "nodes-inbound", "closed-inbound"}
    assert inbound["port-8000"]["source_address_prefixes"] == ["203.0.113.0/24"]
    assert inbound["port-8000"]["destination_port_ranges"] == ["8000"]
    assert inbound["nodes-inbound"]["source_address_prefixes"] == ["10.0.0.0/20"]
    assert (inbound["closed-inbound"]["access"], inbound["closed-inbound"]["priority"]) == ("Deny", 4096)


def test_only_the_web_is_reached_outside_of_the_hub(life: Life) -> None:
    rules = [call.values for call in life.all("azurerm_network_security_rule")]
    outbound = {rule["name"]: rule for rule in rules if rule["direction"] == "Outbound"}
    assert outbound.keys() == {"web-outbound", "nodes-outbound", "closed-outbound"}
    assert sorted(outbound["web-outbound"]["destination_port_ranges"]) == ["443", "80"]
    assert outbound["nodes-outbound"]["destination_address_prefix"] == "10.0.0.0/20"
    assert (outbound["closed-outbound"]["access"], outbound["closed-outbound"]["priority"]) == ("Deny", 4096)


def test_azure_deallocates_two_minutes_after_the_expiry(life: Life) -> None:
    machines = {call.id for call in life.all(MACHINE)}
    two_minutes_later = datetime.fromisoformat(EXPIRES) + timedelta(minutes=2)
    assert {call.values["virtual_machine_id"] for call in life.all(SCHEDULE)} == machines
    for call in life.all(SCHEDULE):
        assert call.values["enabled"] is True
        assert call.values["daily_recurrence_time"] == two_minutes_later.strftime("%H%M")
        assert call.values["timezone"] == "UTC"


def test_the_schedule_is_not_judged_anew_by_a_later_plan(tmp_path: Path) -> None:
    with Replay(providers=["azurerm"]) as replay:
        hub = workspace(replay, tmp_path, "examples/minimal")
        hub.variables["expires"] = (datetime.now(UTC) + timedelta(hours=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        hub.succeeds("apply", "-auto-approve")
        state = hub.folder / "terraform.tfstate"
        (planned,) = set(re.findall(r'"input": \{\s*"value": "([^"]+)"', state.read_text()))
        ten_hours_ago = (datetime.now(UTC) - timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        state.write_text(state.read_text().replace(planned, ten_hours_ago))

        hub.succeeds("plan", "-detailed-exitcode")


@pytest.fixture
def on_demand(tmp_path: Path) -> Iterator[Workspace]:
    """Two nodes on demand, in no zone that was named."""
    with Replay(providers=["azurerm"]) as replay:
        hub = workspace(replay, tmp_path, "examples/complete")
        (hub.folder / "on_demand_override.tf").write_text(
            'module "hub" {\n  market            = "on-demand"\n  availability_zone = null\n}\n'
        )
        yield hub


def test_machines_on_demand_share_the_set_that_infiniband_needs(on_demand: Workspace) -> None:
    on_demand.succeeds("apply", "-auto-approve")
    on_demand.succeeds("plan", "-detailed-exitcode")
    on_demand.succeeds("destroy", "-auto-approve")
    world = on_demand.replay.world
    assert world.existing == []

    life = Life(world.done("create"), world.done("delete"))
    together = life.one("azurerm_availability_set")
    assert together.tags == TAGS
    assert {node.values["availability_set_id"] for node in life.all(MACHINE)} == {together.id}
    assert not [node for node in life.all(MACHINE) if "max_bid_price" in node.values]


def test_after_a_fault_at_the_set_destroy_leaves_nothing(on_demand: Workspace) -> None:
    on_demand.replay.faults["azurerm_availability_set:create"] = Fault(
        error="unexpected status 409 (409 Conflict) with error: AllocationFailed: no capacity"
    )
    failed = on_demand.terraform("apply", "-auto-approve")
    assert failed.returncode == 1
    assert "AllocationFailed" in failed.stderr

    on_demand.succeeds("destroy", "-auto-approve")

    assert on_demand.replay.world.existing == []


def test_an_evicted_machine_is_deleted_and_bids_no_more_than_was_accepted(life: Life) -> None:
    for node in life.all(MACHINE):
        assert (node.values["priority"], node.values["eviction_policy"]) == ("Spot", "Delete")
        assert node.values["max_bid_price"] == 40
        assert EXPIRES in base64.b64decode(node.values["custom_data"]).decode()


def test_the_identity_holds_three_roles_and_none_outside_of_the_run(life: Life) -> None:
    roles = {call.values["role_definition_name"]: call.values for call in life.all("azurerm_role_assignment")}
    shared = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/harchos/providers"
    assert {name: role["scope"] for name, role in roles.items()} == {
        "HarchOS hub mailbox": (
            f"{shared}/Microsoft.Storage/storageAccounts/acmemailbox/blobServices/default/containers/hubs"
        ),
        "HarchOS hub lifetime": life.one("azurerm_resource_group").id,
        "Key Vault Secrets User": (
            f"{shared}/Microsoft.KeyVault/vaults/harchos-vault/secrets/harchos-llm-4d5e6f-HF-TOKEN"
        ),
    }
    assert life.one("azurerm_resource_group").id == GROUP
    condition = roles["HarchOS hub mailbox"]["condition"]
    assert condition.count("StringStartsWith 'team/llm-4d5e6f/'") == 2
    assert all(role["principal_type"] == "ServicePrincipal" for role in roles.values())


def test_nobody_has_the_private_half_of_the_default_ssh_key() -> None:
    """Its point on the curve is the hash of a sentence: nobody can have begun with a scalar."""
    variables = (share_directory("terraform") / "modules" / "azure-hub" / "variables.tf").read_text()
    (key,) = re.findall(r'"ssh-ed25519 (\S+) nobody"', variables)
    point = base64.b64decode(key)[-32:]
    sentence = "HarchOS: nobody has the private half of this key, 28"
    assert point == hashlib.sha256(sentence.encode()).digest()


def test_a_hub_that_gave_itself_back_is_destroyed_without_complaint(tmp_path: Path) -> None:
    with Replay(providers=["azurerm"]) as replay:
        hub = workspace(replay, tmp_path, "examples/minimal")
        hub.succeeds("apply", "-auto-approve")
        for resource in replay.world.existing:
            if resource.values.get("scope", GROUP).endswith("/containers/hubs"):
                continue
            replay.world.remove(resource.type, resource.id)
        assert [left.type for left in replay.world.existing] == ["azurerm_role_assignment"]

        hub.succeeds("destroy", "-auto-approve")

        assert replay.world.existing == []
