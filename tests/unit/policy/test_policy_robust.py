"""Whatever a file holds, loading it gives a policy that comes back from its record, or a DocumentError."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harchos_infra.policy.json_schema import known_keys
from harchos_infra.policy.loader import load_policy, recorded_policy
from harchos_infra.share import share_directory
from harchos_infra.workload.diagnostic import DocumentError

LINES = (share_directory("configs") / "policy.yaml").read_text().splitlines()
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["36h", "spot", "aws", "aws/eu-*", "NO", "*", "g6.*"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
rules = st.dictionaries(
    st.one_of(st.sampled_from(sorted(known_keys()["spec",])), st.text(max_size=5)), values, max_size=8
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def outcome(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        loaded = load_policy(file)
    except DocumentError as error:
        assert error.diagnostics
        assert all(d.line >= 1 and d.column >= 1 and d.message for d in error.diagnostics)
        return
    assert recorded_policy({"policy": loaded.record()}) == loaded


@given(content=st.binary(max_size=200))
@relaxed
def test_any_bytes(file: Path, content: bytes) -> None:
    outcome(file, content)


@given(spec=rules)
@relaxed
def test_any_values_under_known_and_unknown_keys(file: Path, spec: dict[str, object]) -> None:
    document = {"apiVersion": "harchos.dev/v1", "kind": "Policy", "metadata": {"name": "x"}, "spec": spec}
    outcome(file, yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True).encode("utf-8", "replace"))


@given(data=st.data())
@relaxed
def test_the_example_with_lines_lost_repeated_or_swapped(file: Path, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(range(len(LINES))), min_size=1, max_size=len(LINES) + 5))
    order = sorted(chosen) if data.draw(st.booleans()) else chosen
    outcome(file, "\n".join(LINES[index] for index in order).encode())
