from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.workload.diagnostic import DocumentError
from harchos_infra.workload.loader import load
from support.documents import Loading, Refusal, document

WHOLE = """
    type: training
    command: [python, train.py]
    image: docker.io/library/python:3.12
    workdir: src
    env:
      - {name: EPOCHS, value: "30"}
    secrets:
      - name: HF_TOKEN
    replicas: 2
    resources:
      cpu: 500m
      memory: 16Gi
      gpu: {count: 2, type: L4, memory: 24GiB}
    duration: 6h
    utilization: 0.8
    deadline: 2026-11-25T06:00+01:00
    earliestStart: 2026-11-24T06:00Z
    checkpoint: {interval: 10m, sizeGiB: 2}
    data:
      - {uri: "s3://bucket/x", region: aws/eu-west-1, sizeGiB: 40Gi}
    placement:
      providers: [aws, gcp]
      regions: [aws/eu-west-1, eu-north-1]
      countries: [NO, se]
      market: any
      homeRegion: aws/us-east-1
    carbonPrice: 100
    budget: {maxCost: 20, maxCarbon: 3.5}
    ttl: 1d
"""


def test_a_document_becomes_typed_values_in_the_units_that_names_tell(loading: Loading) -> None:
    spec = loading(WHOLE).workload.spec
    assert spec.command == ("python", "train.py")
    assert spec.resources.gpu is not None
    assert (spec.resources.gpu.count, spec.resources.gpu.type, spec.resources.gpu.memory_gib) == (
        2,
        ("L4",),
        24,
    )
    assert (spec.resources.cpu, spec.resources.memory_gib, spec.replicas) == (0.5, 16, 2)
    assert spec.duration is not None and spec.duration.default == 6
    assert spec.deadline == datetime(2026, 11, 25, 5, tzinfo=UTC)
    assert spec.checkpoint is not None and spec.checkpoint.interval_h == pytest.approx(1 / 6)
    assert spec.data[0].size_gib == 40
    assert spec.placement.countries == ("NO", "SE")
    assert (spec.budget.max_cost_usd, spec.budget.max_carbon_kg, spec.carbon_price_usd_per_t) == (
        20,
        3.5,
        100,
    )
    assert spec.ttl_h == 24


def test_the_loaded_workload_names_the_bytes_that_it_came_from(loading: Loading, file: Path) -> None:
    loaded = loading("type: batch\ncommand: echo")
    assert loaded.path == file
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.ignored == loaded.warnings == ()


def test_a_deadline_may_count_from_now_and_durations_may_depend_on_the_gpu(loading: Loading) -> None:
    spec = loading(
        """
        type: training
        command: x
        resources: {gpu: {type: [L4, T4]}}
        duration: {byGpu: {L4: 20m}}
        deadline: PT36H
        """
    ).workload.spec
    assert spec.deadline == 36.0
    assert spec.duration is not None and spec.duration.by_gpu == {"L4": pytest.approx(1 / 3)}


def test_all_errors_are_reported_at_once_and_by_position(refusal: Refusal, file: Path) -> None:
    found = refusal(
        """
        type: trainning
        comand: python train.py
        dedline: 36h
        duration: 6
        interruptible: yes
        placement:
          countries: [NO, Norway]
        type: batch
        """
    )
    assert [str(d) for d in found] == [
        f"{file}:6:9: spec.type: `trainning` is not one of training, inference, pipeline, batch, dev "
        "(did you mean `training`?)",
        f"{file}:7:3: spec.comand: unknown key `comand` (did you mean `command`?)",
        f"{file}:8:3: spec.dedline: unknown key `dedline` (did you mean `deadline`?)",
        f"{file}:9:13: spec.duration: `6` has no unit (write 6h for hours, 6m for minutes)",
        f"{file}:10:18: spec.interruptible: true or false was expected, not text (write true)",
        f"{file}:12:21: spec.placement.countries[1]: `Norway` is not a country code "
        "(write two letters (ISO 3166-1 alpha-2), such as NO or DE)",
        f"{file}:13:3: spec.type: duplicate key `type` (it is already on line 6)",
    ]


def test_an_error_is_a_harchos_error_that_shows_each_finding_on_a_line(file: Path) -> None:
    file.write_text(document("type: batch\ncommand: x\nfoo: 1\nbar: 2"), encoding="utf-8")
    with pytest.raises(HarchosError) as refused:
        load(file)
    assert refused.value.exit_code == 1
    assert refused.value.what.splitlines() == [
        f"{file}: 2 errors",
        f"  {file}:8:3: spec.foo: unknown key `foo`",
        f"  {file}:9:3: spec.bar: unknown key `bar`",
    ]


