from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.policy.loader import load_policy
from support.policies import Load, Write, policy_text


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a policy with the given rules to `harchos.policy.yaml` here; the first rule is on line 5."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARCHOS_POLICY", raising=False)

    def _write(rules: str) -> Path:
        Path("harchos.policy.yaml").write_text(policy_text(rules))
        return Path("harchos.policy.yaml")

    return _write


@pytest.fixture
def load(write: Write) -> Load:
    return lambda rules: load_policy(write(rules))
