from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harchos_infra.share import ready_workloads
from harchos_infra.workload.json_schema import json_schema, known_keys
from harchos_infra.workload.tree import read_tree
from support.documents import document

SHIPPED = ready_workloads()
ORIGINAL = sorted((Path(__file__).parent / "original").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(validator: Draft202012Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(read_tree(text).value)]


@pytest.mark.parametrize("file", [*SHIPPED, *ORIGINAL], ids=lambda file: file.stem)
def test_every_shipped_and_every_original_document_is_valid(
    validator: Draft202012Validator, file: Path
) -> None:
    assert errors(validator, file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "spec",
    [
        "type: batch\ncommand: x\ndedline: 36h",
        "type: batch\ncommand: x\nresources: {gpu: {cuont: 1}}",
        "type: batch\ncommand: x\nmultiHub: {hubs: [], foo: 1}",
        "type: batch\ncommand: x\nduration: {byGpu: {L4: 6}}",
        "type: batch\ncommand: x\nduration: 6",
        "type: batch\ncommand: x\ndeadline: 2026-11-24T06:00",
        "type: batch\ncommand: x\nresources: {memory: 16Q}",
        "type: batch\ncommand: []",
        "type: batch\ncommand: 3",
        "type: bach\ncommand: x",
        "command: x",
    ],
)
def test_what_the_loader_refuses_is_underlined_in_an_editor(
    validator: Draft202012Validator, spec: str
) -> None:
    assert len(errors(validator, document(spec))) == 1


@pytest.mark.parametrize(
    "deadline", ["36h", "1h30m", "PT36H", "P1DT2H", "2026-11-24T06:00Z", "2026-11-24 06:00:00+02:00"]
)
@pytest.mark.parametrize("memory", ["16Gi", "50GiB", "500MB", 16, 1.5, "'16'"])
def test_quantities_are_valid_in_each_of_their_forms(
    validator: Draft202012Validator, deadline: str, memory: object
) -> None:
    resources = f"{{memory: {memory}, cpu: 500m}}"
    spec = f"type: batch\ncommand: [x]\nduration: 6h\ndeadline: {deadline}\nresources: {resources}"
    assert errors(validator, document(spec)) == []


def fields(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from node.get("properties", {}).items()
    for branch in (*node.get("anyOf", ()), *node.get("$defs", {}).values()):
        yield from fields(branch)


def test_every_field_has_a_description() -> None:
    assert [name for name, field in fields(json_schema()) if not field.get("description")] == []


def test_the_known_keys_of_each_place_are_those_of_the_schema() -> None:
    assert known_keys()["spec", "budget"] == ("maxCost", "maxCarbon")
    assert {"deadline", "carbonPolicy"} <= set(known_keys()["spec",])
    assert known_keys()["spec", "duration"] == ("default", "byGpu")
    assert "carbonZone" in known_keys()["spec", "multiHub", "hubs"]
