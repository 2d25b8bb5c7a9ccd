from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.workload.diagnostic import DocumentError
from harchos_infra.workload.loader import LoadedWorkload, load
from harchos_infra.workload.original import infer_type

DOCUMENTS = Path(__file__).parent / "original"


def ignored(loaded: LoadedWorkload) -> list[tuple[str, int]]:
    return [(field.path, field.line) for field in loaded.ignored]


def test_a_training_on_one_gpu_loads_unchanged() -> None:
    loaded = load(DOCUMENTS / "image-classifier.yaml")
    spec = loaded.workload.spec
    assert (spec.type, spec.replicas) == ("training", 1)
    assert spec.resources.gpu is not None and spec.resources.gpu.type == ("nvidia-a100",)
    assert ignored(loaded) == [("spec.runtime", 10), ("spec.storage", 18), ("spec.metrics", 25)]


def test_replicas_are_nodes_and_the_port_between_them_is_no_service() -> None:
    loaded = load(DOCUMENTS / "distributed-training.yaml")
    spec = loaded.workload.spec
    assert (spec.type, spec.replicas) == ("training", 2)
    assert spec.networking is not None and spec.networking.port is None
    assert spec.restart_policy.on_failure and spec.restart_policy.max_retries == 2
    assert ignored(loaded) == [
        ("spec.runtime", 7),
        ("spec.storage", 16),
        ("spec.networking.port", 26),
    ]


def test_a_carbon_policy_asks_for_the_greenest_and_its_threshold_is_listed() -> None:
    loaded = load(DOCUMENTS / "carbon-threshold-training.yaml")
    assert loaded.workload.spec.objective == "greenest"
    assert ignored(loaded) == [
        ("spec.runtime", 9),
        ("spec.carbonPolicy.threshold", 16),
        ("spec.carbonPolicy.region", 17),
        ("spec.carbonPolicy.scheduleFlexible", 18),
        ("spec.metrics", 19),
    ]


def test_init_containers_run_before_the_command_and_spot_machines_may_be_used() -> None:
    loaded = load(DOCUMENTS / "chat-server.yaml")
    spec = loaded.workload.spec
    assert spec.type == "inference"
    assert spec.placement.market == "any"
    assert spec.command == (
        "(\npython fetch.py mistral-7b\n) && (\npython warm.py --rounds 3\n) && (\n"
        "python serve.py --port 8000 --model mistral-7b\n)"
    )
    assert spec.health_check is not None and spec.health_check.http_get.path == "/healthz"
    assert ignored(loaded) == [
        ("spec.runtime", 7),
        ("spec.networking.expose", 21),
        ("spec.autoscaling", 24),
        ("spec.costOptimization.maxCostPerHour", 30),
        ("spec.metrics", 37),
    ]


def test_a_pipeline_on_a_schedule_loads_and_lists_what_apply_does_not_do() -> None:
    loaded = load(DOCUMENTS / "nightly-etl.yaml")
    assert (loaded.workload.spec.type, loaded.workload.spec.resources.gpu) == ("pipeline", None)
    assert [path for path, _ in ignored(loaded)] == [
        "spec.runtime",
        "spec.storage",
        "spec.notifications",
    ]


def test_several_hubs_become_one_that_suffices_for_each() -> None:
    loaded = load(DOCUMENTS / "three-continents.yaml")
    spec = loaded.workload.spec
    assert spec.type == "inference"
    assert (spec.resources.cpu, spec.resources.memory_gib) == (4, 16)
    assert spec.resources.gpu is not None
    assert (spec.resources.gpu.count, spec.resources.gpu.type) == (2, ("nvidia-l4", "nvidia-a100"))
    assert [path for path, _ in ignored(loaded)] == [
        "spec.runtime",
        "spec.multiHub",
        "spec.storage",
        "spec.networking.expose",
        "spec.networking.tls",
        "spec.reporting",
        "spec.metrics",
    ]


def test_each_ignored_field_says_why() -> None:
    for file in DOCUMENTS.glob("*.yaml"):
        assert all(len(field.reason) > 20 for field in load(file).ignored)


@pytest.mark.parametrize(
    ("spec", "labels", "type_"),
    [
        ({"schedule": {}, "healthCheck": {}}, None, "pipeline"),
        ({"healthCheck": {}}, None, "inference"),
        ({"autoscaling": {}}, None, "inference"),
        ({"multiHub": {}}, None, "inference"),
        ({"networking": {"port": 80}}, None, "inference"),
        (
            {"networking": {"port": 80, "enableInterNode": True}, "resources": {"gpu": {"count": 1}}},
            None,
            "training",
        ),
        ({"resources": {"gpu": {"count": 1}}}, {"team": "x"}, "training"),
        ({"resources": {"cpu": "4"}}, None, "batch"),
        ({}, None, "batch"),
        ({"resources": {"gpu": {"count": 1}}}, {"category": "data-pipelines"}, "pipeline"),
        ({"resources": {"gpu": {"count": 1}}}, {"category": "llm-inference"}, "inference"),
        ({"resources": "broken", "networking": []}, ["broken"], "batch"),
    ],
)
def test_the_type_is_inferred_from_the_category_else_from_the_fields(
    spec: dict[str, object], labels: object, type_: str
) -> None:
    assert infer_type(spec, labels) == type_


def test_a_mistake_within_a_field_without_effect_is_still_found(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    text = (DOCUMENTS / "three-continents.yaml").read_text(encoding="utf-8")
    file.write_text(
        text.replace("carbonZone: low", "carbonZone: lowest")
        .replace("failover: true", "failovr: true")
        .replace("interval: 3600", "interval: often"),
        encoding="utf-8",
    )
    with pytest.raises(DocumentError) as refused:
        load(file)
    assert [(d.path, d.line) for d in refused.value.diagnostics] == [
        ("spec.multiHub.routing.failovr", 15),
        ("spec.multiHub.hubs[0].carbonZone", 25),
        ("spec.reporting.interval", 53),
    ]


def test_what_a_document_says_in_this_versions_words_wins(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    text = (DOCUMENTS / "carbon-threshold-training.yaml").read_text(encoding="utf-8")
    file.write_text(
        text
        + "  type: batch\n  objective: cheapest\n  costOptimization: {preferSpotInstances: true}\n"
        + "  placement: {market: on-demand, homeRegion: aws/eu-north-1}\n",
        encoding="utf-8",
    )
    spec = load(file).workload.spec
    assert (spec.type, spec.objective, spec.placement.market) == ("batch", "cheapest", "on-demand")
    assert spec.placement.home_region == "aws/eu-north-1"


def test_in_a_new_document_the_type_must_be_written(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    text = (DOCUMENTS / "nightly-etl.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("harchos.harchcorp.io/v1", "harchos.dev/v1"), encoding="utf-8")
    with pytest.raises(DocumentError, match="`type` is missing"):
        load(file)
