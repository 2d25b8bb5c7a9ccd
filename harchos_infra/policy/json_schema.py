"""The JSON Schema of policy documents, for editors: draft 2020-12, made from the models."""

from __future__ import annotations

from functools import cache
from typing import Any

from harchos_infra.policy import document
from harchos_infra.policy.document import Policy
from harchos_infra.workload.json_schema import DRAFT, Keys, describe, keys_of


def json_schema() -> dict[str, Any]:
    """Return the schema of a policy document."""
    schema = Policy.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs")
    for rule in definitions["Rules"]["properties"].values():
        rule.pop("default", None)
    describe(definitions, {Policy: schema}, (document,))
    return {
        "$schema": DRAFT,
        "title": "HarchOS policy",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


@cache
def known_keys() -> Keys:
    """Return the keys of a policy document."""
    return keys_of(json_schema())
