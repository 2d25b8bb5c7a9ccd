"""gcp-hub through the real Terraform and the genuine schemas: what is made, its labels, how it goes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.share import share_directory
from support.module_workspace import Life, Workspace, first, has, last
from support.schema_replay import Fault, Replay

EXPIRES = "2026-11-26T06:00:00Z"
VARIABLES = {"project": "acme-project", "mailbox": "gs://acme-mailbox/harchos", "expires": EXPIRES}
LABELS = {
    "harchos-run": "llm-4d5e6f",
    "harchos-hub": "llm-4d5e6f-h2",
    "harchos-expires": "2026-11-26t06-00-00z",
    "harchos-workload": "llm",
}
ACCOUNT_ID = "harchos-" + hashlib.sha256(b"llm-4d5e6f-h2").hexdigest()[:20]
ACCOUNT = f"{ACCOUNT_ID}@acme-project.iam.gserviceaccount.com"
IN_THE_COMPLETE_EXAMPLE = {
    "google_compute_network": 1,
    "google_compute_subnetwork": 1,
    "google_compute_firewall": 5,
    "google_compute_resource_policy": 1,
    "google_compute_instance": 2,
    "google_service_account": 1,
    "google_storage_bucket_iam_member": 1,
    "google_secret_manager_secret_iam_member": 1,
}
IN_THE_MINIMAL_EXAMPLE = {
    "google_compute_network": 1,
    "google_compute_subnetwork": 1,
    "google_compute_firewall": 2,
    "google_compute_router": 1,
    "google_compute_router_nat": 1,
    "google_compute_instance": 1,
    "google_service_account": 1,
    "google_storage_bucket_iam_member": 1,
}
G2 = {
    "accelerators": [{"guest_accelerator_count": 1, "guest_accelerator_type": "nvidia-l4"}],
    "deprecated": [],
    "description": "4 vCPUs, 16 GB RAM, 1 NVIDIA L4 GPU",
    "guest_cpus": 4,
    "is_shared_cpus": False,
    "maximum_persistent_disks": 128,
    "maximum_persistent_disks_size_gb": 263168,
    "memory_mb": 16384,
    "name": "g2-standard-4",
    "self_link": "https://www.googleapis.com/compute/v1/machineTypes/g2-standard-4",
}
FOUND_OTHERWISE = {
    "google_compute_router_nat": "part of its router",
    "google_storage_bucket_iam_member": "its condition's description",
    "google_secret_manager_secret_iam_member": "its member, the hub's account",
}


def workspace(replay: Replay, folder: Path, part: str) -> Workspace:
    return Workspace.of(replay, folder, "gcp-hub", part, dict(VARIABLES))


def rules(life: Life) -> list[dict[str, Any]]:
    return [call.values for call in life.all("google_compute_firewall")]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Of the complete example: two spot nodes that expose a port and read a secret."""
    with Replay(providers=["google"]) as replay:
        return Life.lived_in(workspace(replay, tmp_path_factory.mktemp("gcp"), "examples/complete"))


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_an_example_is_valid_is_made_stays_as_it_is_and_goes(example: str, tmp_path: Path) -> None:
    with Replay(providers=["google"]) as replay:
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
    with Replay(providers=["google"]) as replay:
        workspace(replay, tmp_path, ".").succeeds("test")


@pytest.mark.parametrize("file", ["variables.tf", "outputs.tf"])
def test_the_module_s_page_names_all_that_goes_in_and_comes_out(file: str) -> None:
    module = share_directory("terraform") / "modules" / "gcp-hub"
    names = re.findall(r'^(?:variable|output) "(\w+)"', (module / file).read_text(), re.M)
    page = (module / "README.md").read_text()
    assert names
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_hub_is_made_of_these(life: Life) -> None:
    assert Counter(call.type for call in life.created) == IN_THE_COMPLETE_EXAMPLE


def test_everything_is_made_with_labels_or_with_a_description_that_says_the_same(life: Life) -> None:
    words = " ".join(f"{name}={value}" for name, value in sorted(LABELS.items()))
    for call in life.created:
        if has("google", call.type, "labels"):
            assert call.values["labels"] == LABELS, call.type
        elif has("google", call.type, "description"):
            assert call.values["description"] == words, call.type
        else:
            assert call.type in FOUND_OTHERWISE
    for node in life.all("google_compute_instance"):
        (disk,) = node.values["boot_disk"]
        assert disk["initialize_params"][0]["labels"] == LABELS
    (condition,) = life.one("google_storage_bucket_iam_member").values["condition"]
    assert condition["description"] == words


def test_nodes_are_made_last_and_go_first(life: Life) -> None:
    made = [call.type for call in life.created]
    gone = [call.type for call in life.deleted]
    for kind in IN_THE_COMPLETE_EXAMPLE.keys() - {"google_compute_instance"}:
        assert last(made, kind) < first(made, "google_compute_instance"), kind
        assert first(gone, kind) > last(gone, "google_compute_instance"), kind
    assert last(gone, "google_compute_subnetwork") < first(gone, "google_compute_network")
    assert Counter(gone) == Counter(made)


def test_nothing_comes_in_but_what_is_exposed_and_the_hub_s_own_nodes(life: Life) -> None:
    exposed, between = sorted(
        (rule for rule in rules(life) if rule["direction"] == "INGRESS"),
        key=lambda rule: "source_ranges" not in rule,
    )
    assert exposed["source_ranges"] == ["203.0.113.0/24"]
    assert exposed["allow"] == [{"protocol": "tcp", "ports": ["8000"]}]
    assert between["source_service_accounts"] == between["target_service_accounts"] == [ACCOUNT]
    assert exposed["target_service_accounts"] == [ACCOUNT]
    assert "source_ranges" not in between


