"""Loading a policy document: strict, with every error of the file at once, each at its line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from harchos_infra.errors import HarchosError
from harchos_infra.policy.document import Policy, Rules
from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.explain import explain
from harchos_infra.workload.loader import read, refusal
from harchos_infra.workload.tree import Problem, Tree, TreeError, read_tree


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy with the file it came from; `text` is what stands there, `sha256` (hex) is of its bytes."""

    name: str
    rules: Rules
    path: str
    sha256: str
    text: str = field(repr=False)
    lines: Mapping[str, int] = field(repr=False)

    def where(self, rule: str) -> str:
        """Return the place of a rule, given by its key: `harchos.policy.yaml:7`."""
        return f"{self.path}:{self.lines.get(rule, 1)}"

    def after(self, spent_usd: float, spent_carbon_kg: float) -> LoadedPolicy:
        """Return what it leaves to a run that has cost so much already."""
        rules = self.rules
        left = {
            "max_cost_usd": _left(rules.max_cost_usd, spent_usd),
            "max_carbon_kg": _left(rules.max_carbon_kg, spent_carbon_kg),
        }
        return replace(self, rules=rules.model_copy(update=left))

    def of_one(self, hubs: int) -> LoadedPolicy:
        """Return the equal part of what it leaves to so many hubs together."""
        rules = self.rules
        part = {
            name: limit and limit / hubs
            for name, limit in (
                ("max_price_usd_hour", rules.max_price_usd_hour),
                ("max_cost_usd", rules.max_cost_usd),
                ("max_carbon_kg", rules.max_carbon_kg),
            )
        }
        return replace(self, rules=rules.model_copy(update=part))

    def record(self) -> dict[str, str]:
        """Return what a plan keeps of it, so that it holds for as long as the run does."""
        return {"path": self.path, "name": self.name, "sha256": self.sha256, "text": self.text}


def _left(limit: float | None, spent: float) -> float | None:
    return None if limit is None else max(limit - spent, 1e-9)


def load_policy(path: str | FilePath) -> LoadedPolicy:
    """Read a policy document. Raises `DocumentError` with every error that it has."""
    content, tree = read(FilePath(path))
    return _loaded(str(path), content, tree)


def recorded_policy(inputs: Mapping[str, Any]) -> LoadedPolicy | None:
    """Return the policy that a plan with these `inputs` was made under; None where there was none.

    Raises HarchosError where the record is not what was recorded, or not a policy that this version reads.
    """
    record = inputs.get("policy")
    if record is None:
        return None
    try:
        path, text = str(record["path"]), str(record["text"])
        content = text.encode()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("its text and its sha256 do not agree")
        return _loaded(path, content, read_tree(text))
    except TreeError as error:
        raise refusal(FilePath(path), [error.problem]) from None
    except (KeyError, TypeError, ValueError) as error:
        raise HarchosError(
            f"the policy that the plan records is damaged: {error}", hint="plan the workload again"
        ) from None


def _loaded(path: str, content: bytes, tree: Tree) -> LoadedPolicy:
    problems = list(tree.problems)
    policy = _validated(tree, problems)
    if problems or policy is None:
        raise refusal(FilePath(path), problems)
    return LoadedPolicy(
        name=policy.metadata.name,
        rules=policy.spec,
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        text=content.decode(),
        lines=dict(_lines(tree)),
    )


def _validated(tree: Tree, problems: list[Problem]) -> Policy | None:
    """Return the policy, or None with what is wrong added to `problems`."""
    if not isinstance(tree.value, dict):
        message = "the file is empty" if tree.value is None else "a policy is a mapping of keys to values"
        problems.append(
            Problem(*tree.position(()), (), message, "configs/policy.yaml is an example to start from")
        )
        return None
    problems.extend(_without_value(tree))
    document = dict(tree.value)
    spec = document.get("spec")
    if isinstance(spec, dict):
        document["spec"] = {key: value for key, value in spec.items() if value is not None}
    try:
        return Policy.model_validate(document, by_name=False)
    except ValidationError as error:
        from harchos_infra.policy.json_schema import known_keys

        problems.extend(explain(error.errors(include_url=False), tree, known_keys))
        return None


def _without_value(tree: Tree) -> Iterator[Problem]:
    """Yield each rule that says nothing: what was meant to forbid must not allow in silence."""
    spec = tree.value.get("spec")
    if not isinstance(spec, dict):
        return
    if not spec:
        yield Problem(*tree.position(("spec",)), ("spec",), "has no rule", "write a rule, or remove the file")
    for key, value in spec.items():
        if value is None:
            path: Path = ("spec", key)
            yield Problem(*tree.key(path), path, "has no value", "give it one, or remove the key")


def _lines(tree: Tree) -> Iterator[tuple[str, int]]:
    """Yield the line of each rule, and of each required label as `requiredLabels.NAME`."""
    for key in tree.value["spec"]:
        yield key, tree.key(("spec", key))[0]
    labels = tree.value["spec"].get("requiredLabels", ())
    for index, name in enumerate(labels):
        at = index if isinstance(labels, list) else name
        yield f"requiredLabels.{name}", tree.key(("spec", "requiredLabels", at))[0]
