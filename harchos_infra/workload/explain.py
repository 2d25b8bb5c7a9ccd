"""From pydantic's errors to problems in the document's own words.

No value under `env` or `secrets` is repeated in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import ErrorDetails

from harchos_infra.workload.diagnostic import Path
from harchos_infra.workload.quantity import QuantityError, kind_of
from harchos_infra.workload.tree import Problem, Tree

if TYPE_CHECKING:
    from harchos_infra.workload.json_schema import Keys

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_PATTERN_HINTS = {
    "name": "lower-case letters, digits and dashes, at most 63: my-training-1",
    "regions": "write a region such as aws/eu-west-1, or eu-west-1",
    "region": "write a region such as aws/eu-west-1, or eu-west-1",
    "homeRegion": "write a region such as aws/eu-west-1, or eu-west-1",
    "image": "write an image such as docker.io/library/python:3.12, without spaces",
    "type": "write a GPU model such as L4 or H100",
    "byGpu": "write a GPU model such as L4 or H100",
    "path": "write a path that begins with /",
    "instanceTypes": "write an instance type such as g6.xlarge, aws/g6.* or Standard_NC*",
    "requiredLabels": "a pattern of letters, digits and - _ . /, in which * stands for anything",
}


def _workload_keys() -> Keys:
    from harchos_infra.workload.json_schema import known_keys

    return known_keys()


def explain(
    errors: Sequence[ErrorDetails], tree: Tree, keys: Callable[[], Keys] = _workload_keys
) -> list[Problem]:
    """Return pydantic's errors as problems at their places in the text.

    `keys` gives the keys that the kind of document knows. A key that is missing because it is misspelt is
    reported once, where it stands; a list that is too short only for its wrong items is not reported.
    """
    errors = [error for error in errors if error["type"] != "too_short" or not error["input"]]
    meant = {
        (*error["loc"][:-1], near)
        for error in errors
        if error["type"] == "extra_forbidden" and (near := nearest_key(_document_path(error["loc"]), keys))
    }
    say = partial(_explain, tree=tree, keys=keys)
    return [say(error) for error in errors if error["type"] != "missing" or error["loc"] not in meant]


def nearest_key(path: Path, keys: Callable[[], Keys] = _workload_keys) -> str | None:
    """Return the known key that an unknown one, the last of the path, was probably meant to be."""
    siblings = _known_siblings(path, keys())
    key = str(path[-1])
    plain = {sibling.lower(): sibling for sibling in siblings}
    found = get_close_matches(key.replace("_", "").replace("-", "").lower(), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def _known_siblings(path: Path, keys: Keys) -> tuple[str, ...]:
    return keys.get(tuple(part for part in path[:-1] if isinstance(part, str)), ())


def _explain(error: ErrorDetails, tree: Tree, keys: Callable[[], Keys]) -> Problem:
    path = tree.written(_document_path(error["loc"]))
    if error["type"] == "extra_forbidden":
        return Problem(*tree.key(path), path, f"unknown key `{path[-1]}`", _suggestion(path, keys))
    if error["type"] == "missing":
        return Problem(*tree.key(path[:-1]), path, f"`{path[-1]}` is missing", None)
    message, hint = _message(error, path)
    place = tree.key(path) if "[key]" in error["loc"] else tree.position(path)
    return Problem(*place, path, message, hint)


def _suggestion(path: Path, keys: Callable[[], Keys]) -> str | None:
    if near := nearest_key(path, keys):
        return f"did you mean `{near}`?"
    key = path[-1]
    elsewhere = sorted((place for place, known in keys().items() if key in known and place), key=len)
    if elsewhere and (len(elsewhere) == 1 or len(elsewhere[0]) < len(elsewhere[1])):
        return f"`{key}` belongs in `{'.'.join(elsewhere[0])}`"
    siblings = _known_siblings(path, keys())
    return f"known keys: {', '.join(sorted(siblings))}" if 0 < len(siblings) <= 8 else None


def is_private(path: Path) -> bool:
    """Return whether values at this place may be secret and must not be repeated in a message."""
    return path[:2] in (("spec", "env"), ("spec", "secrets"))


def _document_path(loc: tuple[int | str, ...]) -> Path:
    return tuple(part for part in loc if part != "[key]")


def _message(error: ErrorDetails, path: Path) -> tuple[str, str | None]:
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "value_error" and isinstance(context.get("error"), QuantityError):
        return (context["error"].what, context["error"].hint) if not is_private(path) else ("not valid", None)
    if kind in _EXPECTED:
        return _wrong_kind(_EXPECTED[kind], value)
    shown = "the value" if is_private(path) else f"`{_short(value)}`"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]}, but is {_short(value)}", None
    if kind == "literal_error":
        return _not_one_of(str(value), str(context["expected"]), shown)
    if kind == "string_pattern_mismatch":
        return f"{shown} is not a valid {_noun(path)}", _pattern_hint(path)
    if kind in ("string_too_short", "too_short"):
        return "is empty", None
    return f"{shown} is not valid: {error['msg']}", None


def _wrong_kind(expected: str, value: object) -> tuple[str, str | None]:
    hint = None
    if expected == "text" and isinstance(value, (bool, int, float)):
        hint = "put it in quotes"
    elif expected == "true or false" and str(value).lower() in ("yes", "on", "y", "1"):
        hint = "write true"
    elif expected == "true or false" and str(value).lower() in ("no", "off", "n", "0"):
        hint = "write false"
    elif expected in ("a whole number", "a number") and isinstance(value, str):
        hint = "write it without quotes, unit or leading zeros"
    elif expected == "a list" and value is not None:
        hint = "begin each item with a dash, or write [a, b]"
    given = "a fraction" if expected == "a whole number" and isinstance(value, float) else kind_of(value)
    return f"{expected} was expected, not {given}", hint


def _not_one_of(value: str, expected: str, shown: str) -> tuple[str, str | None]:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = get_close_matches(value, choices, n=1, cutoff=0.5)
    if len(choices) == 1:
        return f"{shown} is not `{choices[0]}`", None
    return f"{shown} is not one of {', '.join(choices)}", f"did you mean `{near[0]}`?" if near else None


def _noun(path: Path) -> str:
    named = [part for part in path if isinstance(part, str)]
    if "byGpu" in named or named[-2:] == ["gpu", "type"]:
        return "GPU model"
    nouns = {"regions": "region", "homeRegion": "region", "instanceTypes": "instance type"}
    return nouns.get(named[-1], named[-1])


def _pattern_hint(path: Path) -> str | None:
    named = [part for part in path if isinstance(part, str)]
    if is_private(path):
        return "letters, digits and _, not beginning with a digit"
    return next((_PATTERN_HINTS[part] for part in reversed(named) if part in _PATTERN_HINTS), None)


def _short(value: Any) -> str:
    text = str(value) if not isinstance(value, (dict, list)) else kind_of(value)
    return text if len(text) <= 60 else text[:57] + "…"
