"""The JSON Schema of workload documents, for editors: draft 2020-12, made from the models."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

from harchos_infra.workload import document, original
from harchos_infra.workload.document import ORIGINAL_API_VERSION, Model, Workload
from harchos_infra.workload.original import OriginalFields

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Keys = dict[tuple[str, ...], tuple[str, ...]]
"""The keys that each place of a document may have: `("spec", "budget")` -> `("maxCost", …)`."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a workload document, the original HarchOS's fields included."""
    schema = Workload.model_json_schema(by_alias=True, mode="validation")
    extra = OriginalFields.model_json_schema(by_alias=True, mode="validation")
    definitions = {**extra.pop("$defs"), **schema.pop("$defs")}
    definitions["Spec"]["properties"] |= extra["properties"]
    definitions["Spec"]["required"] = []
    duration = definitions.pop("Duration")
    definitions["Duration"] = {
        "description": duration.pop("description"),
        "anyOf": [duration["properties"]["default"]["anyOf"][0], duration],
    }
    describe(definitions, {Workload: schema, OriginalFields: definitions["Spec"]}, (document, original))
    return {
        "$schema": DRAFT,
        "title": "HarchOS workload",
        **{key: value for key, value in schema.items() if key != "title"},
        "if": {"properties": {"apiVersion": {"const": ORIGINAL_API_VERSION}}},
        "else": {"properties": {"spec": {"required": ["type"]}}},
        "$defs": dict(sorted(definitions.items())),
    }


@cache
def known_keys() -> Keys:
    """Return the keys of a workload document."""
    return keys_of(json_schema())


def keys_of(schema: dict[str, Any]) -> Keys:
    """Return the keys that a schema knows."""
    places: Keys = {}

    def visit(node: dict[str, Any], place: tuple[str, ...]) -> None:
        node = _resolved(node, schema)
        if "properties" in node:
            places[place] = tuple(node["properties"])
        for key, child in node.get("properties", {}).items():
            visit(child, (*place, key))
        for branch in (
            *node.get("anyOf", ()),
            *([node["items"]] if isinstance(node.get("items"), dict) else ()),
        ):
            visit(branch, place)

    visit(schema, ())
    return places


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node


def describe(
    definitions: dict[str, Any], nodes: dict[type[Model], Any], modules: Sequence[ModuleType]
) -> None:
    """Add attribute docstrings of the modules' models as descriptions; drop titles, which repeat the keys.

    `nodes` are the models whose schema is not among the definitions under their own name.
    """
    texts = _attribute_docstrings(modules)
    for model in _models(modules):
        node = nodes.get(model) or definitions.get(model.__name__)
        for branch in (node, *node.get("anyOf", ())) if node else ():
            for name, field in model.model_fields.items():
                if (child := branch.get("properties", {}).get(str(field.alias))) is not None:
                    child.pop("title", None)
                    child["description"] = texts[model.__name__, name]
    for node in definitions.values():
        for branch in (node, *node.get("anyOf", ())):
            branch.pop("title", None)


def _models(modules: Iterable[ModuleType]) -> list[type[Model]]:
    found = [value for module in modules for value in vars(module).values()]
    unique = dict.fromkeys(
        m for m in found if isinstance(m, type) and issubclass(m, Model) and m is not Model
    )
    return list(unique)


def _attribute_docstrings(modules: Iterable[ModuleType]) -> dict[tuple[str, str], str]:
    texts = {}
    for module in modules:
        for class_ in ast.parse(inspect.getsource(module)).body:
            class_name, body = (class_.name, class_.body) if isinstance(class_, ast.ClassDef) else ("", [])
            for field, text in pairwise(body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                        value=ast.Constant(value=str(said))
                    ):
                        texts[class_name, name] = inspect.cleandoc(said)
    return texts
