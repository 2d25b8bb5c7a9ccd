"""Policies in tests."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from textwrap import dedent, indent

from harchos_infra.policy.loader import LoadedPolicy, recorded_policy

HEAD = "apiVersion: harchos.dev/v1\nkind: Policy\nmetadata: {name: rules}\nspec:\n"

Write = Callable[[str], Path]
Load = Callable[[str], LoadedPolicy]


def policy_text(rules: str) -> str:
    """Return a policy document with these rules; the first one is on line 5."""
    return HEAD + indent(dedent(rules).strip("\n"), "  ") + "\n"


def policy_of(rules: str) -> LoadedPolicy:
    """Return a policy with these rules, as if it stood in `p.yaml`."""
    text = policy_text(rules)
    record = {"path": "p.yaml", "text": text, "sha256": sha256(text.encode()).hexdigest()}
    loaded = recorded_policy({"policy": record})
    assert loaded is not None
    return loaded
