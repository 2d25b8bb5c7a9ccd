from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harchos_infra.share import ready_workloads
from harchos_infra.workload.document import Workload
from harchos_infra.workload.json_schema import json_schema
from harchos_infra.workload.loader import load
from harchos_infra.workload.public import public_document
from support.documents import Loading

DOCUMENTS = [
    *ready_workloads(),
    *sorted((Path(__file__).parent / "original").glob("*.yaml")),
]


def test_quantities_are_written_in_one_canonical_form_and_defaults_left_out(loading: Loading) -> None:
    loaded = loading(
        """
        type: training
        command: [python, train.py]
        replicas: 1
        resources: {cpu: "4", memory: 512Mi, gpu: {type: L4}}
        duration: {byGpu: {L4: PT90M}}
        deadline: 2026-11-25T06:00+01:00
        ttl: 1d
        """
    )
    assert public_document(loaded.workload) == {
        "apiVersion": "harchos.dev/v1",
        "kind": "Workload",
        "metadata": {"name": "job"},
        "spec": {
            "type": "training",
            "command": ["python", "train.py"],
            "resources": {"cpu": 4.0, "memory": "0.5Gi", "gpu": {"type": ["L4"]}},
            "duration": {"byGpu": {"L4": "90m"}},
            "deadline": "2026-11-25T05:00:00Z",
            "ttl": "24h",
        },
    }


def test_no_value_of_env_is_in_it_and_secrets_are_references(loading: Loading) -> None:
    loaded = loading(
        """
        type: batch
        command: x
        env: [{name: HF_TOKEN, value: hidden}, {name: EPOCHS, value: hidden}]
        secrets: [{name: KEY, file: key.txt}]
        """
    )
    public = public_document(loaded.workload)
    assert public["spec"]["env"] == [{"name": "HF_TOKEN"}, {"name": "EPOCHS"}]
    assert public["spec"]["secrets"] == [{"name": "KEY", "file": "key.txt"}]
    assert "hidden" not in json.dumps(public)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.stem)
def test_it_is_read_back_as_the_same_workload(file: Path) -> None:
    workload = load(file).workload
    public = json.loads(json.dumps(public_document(workload)))
    public["spec"].pop("env", None)
    assert list(Draft202012Validator(json_schema()).iter_errors(public)) == []
    again = Workload.model_validate(public, by_name=False)
    assert again == workload.model_copy(update={"spec": workload.spec.model_copy(update={"env": ()})})


def test_the_same_file_gives_the_same_bytes(loading: Loading) -> None:
    first, second = (json.dumps(public_document(loading("type: dev\ncommand: x").workload)) for _ in range(2))
    assert first == second
