"""Google Cloud: what is ours is found whole and deleted in an order that Google accepts, whatever fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from harchos_infra.clouds import gcp_resources, gcp_session
from harchos_infra.clouds.cloud import Resource, cloud
from harchos_infra.clouds.gcp import GcpCloud
from harchos_infra.clouds.gcp_error import GcpError
from harchos_infra.errors import HarchosError
from harchos_infra.share import share_directory
from support import fake_gcp
from support.fake_gcp import PRINCIPAL, PROJECT, FakeGcp, refusal
from support.rest_server import Answer, reset

RUN, HUB = "llm-abc123", "llm-abc123-h1"
KINDS = [
    "instance",
    "disk",
    "address",
    "resource-policy",
    "firewall",
    "router",
    "subnetwork",
    "network",
    "service-account",
    "secret",
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGcp]:
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gcp_session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_resources, "SETTLE_S", 0.05)
    monkeypatch.setattr(gcp_resources, "PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_session, "RETRY_FOR_S", 0.1)
    with FakeGcp() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def hub(fake: FakeGcp) -> FakeGcp:
    fake.add_hub(RUN, HUB)
    return fake


def kinds(found: list[Resource]) -> list[str]:
    return [resource.kind for resource in found]


def tear_down(adapter: GcpCloud, **which: str) -> None:
    for resource in adapter.list(**which):
        adapter.delete(resource)


def refused(call: object, *arguments: object, **named: object) -> HarchosError:
    with pytest.raises(HarchosError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value


class TestIdentity:
    def test_it_is_the_project_and_who_is_signed_in(self, fake: FakeGcp) -> None:
        assert GcpCloud().identity() == f"{PROJECT} {PRINCIPAL}"

    def test_the_setting_goes_before_the_project_of_the_credentials(
        self, fake: FakeGcp, tmp_path: Path
    ) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/config.yaml").write_text("gcp.project: other-project\n")
        assert GcpCloud().identity().split()[0] == "other-project"

    def test_it_is_reached_by_the_name_of_the_cloud(self, fake: FakeGcp) -> None:
        assert isinstance(cloud("gcp"), GcpCloud)


class TestListing:
    def test_every_kind_of_a_hub_is_found_in_the_order_in_which_it_can_be_deleted(self, hub: FakeGcp) -> None:
        assert kinds(GcpCloud().list()) == KINDS

    def test_a_resource_says_whose_it_is_where_it_is_and_when_it_ends(self, hub: FakeGcp) -> None:
        (instance, *_) = GcpCloud().list()
        assert (instance.provider, instance.run, instance.hub) == ("gcp", RUN, HUB)
        assert instance.id == f"projects/{PROJECT}/zones/europe-north1-a/instances/harchos-{HUB}-0"
        assert instance.region == "europe-north1"
        assert instance.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)
        assert instance.detail == f"harchos-{HUB}-0 (g2-standard-8, running)"

    def test_marks_of_what_has_no_labels_are_read_from_its_description(self, hub: FakeGcp) -> None:
        network = next(r for r in GcpCloud().list() if r.kind == "network")
        assert (network.run, network.hub) == (RUN, HUB)
        assert network.expires == datetime(2026, 11, 24, 6, tzinfo=UTC)

    def test_a_name_like_ours_without_our_marks_is_not_ours(self, fake: FakeGcp) -> None:
        fake.add(f"global/networks/harchos-{HUB}", description="made by hand")
        fake.add(f"zones/us-central1-a/instances/harchos-{HUB}", labels={"team": "x"}, status="RUNNING")
        fake.add_account("harchos-admin", "Who runs harchos")
        assert GcpCloud().list() == []

    def test_only_the_hub_or_run_that_is_named_is_listed(self, hub: FakeGcp) -> None:
        hub.add_hub(RUN, f"{RUN}-h2", zone="us-central1-b")
        hub.add_hub("other-ffffff", "other-ffffff-h1")
        adapter = GcpCloud()
        assert {r.hub for r in adapter.list(hub=HUB)} == {HUB}
        assert {r.hub for r in adapter.list(run=RUN)} == {HUB, f"{RUN}-h2", ""}

    def test_a_secret_belongs_to_the_run_and_outlives_its_hubs(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        assert "secret" not in kinds(adapter.list(hub=HUB))
        assert [r.hub for r in adapter.list(run=RUN) if r.kind == "secret"] == [""]

    def test_a_name_with_dots_is_found_by_its_label_without_them(self, fake: FakeGcp) -> None:
        fake.add_hub("llm-v1-2-abc123", "llm-v1-2-abc123-h1")
        assert "instance" in kinds(GcpCloud().list(hub="llm.v1.2-abc123-h1"))

    def test_all_pages_are_read_past_zones_that_hold_only_a_warning(self, fake: FakeGcp) -> None:
        fake.add_hub(RUN, HUB, zone="us-central1-b", nodes=5)
        fake.page_size = 2
        adapter = GcpCloud()
        assert kinds(adapter.list()).count("instance") == 5
        assert kinds(adapter.list()).count("disk") == 5

    def test_a_zone_that_did_not_answer_makes_the_listing_an_error(self, hub: FakeGcp) -> None:
        hub.unreachable.add("us-central1-a")
        error = refused(GcpCloud().list)
        assert "only a part: zones/us-central1-a" in error.what

    def test_an_instance_costs_what_the_price_list_says_on_its_market(self, fake: FakeGcp) -> None:
        fake.add_hub(RUN, HUB, zone="us-central1-a", nodes=3, machine="g2-standard-8")
        spot, stopped = (
            f"projects/{PROJECT}/zones/us-central1-a/instances/harchos-{HUB}-{n}" for n in (1, 2)
        )
        fake.resources[spot]["scheduling"] = {"provisioningModel": "SPOT", "preemptible": True}
        fake.resources[stopped]["status"] = "TERMINATED"
        on_demand, of_spot, of_stopped = (r.price_usd_hour for r in GcpCloud().list()[:3])
        assert on_demand and of_spot and on_demand > of_spot
        assert of_stopped is None

    def test_secrets_of_others_are_left_out(self, hub: FakeGcp) -> None:
        path = f"projects/{PROJECT}/secrets/harchos-password"
        hub.secrets[path] = {"name": path.replace(PROJECT, "123456"), "labels": {"team": "x"}}
        hub.page_size = 1
        assert [r.detail for r in GcpCloud().list() if r.kind == "secret"] == [f"harchos-{RUN}-hf-token"]

    def test_without_secret_manager_there_are_no_secrets(self, hub: FakeGcp) -> None:
        hub.disabled.add("secretmanager")
        assert kinds(GcpCloud().list()) == KINDS[:-1]


class TestMailboxGrants:
    """A hub's account may write to the mailbox's bucket; that outlives the account unless it is withdrawn."""

    @pytest.fixture
    def bucket(self, hub: FakeGcp, tmp_path: Path) -> FakeGcp:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/config.yaml").write_text("gcp.mailbox: gs://mbox/prefix\n")
        hub.grant("mbox", "user:ada@example.com", None)
        marks = f"harchos-expires=2026-11-24t06-00-00z harchos-hub={HUB} harchos-run={RUN}"
        hub.grant("mbox", f"serviceAccount:harchos-x@{PROJECT}.iam.gserviceaccount.com", marks)
        return hub

    def test_it_is_found_and_withdrawn_and_others_stay(self, bucket: FakeGcp) -> None:
        adapter = GcpCloud()
        assert "bucket-grant" in kinds(adapter.list(hub=HUB))
        tear_down(adapter)
        assert adapter.list() == []
        assert [b["members"] for b in bucket.policies["mbox"]["bindings"]] == [["user:ada@example.com"]]

    def test_it_is_found_when_the_account_is_gone(self, bucket: FakeGcp) -> None:
        binding = bucket.policies["mbox"]["bindings"][1]
        binding["members"] = [f"deleted:serviceAccount:harchos-x@{PROJECT}.iam.gserviceaccount.com?uid=1"]
        adapter = GcpCloud()
        tear_down(adapter)
        assert len(bucket.policies["mbox"]["bindings"]) == 1

    def test_a_policy_that_another_wrote_meanwhile_is_not_overwritten(self, bucket: FakeGcp) -> None:
        adapter = GcpCloud()
        grant = next(r for r in adapter.list() if r.kind == "bucket-grant")
        changed = refusal(
            412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet"
        )
        bucket.fail("PUT /storage/v1/b/mbox/iam", changed)
        assert "pre-conditions" in refused(adapter.delete, grant).what
        assert len(bucket.policies["mbox"]["bindings"]) == 2

    def test_the_least_roles_are_enough_for_all_that_the_adapter_does(self, bucket: FakeGcp) -> None:
        roles = ("gcp-controller-role.yaml", "gcp-mailbox-role.yaml")
        files = [share_directory("configs") / "iam" / role for role in roles]
        bucket.granted = {p for f in files for p in yaml.safe_load(f.read_text())["includedPermissions"]}
        adapter = GcpCloud()
        tear_down(adapter)
        assert adapter.list() == []
        for region in adapter.regions():
            adapter.offers(region)
            adapter.quotas(region)
        assert [f for f in adapter.check() if not f.ok] == []


class TestDeletion:
    def test_a_whole_hub_is_gone_afterwards(self, fake: FakeGcp) -> None:
        fake.add_hub(RUN, HUB, nodes=2)
        fake.polls = 3
        tear_down(GcpCloud())
        assert fake.left == []
        assert [path.split("/")[0] for path in fake.deleted][:2] == ["instances", "instances"]

    def test_google_refuses_another_order(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        network = next(r for r in adapter.list() if r.kind == "network")
        error = refused(adapter.delete, network)
        assert "already being used by" in error.what
        assert network.id in hub.left

    @pytest.mark.parametrize("made", range(10))
    def test_a_hub_that_was_half_made_is_gone_afterwards(self, fake: FakeGcp, made: int) -> None:
        fake.add_hub(RUN, HUB)
        for path in list(fake.left)[made:]:
            fake.drop(path)
        assert len(fake.left) == made
        tear_down(GcpCloud())
        assert fake.left == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_what_a_failed_deletion_left_is_deleted_by_the_next(self, hub: FakeGcp, kind: str) -> None:
        adapter = GcpCloud()
        found = adapter.list()
        failing = next(r for r in found if r.kind == kind)
        hub.fail(
            f"DELETE {'' if kind in ('service-account', 'secret') else '/compute/v1/'}", fake_gcp.BACKEND
        )
        refused(adapter.delete, failing)
        assert failing.id in hub.left
        hub.heal()
        tear_down(adapter)
        assert hub.left == []

    def test_others_are_left_alone(self, hub: FakeGcp) -> None:
        hub.add_hub("other-ffffff", "other-ffffff-h1")
        hub.add("global/networks/default", description="")
        before = [path for path in hub.left if HUB not in path and RUN not in path]
        tear_down(GcpCloud(), run=RUN)
        assert hub.left == before

    def test_what_is_gone_already_is_no_error(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        found = adapter.list()
        tear_down(adapter)
        for resource in found:
            adapter.delete(resource)

    def test_what_vanishes_while_it_is_deleted_is_no_error(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        hub.operation_errors["instances"] = {
            "code": "RESOURCE_NOT_FOUND",
            "message": "The resource was not found",
        }
        adapter.delete(adapter.list()[0])

    def test_what_is_not_free_at_once_is_waited_for(self, hub: FakeGcp) -> None:
        busy = "The subnetwork resource 's' is already being used by 'i'"
        adapter = GcpCloud()
        subnetwork = next(r for r in adapter.list() if r.kind == "subnetwork")
        for path in [p for p in hub.left if "/instances/" in p]:
            hub.drop(path)
        hub.fail("DELETE", refusal(400, busy, "resourceInUseByAnotherResource"), times=2)
        adapter.delete(subnetwork)
        assert subnetwork.id not in hub.left

    def test_an_operation_that_ends_in_an_error_says_which(self, hub: FakeGcp) -> None:
        hub.operation_errors["instances"] = {"code": "INTERNAL_ERROR", "message": "Internal error. (12-34)"}
        adapter = GcpCloud()
        error = refused(adapter.delete, adapter.list()[0])
        assert (
            error.what
            == f"Google Cloud failed at delete of instances/harchos-{HUB}-0: Internal error. (12-34)"
        )

    def test_a_protected_instance_says_so(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        (instance, *_) = adapter.list()
        hub.resources[instance.id]["deletionProtection"] = True
        assert "has deletion protection" in refused(adapter.delete, instance).what

    def test_google_may_hold_back_the_answer_about_an_operation(
        self, hub: FakeGcp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        adapter = GcpCloud()
        (instance, *_) = adapter.list()
        monkeypatch.setattr(gcp_session, "ANSWER_S", 1.0)
        hub.hold_s = 1.5
        adapter.delete(instance)
        assert instance.id not in hub.left

    def test_an_operation_that_never_ends_is_an_error_in_the_end(
        self, hub: FakeGcp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gcp_session, "OPERATION_S", 0.05)
        hub.polls = 10**6
        adapter = GcpCloud()
        error = refused(adapter.delete, adapter.list()[0])
        assert "is not done after" in error.what

    def test_nothing_is_deleted_in_another_project(self, hub: FakeGcp) -> None:
        adapter = GcpCloud(project="another")
        there = GcpCloud().list()[0]
        assert "not in project another" in refused(adapter.delete, there).what
        assert there.id in hub.left


class TestRefusals:
    """Each has a message of its own: what, where, what next."""

    def test_nobody_is_signed_in(
        self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
        error = refused(GcpCloud().list)
        assert error.what.startswith("no credentials for Google Cloud:") and "absent.json" in error.what
        assert error.hint and "gcloud auth application-default login" in error.hint

    def test_the_key_was_revoked(self, fake: FakeGcp) -> None:
        fake.signed_in = False
        error = refused(GcpCloud().list)
        assert error.what.startswith("Google Cloud refused the credentials:")
        assert error.hint == "sign in again: gcloud auth application-default login"

    def test_the_credentials_expire_under_way(self, hub: FakeGcp) -> None:
        adapter = GcpCloud()
        adapter.identity()
        hub.signed_in = False
        assert refused(adapter.list).what == (
            f"Google Cloud refused the credentials of {PRINCIPAL}: expired or revoked"
        )

    def test_the_project_does_not_exist(self, fake: FakeGcp) -> None:
        error = refused(GcpCloud(project="no-such-project").list)
        assert error.what == f"project no-such-project does not exist, or {PRINCIPAL} may not see it"
        assert error.hint == "set another: harchos config set gcp.project PROJECT"

    def test_a_project_that_does_not_exist_is_not_an_empty_one(self, hub: FakeGcp) -> None:
        lost = Resource("gcp", "instance", "projects/nope/zones/z/instances/n", RUN, HUB, None, "", None)
        assert "does not exist" in refused(GcpCloud(project="nope").delete, lost).what

    def test_no_project_is_set(self, fake: FakeGcp, tmp_path: Path) -> None:
        key = json.loads((tmp_path / "key.json").read_text())
        del key["project_id"]
        (tmp_path / "key.json").write_text(json.dumps(key))
        os.environ["PATH"], path = "", os.environ["PATH"]
        try:
            assert refused(GcpCloud().list).what == "no Google Cloud project is set"
        finally:
            os.environ["PATH"] = path

    @pytest.mark.parametrize("api", ["compute", "iam"])
    def test_an_api_is_not_enabled(self, hub: FakeGcp, api: str) -> None:
        hub.disabled.add(api)
        error = refused(GcpCloud().list)
        assert error.what == f"{api}.googleapis.com is not enabled in project {PROJECT}"
        assert error.hint == f"gcloud services enable {api}.googleapis.com --project {PROJECT}"

    @pytest.mark.parametrize(
        "permission",
        [
            "compute.instances.list",
            "compute.disks.list",
            "compute.addresses.list",
            "compute.resourcePolicies.list",
            "compute.firewalls.list",
            "compute.routers.list",
            "compute.subnetworks.list",
            "compute.networks.list",
            "iam.serviceAccounts.list",
            "secretmanager.secrets.list",
        ],
    )
    def test_a_permission_that_is_missing_is_named_and_the_listing_is_not_empty(
        self, hub: FakeGcp, permission: str
    ) -> None:
        hub.denied.add(permission)
        error = refused(GcpCloud().list)
        assert isinstance(error, GcpError) and error.permission == permission
        assert error.what.startswith(f"{PRINCIPAL} lacks {permission} in project {PROJECT}")

    def test_a_permission_to_delete_is_named_too(self, hub: FakeGcp) -> None:
        hub.denied.add("compute.instances.delete")
        adapter = GcpCloud()
        assert "lacks compute.instances.delete" in refused(adapter.delete, adapter.list()[0]).what

    @pytest.mark.parametrize(
        ("message", "permission"),
        [
            ("Required 'compute.disks.list' permission for 'projects/p'", "compute.disks.list"),
            (
                "Permission iam.serviceAccounts.list is required to perform this operation on project p.",
                "iam.serviceAccounts.list",
            ),
            (
                "ci@p.iam.gserviceaccount.com does not have storage.buckets.getIamPolicy access to the "
                "Google Cloud Storage bucket.",
                "storage.buckets.getIamPolicy",
            ),
            ("Access denied to compute.googleapis.com.", None),
        ],
    )
    def test_a_permission_is_read_from_every_way_in_which_google_says_it(
        self, fake: FakeGcp, message: str, permission: str | None
    ) -> None:
        fake.fail("GET", refusal(403, message, "forbidden"))
        error = refused(GcpCloud().regions)
        assert isinstance(error, GcpError) and error.permission == permission

    def test_the_project_has_no_billing(self, fake: FakeGcp) -> None:
        message = "This API method requires billing to be enabled."
        fake.fail("GET", refusal(403, message, "forbidden", info="BILLING_DISABLED"))
        error = refused(GcpCloud().list)
        assert error.what == f"project {PROJECT} has no billing account"

    @pytest.mark.parametrize("fault", [fake_gcp.RATE_LIMIT, fake_gcp.TOO_MANY, fake_gcp.BACKEND, reset])
    def test_what_passes_is_tried_again(self, hub: FakeGcp, fault: Answer) -> None:
        hub.fail("GET", fault, times=2)
        assert kinds(GcpCloud().list()) == KINDS

    def test_being_asked_too_often_for_long_is_an_error(self, hub: FakeGcp) -> None:
        hub.fail("aggregated/disks", fake_gcp.TOO_MANY)
        assert "asked too often" in refused(GcpCloud().list).what
        assert hub.calls("aggregated/disks") > 2

    def test_a_network_that_is_away_is_an_error(self, hub: FakeGcp) -> None:
        hub.fail("aggregated/instances", reset)
        assert "cannot be reached" in refused(GcpCloud().list).what

    def test_a_proxy_that_answers_in_its_own_words_is_quoted(self, hub: FakeGcp) -> None:
        hub.fail("aggregated/instances", Answer(407, b"<p>Proxy Authentication Required"))
        assert "Proxy Authentication Required" in refused(GcpCloud().list).what

    def test_plain_http_is_for_loopback_only(self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://example.com/compute/v1/")
        assert "is not an https address" in refused(GcpCloud().list).what


def test_the_command_line_starts_without_googles_libraries() -> None:
    code = (
        "import sys, harchos_infra.clouds.gcp as g; g.GcpCloud();"
        "print([m for m in sys.modules if m.startswith(('google', 'requests'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