@pytest.mark.parametrize(
    ("spec", "place", "said", "hint"),
    [
        ("type: batch\ncommand: x\ngpu: 1", (8, 3), "unknown key `gpu`", "`gpu` belongs in `spec.resources`"),
        (
            "type: batch\ncommand: x\nearliest_start: 1",
            (8, 3),
            "unknown key",
            "did you mean `earliestStart`?",
        ),
        ("type: batch\ncommand: x\nzone: NO", (8, 3), "unknown key `zone`", None),
        ("command: x", (5, 1), "`type` is missing", None),
        ("type: batch\ncommand: x\nenv: [{name: A}]", (8, 9), "`value` is missing", None),
        (
            "type: batch\ncommand: x\nenv: {A: b}",
            (8, 8),
            "a list was expected, not a mapping",
            "begin each item",
        ),
        (
            "type: batch\ncommand: x\nreplicas: 012",
            (8, 13),
            "a whole number was expected, not text",
            "leading zeros",
        ),
        ("type: batch\ncommand: x\nreplicas: 0", (8, 13), "must be at least 1, but is 0", None),
        (
            "type: batch\ncommand: x\nreplicas: 1.5",
            (8, 13),
            "a whole number was expected, not a fraction",
            None,
        ),
        (
            "type: batch\ncommand: x\nbudget: {maxCost: $5}",
            (8, 21),
            "a number was expected, not text",
            "without",
        ),
        ("type: batch\ncommand: x\nbudget: {maxCost: .inf}", (8, 21), "not valid", None),
        ("type: batch\ncommand: [python, 3]", (7, 12), "word 2 of the command is a number", "quotes"),
        ("type: batch\ncommand: ''", (7, 12), "the command is empty", "write one text"),
        ("type: batch\ncommand: []", (7, 12), "the command is empty", "write one text"),
        (
            "type: batch\ncommand: x\nplacement: {regions: [EU West]}",
            (8, 25),
            "not a valid region",
            "aws/eu-west-1",
        ),
        (
            "type: batch\ncommand: x\nplacement: {providers: [awz]}",
            (8, 27),
            "not one of aws",
            "did you mean `aws`?",
        ),
        ("type: batch\ncommand: x\nduration: {byGpu: {'': 1h}}", (8, 22), "not a valid GPU model", "L4"),
        ("type: batch\ncommand: x\ndeadline: 2026-11-24T06:00", (8, 13), "has no zone", "2026-11-24T06:00Z"),
        ("type: batch\ncommand: x\nresources: 4", (8, 14), "a mapping was expected, not a number", None),
    ],
)
def test_each_mistake_is_shown_where_it_stands(
    refusal: Refusal, spec: str, place: tuple[int, int], said: str, hint: str | None
) -> None:
    (found,) = refusal(spec)
    assert (found.line, found.column) == place
    assert said in found.message
    assert (hint or "") in (found.hint or "")


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (b"", (1, 1), "the file is empty"),
        (b"# only a remark\n", (1, 1), "the file is empty"),
        (b"- a\n- b\n", (1, 1), "a workload is a mapping"),
        (b"just text", (1, 1), "a workload is a mapping"),
        (b"\x7fELF\x01\x02\x00\x00", (1, 5), "control character"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", (1, 1), "binary file"),
        (b"a: 1\nb: caf\xe9\n", (2, 7), "not UTF-8"),
        ("a: 1".encode("utf-16"), (1, 1), "UTF-16"),
        (b"a: \x1b[31m", (1, 4), "control character U+001B"),
        (b"a:\n\tb: 1\n", (2, 1), "a tab cannot indent YAML"),
        (b"kind: [", (1, 8), "not valid YAML"),
        (b"a: 1\n" * 300_000, (1, 1), "more than 1 MiB"),
    ],
)
def test_what_is_no_document_is_refused_in_words(
    refusal: Refusal, content: bytes, place: tuple[int, int], said: str
) -> None:
    (found,) = refusal(content)
    assert said in found.message
    assert found.line in (place[0], place[0] + 1)
    assert found.path == ""


def test_a_huge_file_is_refused_without_being_read_to_its_end(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(10 * 1024**4)
    with pytest.raises(DocumentError, match="more than 1 MiB"):
        load(file)


def test_a_missing_file_and_a_folder_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(DocumentError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(DocumentError, match="cannot be read"):
        load("a\0b")


def test_a_second_document_is_refused(refusal: Refusal) -> None:
    (found,) = refusal((document("type: batch\ncommand: x") + "---\na: b\n").encode())
    assert (found.line, found.message) == (8, "a second document begins here")


def test_a_byte_order_mark_is_no_part_of_the_document(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + document("type: batch\ncommand: x").encode())
    assert load(file).workload.spec.type == "batch"


def test_another_kind_or_version_is_refused(refusal: Refusal) -> None:
    found = refusal(b"apiVersion: v1\nkind: Deployment\nmetadata: {name: x}\nspec: {type: dev, command: x}\n")
    assert [(d.path, d.line) for d in found] == [("apiVersion", 1), ("kind", 2)]


def test_a_document_without_anything_names_each_missing_key_once(refusal: Refusal) -> None:
    assert [d.path for d in refusal(b"{}")] == ["apiVersion", "kind", "metadata", "spec"]


@pytest.mark.parametrize(
    "spec",
    [
        "env: [{name: HF_TOKEN, value: hf_hidden, extra: hf_hidden}]",
        "env: [{name: hf-hidden, value: hf_hidden}]",
        "env: hf_hidden",
        "env: [hf_hidden]",
        "env: {HF_TOKEN: hf_hidden}",
        "env: [{name: A, value: [hf_hidden]}]",
        "env: [{name: A, value: !hf_hidden x}]",
        "env: [{name: A, value: *hf_hidden}]",
        "env: [{name: A, value: @hf_hidden}]",
        'env: [{name: A, value: "hf_hidden}]',
        "env:\n  - name: A\n    value: hf_hidden: x",
        "secrets: [{name: A, file: {hf_hidden: 1}}]",
        "secrets: [{name: hf-hidden}]",
        "secrets: [{name: A, env: hf-hidden}]",
        "secrets: [{name: A, file: x, env: A}]",
        "secrets: hf_hidden",
    ],
)
def test_no_value_of_env_or_secrets_is_ever_repeated(refusal: Refusal, spec: str) -> None:
    for found in refusal(f"type: batch\ncommand: x\n{spec}"):
        assert "hidden" not in str(found)


def test_a_loaded_workload_does_not_show_values_of_env(loading: Loading) -> None:
    loaded = loading("type: batch\ncommand: x\nenv: [{name: EPOCHS, value: not-to-be-seen}]")
    assert "not-to-be-seen" not in repr(loaded)