def test_only_the_web_is_reached_outside_of_the_hub(life: Life) -> None:
    outgoing = {
        rule["name"].removeprefix("harchos-llm-4d5e6f-h2-"): rule
        for rule in rules(life)
        if rule["direction"] == "EGRESS"
    }
    assert outgoing.keys() == {"to-web", "to-nodes", "closed"}
    assert outgoing["to-web"]["allow"] == [{"protocol": "tcp", "ports": ["80", "443"]}]
    assert outgoing["to-nodes"]["destination_ranges"] == ["10.0.0.0/20"]
    assert outgoing["closed"]["deny"] == [{"protocol": "all"}]
    assert outgoing["closed"]["priority"] > 1000 == outgoing["to-web"].get("priority", 1000)


def test_google_deletes_the_machine_and_its_disk_at_the_expiry(life: Life) -> None:
    for node in life.all("google_compute_instance"):
        (scheduling,) = node.values["scheduling"]
        assert scheduling["termination_time"] == EXPIRES
        assert scheduling["instance_termination_action"] == "DELETE"
        assert scheduling["automatic_restart"] is False
        assert node.values["boot_disk"][0]["auto_delete"] is True
        assert EXPIRES in node.values["metadata"]["user-data"]


def test_the_account_holds_two_roles_and_neither_outside_of_the_run(life: Life) -> None:
    mailbox = life.one("google_storage_bucket_iam_member").values
    assert (mailbox["bucket"], mailbox["role"]) == ("acme-mailbox", "roles/storage.objectUser")
    objects, listing = mailbox["condition"][0]["expression"].split(" || ")
    assert objects == (
        'resource.name.startsWith("projects/_/buckets/acme-mailbox/objects/harchos/llm-4d5e6f/")'
    )
    assert listing == (
        'api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("harchos/llm-4d5e6f/")'
    )
    secret = life.one("google_secret_manager_secret_iam_member").values
    assert (secret["secret_id"], secret["role"]) == (
        "harchos-llm-4d5e6f-HF-TOKEN",
        "roles/secretmanager.secretAccessor",
    )
    assert mailbox["member"] == secret["member"] == f"serviceAccount:{ACCOUNT}"


def test_a_hub_that_exposes_nothing_has_no_address_and_its_own_way_out(tmp_path: Path) -> None:
    with Replay(providers=["google"]) as replay:
        life = Life.lived_in(workspace(replay, tmp_path, "examples/minimal"))
    assert Counter(call.type for call in life.created) == IN_THE_MINIMAL_EXAMPLE
    (interface,) = life.one("google_compute_instance").values["network_interface"]
    assert "access_config" not in interface
    assert life.one("google_compute_subnetwork").values["private_ip_google_access"] is True


def test_a_zone_that_offers_the_type_is_preferred(tmp_path: Path) -> None:
    with Replay(providers=["google"]) as replay:
        replay.answers["google_compute_machine_types"] = {
            "machine_types": lambda values, place: [G2] if values["zone"] == "europe-west4-c" else []
        }
        hub = workspace(replay, tmp_path, "examples/minimal")
        hub.succeeds("apply", "-auto-approve")
        (node,) = [one for one in replay.world.existing if one.type == "google_compute_instance"]
        assert node.values["zone"] == "europe-west4-c"


def test_a_newer_image_another_zone_and_a_time_written_otherwise_leave_a_running_hub_alone(
    tmp_path: Path,
) -> None:
    with Replay(providers=["google"]) as replay:
        hub = workspace(replay, tmp_path, "examples/minimal")
        hub.succeeds("apply", "-auto-approve")
        (node,) = [one for one in replay.world.existing if one.type == "google_compute_instance"]
        node.values["scheduling"][0]["termination_time"] = "2026-11-25T22:00:00.000-08:00"
        replay.world.put(node.type, node.id, node.values)
        replay.answers["google_compute_image"] = {"self_link": "projects/p/global/images/newer"}
        replay.answers["google_compute_zones"] = {"names": ["europe-west4-b"]}

        hub.succeeds("plan", "-detailed-exitcode")


def test_another_expiry_is_another_machine(tmp_path: Path) -> None:
    with Replay(providers=["google"]) as replay:
        hub = workspace(replay, tmp_path, "examples/minimal")
        hub.succeeds("apply", "-auto-approve")
        hub.variables["expires"] = "2026-11-26T09:00:00Z"
        hub.succeeds("apply", "-auto-approve")

        before, after = [c for c in replay.world.done("create") if c.type == "google_compute_instance"]
        assert before.values["scheduling"][0]["termination_time"] == EXPIRES
        assert after.values["scheduling"][0]["termination_time"] == "2026-11-26T09:00:00Z"
        assert [c.type for c in replay.world.done("delete")] == ["google_compute_instance"]


@pytest.mark.parametrize("kind", sorted(IN_THE_MINIMAL_EXAMPLE.keys() - IN_THE_COMPLETE_EXAMPLE))
def test_after_a_fault_at_what_only_a_hub_without_address_has_destroy_leaves_nothing(
    kind: str, tmp_path: Path
) -> None:
    with Replay(providers=["google"]) as replay:
        replay.faults[f"{kind}:create"] = Fault(
            error="googleapi: Error 403: Quota 'ROUTERS' exceeded. Limit: 20.0 globally., quotaExceeded"
        )
        hub = workspace(replay, tmp_path, "examples/minimal")
        failed = hub.terraform("apply", "-auto-approve")
        assert failed.returncode == 1
        assert "Quota 'ROUTERS' exceeded" in failed.stderr
        assert "google_compute_instance" not in [one.type for one in replay.world.existing]

        hub.succeeds("destroy", "-auto-approve")

        assert replay.world.existing == []
