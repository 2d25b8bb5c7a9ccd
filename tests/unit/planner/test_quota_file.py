"""The quota file: what it may say, and every error at its line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.catalog import Catalog
from harchos_infra.planner.fleet.quota import Quota, load_quotas
from harchos_infra.share import share_directory
from harchos_infra.workload.diagnostic import DocumentError

CATALOG = Catalog.builtin()


def errors(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(DocumentError) as raised:
        load_quotas(path, CATALOG)
    return [str(d).removeprefix(f"{path}:") for d in raised.value.diagnostics]


def test_a_quota_is_of_a_region_or_of_each_region(tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(
        "quotas:\n"
        "  - {provider: aws, region: eu-north-1, gpu: A100, maxGpus: 8}\n"
        "  - {provider: gcp, maxInstances: 0}\n"
    )
    read = load_quotas(path, CATALOG)
    assert read.entries == (
        Quota("aws", "eu-north-1", "A100", 8, counts_gpus=True),
        Quota("gcp", None, None, 0, counts_gpus=False),
    )
    assert read.path == str(path)


def test_a_family_covers_its_models_and_a_machine_counts_whole() -> None:
    found = next(o for o in CATALOG.offers if o.gpu_model == "A100-80GB" and o.gpu_count == 8)
    assert Quota(found.provider, None, "a100", 1, counts_gpus=True).limits(found)
    assert Quota(found.provider, None, "a100", 1, counts_gpus=True).need(found, 2) == 16
    assert Quota(found.provider, found.region, None, 1, counts_gpus=False).need(found, 2) == 2
    assert not Quota(found.provider, None, "H100", 1, counts_gpus=True).limits(found)
    assert not Quota(found.provider, "elsewhere", None, 1, counts_gpus=True).limits(found)


def test_every_error_is_named_at_its_place(tmp_path: Path) -> None:
    found = errors(
        tmp_path / "q.yaml",
        "quotas:\n"
        "  - {provider: awss, maxGpus: 1}\n"
        "  - {provider: aws, region: eu-noth-1, maxGpus: -1}\n"
        "  - {provider: aws, gpu: L44, maxGpu: 1}\n"
        "  - {provider: aws, maxGpus: 1, maxInstances: 1}\n"
        "  - eu-north-1\n"
        "more: 1\n",
    )
    assert found == [
        "2:16: quotas[0].provider: `awss` is not a provider (did you mean `aws`?)",
        "3:29: quotas[1].region: aws has no region `eu-noth-1` (did you mean `eu-north-1`?)",
        "3:49: quotas[1].maxGpus: a whole number of 0 or more was expected, not -1",
        "4:5: quotas[2]: maxGpus, maxInstances: one of them is missing",
        "4:26: quotas[2].gpu: no offer has a GPU 'L44' (did you mean L4 or L40S?)",
        "4:31: quotas[2].maxGpu: unknown key `maxGpu` (did you mean `maxGpus`?)",
        "5:5: quotas[3]: maxGpus, maxInstances: only one of them can be given",
        "6:5: quotas[4]: a quota is a mapping, not text "
        "(known keys: provider, region, gpu, maxGpus, maxInstances)",
        "7:1: more: unknown key `more` (the only key is `quotas`)",
    ]


@pytest.mark.parametrize("value", ["true", "1.5", "many", "[1]", "null"])
def test_a_limit_is_a_whole_number(tmp_path: Path, value: str) -> None:
    (found,) = errors(tmp_path / "q.yaml", f"quotas:\n  - {{provider: aws, maxGpus: {value}}}\n")
    assert "2:30: quotas[0].maxGpus: a whole number of 0 or more was expected" in found


@pytest.mark.parametrize("text", ["", "quotas:\n", "quotas: 3\n", "- 1\n", "other: []\n"])
def test_a_file_without_a_list_of_quotas_says_how_one_begins(tmp_path: Path, text: str) -> None:
    (found,) = errors(tmp_path / "q.yaml", text)
    assert "quotas: [{provider: aws, region: eu-north-1, maxGpus: 8}]" in found


def test_the_same_quota_twice_is_refused(tmp_path: Path) -> None:
    (found,) = errors(
        tmp_path / "q.yaml", "quotas:\n  - {provider: aws, maxGpus: 1}\n  - {provider: aws, maxGpus: 2}\n"
    )
    assert found == "3:5: quotas[1]: the same quota stands in line 2 (leave one out)"


def test_yaml_is_read_as_strictly_as_a_workload(tmp_path: Path) -> None:
    (found,) = errors(tmp_path / "q.yaml", "quotas: []\nquotas: []\n")
    assert found.startswith("2:1: quotas: ")


def test_the_ready_quota_file_is_one() -> None:
    read = load_quotas(share_directory("configs") / "quotas.yaml", CATALOG)
    assert {quota.provider for quota in read.entries} == {"aws", "gcp", "azure"}
