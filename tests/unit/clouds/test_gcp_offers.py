"""Google Cloud: what is offered at which price, under which quotas, and what `doctor` finds missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.clouds import gcp_session
from harchos_infra.clouds.cloud import Finding
from harchos_infra.clouds.gcp import GcpCloud
from harchos_infra.errors import HarchosError
from support.fake_gcp import KEY, PRINCIPAL, PROJECT, FakeGcp
from support.rest_server import Answer, reset

REGION = "us-central1"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGcp]:
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gcp_session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(gcp_session, "RETRY_FOR_S", 0.1)
    with FakeGcp() as fake:
        for name, value in fake.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield fake


def machine(name: str, cores: int, gib: float, gpu: str, gpus: int, ssds: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "guestCpus": cores, "memoryMb": int(gib * 1024)}
    if gpus:
        document["accelerators"] = [{"guestAcceleratorType": gpu, "guestAcceleratorCount": gpus}]
    if ssds:
        document["bundledLocalSsds"] = {"defaultInterface": "NVME", "partitionCount": ssds}
    return document


def sku(
    description: str, usd: float, *, usage: str = "OnDemand", regions: tuple[str, ...] = (REGION,)
) -> dict[str, Any]:
    units, nanos = divmod(round(usd * 1e9), 10**9)
    rate = {"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": str(units), "nanos": nanos}}
    return {
        "description": description,
        "category": {"resourceFamily": "Compute", "resourceGroup": "GPU", "usageType": usage},
        "serviceRegions": list(regions),
        "pricingInfo": [
            {
                "effectiveTime": "2026-11-20T08:30:15.123456Z",
                "pricingExpression": {"usageUnit": "h", "tieredRates": [rate]},
            }
        ],
    }


G2 = [
    sku("G2 Instance Core running in Americas", 0.025),
    sku("G2 Instance Ram running in Americas", 0.003),
    sku("Nvidia L4 GPU running in Americas", 0.56),
    sku("Spot Preemptible G2 Instance Core running in Americas", 0.01, usage="Preemptible"),
    sku("Spot Preemptible G2 Instance Ram running in Americas", 0.001, usage="Preemptible"),
    sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", 0.22, usage="Preemptible"),
]
DECOYS = [
    sku("G2 Custom Instance Core running in Americas", 9.0),
    sku("G2 Sole Tenancy Instance Core running in Americas", 9.0),
    sku("Reserved G2 Instance Core running in Americas", 9.0),
    sku("Commitment v1: G2 Cpu in Americas for 1 Year", 9.0, usage="Commit1Yr"),
    sku("G2 Instance Core running in Finland", 9.0, regions=("europe-north1",)),
]


class TestOffers:
    def test_a_price_is_the_sum_of_cores_memory_and_gpus_on_each_market(self, fake: FakeGcp) -> None:
        fake.machine_types[f"{REGION}-a"] = [machine("g2-standard-8", 8, 32, "nvidia-l4", 1)]
        fake.skus = [*G2, *DECOYS]
        on_demand, spot = GcpCloud().offers(REGION)
        assert (on_demand.instance_type, on_demand.market, spot.market) == (
            "g2-standard-8",
            "on-demand",
            "spot",
        )
        assert on_demand.price_usd_hour == pytest.approx(8 * 0.025 + 32 * 0.003 + 0.56)
        assert spot.price_usd_hour == pytest.approx(8 * 0.01 + 32 * 0.001 + 0.22)
        assert datetime.now(UTC) - on_demand.as_of < timedelta(minutes=5)
        assert on_demand.source == "cloudbilling:services.skus.list"

    def test_only_zones_of_the_region_that_have_the_machine_are_named(self, fake: FakeGcp) -> None:
        fake.machine_types[f"{REGION}-b"] = [machine("g2-standard-8", 8, 32, "nvidia-l4", 1)]
        fake.machine_types["europe-north1-a"] = [machine("g2-standard-8", 8, 32, "nvidia-l4", 1)]
        assert GcpCloud().offers(REGION)[0].availability_zones == (f"{REGION}-b",)

    def test_machines_without_gpus_and_those_that_are_gone_are_not_offered(self, fake: FakeGcp) -> None:
        gone = machine("a2-highgpu-1g", 12, 85, "nvidia-tesla-a100", 1) | {"deprecated": {"state": "DELETED"}}
        fake.machine_types[f"{REGION}-a"] = [machine("n2-standard-8", 8, 32, "", 0), gone]
        assert list(GcpCloud().offers(REGION)) == []

    def test_a_machine_that_the_price_list_lacks_a_part_of_has_no_price(self, fake: FakeGcp) -> None:
        fake.machine_types[f"{REGION}-a"] = [machine("g2-standard-8", 8, 32, "nvidia-l4", 1)]
        fake.skus = G2[:2]
        assert [offer.price_usd_hour for offer in GcpCloud().offers(REGION)] == [None, None]

    @pytest.mark.parametrize(
        ("type_", "core", "gpu"),
        [
            (machine("a2-highgpu-1g", 12, 85, "nvidia-tesla-a100", 1), "A2", "Nvidia Tesla A100 GPU"),
            (machine("a2-ultragpu-1g", 12, 170, "nvidia-a100-80gb", 1), "A2", "Nvidia Tesla A100 80GB GPU"),
            (machine("a3-highgpu-8g", 208, 1872, "nvidia-h100-80gb", 8), "A3", "Nvidia H100 80GB GPU"),
            (
                machine("a3-megagpu-8g", 208, 1872, "nvidia-h100-mega-80gb", 8),
                "A3Plus",
                "Nvidia H100 80GB Mega GPU",
            ),
            (
                machine("a3-megagpu-8g", 208, 1872, "nvidia-h100-mega-80gb", 8),
                "A3Plus",
                "Nvidia H100 80GB Plus GPU",
            ),
        ],
    )
    def test_each_series_is_priced_by_its_own_names(
        self, fake: FakeGcp, type_: dict[str, Any], core: str, gpu: str
    ) -> None:
        fake.machine_types[f"{REGION}-a"] = [type_]
        fake.skus = [
            sku(f"{core} Instance Core running in Americas", 0.03),
            sku(f"{core} Instance Ram running in Americas", 0.004),
            sku(f"{gpu} running in Americas", 3.0),
            sku("Nvidia Tesla A100 GPU running in Americas", 3.0),
        ]
        gpus = type_["accelerators"][0]["guestAcceleratorCount"]
        price = GcpCloud().offers(REGION)[0].price_usd_hour
        assert price == pytest.approx(
            type_["guestCpus"] * 0.03 + type_["memoryMb"] / 1024 * 0.004 + gpus * 3.0
        )

    def test_built_in_disks_are_paid_for_by_the_month(self, fake: FakeGcp) -> None:
        fake.machine_types[f"{REGION}-a"] = [
            machine("a2-ultragpu-1g", 12, 170, "nvidia-a100-80gb", 1, ssds=2)
        ]
        fake.skus = [
            sku("A2 Instance Core running in Americas", 0.0),
            sku("A2 Instance Ram running in Americas", 0.0),
            sku("Nvidia Tesla A100 80GB GPU running in Americas", 4.0),
            sku("SSD backed Local Storage", 0.08),
        ]
        assert GcpCloud().offers(REGION)[0].price_usd_hour == pytest.approx(4 + 750 * 0.08 / 730, abs=1e-6)

    def test_the_whole_price_list_is_read_once_for_all_regions(self, fake: FakeGcp) -> None:
        fake.machine_types[f"{REGION}-a"] = [machine("g2-standard-8", 8, 32, "nvidia-l4", 1)]
        fake.skus, fake.page_size = [*DECOYS, *G2], 3
        adapter = GcpCloud()
        assert all(offer.price_usd_hour for offer in adapter.offers(REGION))
        adapter.offers("europe-north1")
        assert fake.calls("/skus") == 4

    def test_threads_that_ask_at_once_read_the_price_list_once(self, fake: FakeGcp) -> None:
        adapter = GcpCloud()
        adapter.identity()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(adapter.offers, [REGION, "europe-north1"] * 2))
        assert fake.calls("/skus") == 1

    def test_an_api_key_reads_the_price_list_without_the_credentials(
        self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_API_KEY", KEY)
        fake.disabled.add("cloudbilling")
        GcpCloud().offers(REGION)
        (asked,) = (r for r in fake.requests if "/skus" in r.path)
        assert asked.headers["x-goog-api-key"] == KEY and "authorization" not in asked.headers

    def test_a_wrong_api_key_is_an_error_that_does_not_show_it(
        self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_API_KEY", "wrong-key-9")
        with pytest.raises(HarchosError) as caught:
            GcpCloud().offers(REGION)
        assert "API key not valid" in caught.value.what and "wrong-key-9" not in caught.value.what

    @pytest.mark.parametrize("fault", [reset, Answer(503, b"<p>key?</p>")])
    def test_the_api_key_is_in_no_message(
        self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch, fault: Answer
    ) -> None:
        monkeypatch.setenv("GOOGLE_API_KEY", KEY)
        fake.fail("/skus", fault)
        with pytest.raises(HarchosError) as caught:
            GcpCloud().offers(REGION)
        assert KEY not in f"{caught.value.what} {caught.value.hint} {caught.value.__cause__}"

    def test_a_region_that_does_not_exist_is_named(self, fake: FakeGcp) -> None:
        with pytest.raises(HarchosError, match=f"projects/{PROJECT}/regions/mars1' was not found"):
            GcpCloud().offers("mars1")

    def test_regions_are_those_that_are_up(self, fake: FakeGcp) -> None:
        fake.page_size = 1
        assert GcpCloud().regions() == ["europe-north1", "us-central1"]


class TestQuotas:
    def test_a_regions_gpus_are_told_by_machine_and_market(self, fake: FakeGcp) -> None:
        fake.quotas[REGION] = [
            {"metric": "NVIDIA_L4_GPUS", "limit": 4.0, "usage": 1.0},
            {"metric": "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS", "limit": 0.0, "usage": 0.0},
            {"metric": "A2_CPUS", "limit": 24.0, "usage": 12.0},
            {"metric": "IN_USE_ADDRESSES", "limit": 8.0, "usage": 3.0},
            {"metric": "SSD_TOTAL_GB", "limit": 500.0, "usage": 0.0},
            {"metric": "NVIDIA_T4_VWS_GPUS", "limit": 1.0, "usage": 0.0},
            {"metric": "COMMITTED_NVIDIA_L4_GPUS", "limit": 1.0, "usage": 0.0},
        ]
        l4, a100, a2, addresses = (q for q in GcpCloud().quotas(REGION) if q.code != "GPUS_ALL_REGIONS")
        assert (l4.covers, l4.market, l4.unit, l4.limit, l4.used) == (
            ("g2-standard-",),
            "on-demand",
            "gpu",
            4,
            1,
        )
        assert (a100.covers, a100.market, a100.limit) == (("a2-ultragpu-",), "spot", 0)
        assert (a2.covers, a2.unit, a2.limit, a2.used) == (("a2-",), "vcpu", 24, 12)
        assert (addresses.market, addresses.unit, addresses.limit) == (None, "hub", 8)

    def test_the_projects_quotas_limit_both_markets(self, fake: FakeGcp) -> None:
        fake.project_quotas += [
            {"metric": "CPUS_ALL_REGIONS", "limit": 32.0, "usage": 4.0},
            {"metric": "NETWORKS", "limit": 5.0, "usage": 2.0},
            {"metric": "SNAPSHOTS", "limit": 1.0, "usage": 0.0},
        ]
        found = [(q.code, q.market, q.unit, q.limit, q.used) for q in GcpCloud().quotas(REGION)]
        assert found == [
            ("GPUS_ALL_REGIONS", None, "gpu", 8, 1),
            ("CPUS_ALL_REGIONS", None, "vcpu", 32, 4),
            ("NETWORKS", None, "hub", 5, 2),
        ]
        assert all(quota.everywhere for quota in GcpCloud().quotas(REGION))


class TestCheck:
    def found(self, subject: str) -> Finding:
        return next(f for f in GcpCloud().check() if f.subject == subject)

    def test_all_is_well(self, fake: FakeGcp, tmp_path: Path) -> None:
        self.mailbox(fake, tmp_path)
        findings = GcpCloud().check()
        assert all(f.ok for f in findings), findings
        assert self.found("mailbox").what == (
            "gs://mbox/prefix in EUROPE-NORTH1: may be listed, written and shared"
        )

    def mailbox(self, fake: FakeGcp, tmp_path: Path) -> None:
        fake.add_bucket("mbox")
        (tmp_path / "home").mkdir()
        (tmp_path / "home/config.yaml").write_text("gcp.mailbox: gs://mbox/prefix\n")

    def test_a_bucket_in_which_hubs_cannot_be_kept_apart(self, fake: FakeGcp, tmp_path: Path) -> None:
        self.mailbox(fake, tmp_path)
        fake.buckets["mbox"]["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] = False
        finding = self.found("mailbox")
        assert not finding.ok and finding.hint and "--uniform-bucket-level-access" in finding.hint

    def test_a_bucket_that_may_not_be_written_names_the_permission(
        self, fake: FakeGcp, tmp_path: Path
    ) -> None:
        self.mailbox(fake, tmp_path)
        fake.denied.add("storage.objects.create")
        assert self.found("mailbox").what == f"{PRINCIPAL} lacks storage.objects.create in bucket mbox"

    def test_without_credentials_there_is_one_finding(self, fake: FakeGcp) -> None:
        fake.signed_in = False
        (finding,) = GcpCloud().check()
        assert (finding.subject, finding.ok) == ("credentials", False)

    def test_missing_permissions_are_named_with_the_role_that_grants_them(self, fake: FakeGcp) -> None:
        fake.denied |= {"compute.instances.create", "iam.serviceAccounts.actAs"}
        finding = self.found("permissions")
        assert not finding.ok
        assert finding.what.startswith(f"{PRINCIPAL} lacks 2 of ")
        assert finding.what.endswith(": compute.instances.create, iam.serviceAccounts.actAs")
        assert finding.hint and "configs/iam/gcp-controller-role.yaml" in finding.hint

    def test_a_project_without_gpus_says_where_to_ask(self, fake: FakeGcp) -> None:
        fake.project_quotas[0]["limit"] = 0.0
        finding = self.found("quota")
        assert not finding.ok and "0 GPUs" in finding.what and f"project={PROJECT}" in str(finding.hint)

    def test_a_bucket_that_does_not_exist(self, fake: FakeGcp, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/config.yaml").write_text("gcp.mailbox: gs://gone\n")
        finding = self.found("mailbox")
        assert not finding.ok and finding.what == "there is no bucket gone"

    @pytest.mark.parametrize(
        ("api", "subject", "required"),
        [
            ("iam", "service accounts", True),
            ("secretmanager", "secrets", False),
            ("cloudbilling", "prices", False),
        ],
    )
    def test_an_api_that_is_off_is_a_finding(
        self, fake: FakeGcp, api: str, subject: str, required: bool
    ) -> None:
        fake.disabled.add(api)
        finding = self.found(subject)
        assert (finding.ok, finding.required) == (False, required)
        assert finding.hint == f"gcloud services enable {api}.googleapis.com --project {PROJECT}"
