"""Whatever a file holds, loading it gives a workload or a DocumentError, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harchos_infra.share import ready_workloads
from harchos_infra.workload.diagnostic import DocumentError
from harchos_infra.workload.json_schema import known_keys
from harchos_infra.workload.loader import LoadedWorkload, load
from harchos_infra.workload.public import public_document

ORIGINAL = Path(__file__).parent / "original"
LINES = [
    file.read_text(encoding="utf-8").splitlines() for file in [*ready_workloads(), *ORIGINAL.glob("*.yaml")]
]
relaxed = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["36h", "16Gi", "2026-11-24T06:00Z", "spot", "L4", "aws/eu-west-1", "NO", "harchos.dev/v1"]
    ),
)
keys = st.one_of(
    st.sampled_from(sorted({k for keys in known_keys().values() for k in keys})), st.text(max_size=6)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=15,
)
specs = st.dictionaries(st.sampled_from(sorted(known_keys()["spec",])), values, max_size=12)


def outcome(file: Path, content: bytes) -> LoadedWorkload | DocumentError:
    file.write_bytes(content)
    try:
        loaded = load(file)
    except DocumentError as error:
        assert error.diagnostics
        assert all(d.line >= 1 and d.column >= 1 and d.message for d in error.diagnostics)
        return error
    public_document(loaded.workload)
    return loaded


@given(content=st.binary(max_size=200))
@relaxed
def test_any_bytes(file: Path, content: bytes) -> None:
    outcome(file, content)


@given(content=st.text(alphabet="ab:- []{},\"'#&*!|>%@`\n\t?<=.0~\\", max_size=80))
@relaxed
def test_any_text_of_yaml_characters(file: Path, content: str) -> None:
    outcome(file, content.encode())


@given(spec=specs, is_original=st.booleans())
@settings(relaxed, max_examples=40)
def test_any_values_under_the_known_keys(file: Path, spec: dict[str, object], is_original: bool) -> None:
    import yaml

    version = "harchos.harchcorp.io/v1" if is_original else "harchos.dev/v1"
    document = {"apiVersion": version, "kind": "Workload", "metadata": {"name": "x"}, "spec": spec}
    outcome(file, yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True).encode("utf-8", "replace"))


@given(data=st.data(), lines=st.sampled_from(LINES))
@relaxed
def test_any_good_document_with_lines_lost_repeated_or_swapped(
    file: Path, data: st.DataObject, lines: list[str]
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(range(len(lines))), min_size=1, max_size=len(lines) + 5))
    order = sorted(chosen) if data.draw(st.booleans()) else chosen
    outcome(file, "\n".join(lines[index] for index in order).encode())


@pytest.mark.parametrize("lines", LINES)
def test_any_good_document_cut_off_at_any_line(file: Path, lines: list[str]) -> None:
    for end in range(len(lines)):
        outcome(file, "\n".join(lines[:end]).encode())
