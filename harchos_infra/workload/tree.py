"""YAML text as plain values, each with its line and column.

Stricter than PyYAML: scalars follow the YAML 1.2 core schema (`NO`, `on`, `012` and `1:30` stay text);
duplicate keys, keys that are not text, tags, merge keys and second documents are refused; nesting, aliases
and the number of values are bounded. libyaml's events are read, so that depth is checked before a recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from harchos_infra.workload.diagnostic import Path

MAX_DEPTH = 32
MAX_VALUES = 20_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})", re.ASCII)
_BASED_INT = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)\.[0-9]*|(0|[1-9][0-9]*)(?=[eE]))([eE][-+]?[0-9]+)?", re.ASCII
)
_WORDS: dict[str, Any] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf"))
    | dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf"))
    | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
)
_TAG = "tag:yaml.org,2002:"
_TAGGED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding about YAML structure, at a line and column that count from 1."""

    line: int
    column: int
    path: Path
    message: str
    hint: str | None = None


class TreeError(Exception):
    """The text cannot be read to its end: the problem that stopped it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Tree:
    """The plain value of a document and where its parts lie."""

    value: Any = None
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def position(self, path: Path) -> tuple[int, int]:
        """Return line and column of a value, or of the key of its nearest ancestor that is in the text."""
        while path and path not in self.values:
            path = path[:-1]
            if path in self.values:
                return self.key(path)
        return self.values.get(path, (1, 1))

    def written(self, path: Path) -> Path:
        """Return the path, cut where the text has a plain value in place of a mapping (`duration: 6h`)."""
        value = self.value
        for depth, part in enumerate(path):
            if not isinstance(value, (dict, list)):
                return path[:depth]
            holds = part in value if isinstance(value, dict) else isinstance(part, int) and part < len(value)
            if not holds:
                return path
            value = value[part]  # type: ignore[index]
        return path

    def key(self, path: Path) -> tuple[int, int]:
        """Return line and column of a key, or of the value where there is no key (a list's item)."""
        return self.keys.get(path) or self.values.get(path) or (1, 1)


Scalar: TypeAlias = str | int | float | bool | None


@dataclass(slots=True)
class _Node:
    line: int
    column: int
    value: Scalar | list[_Node] | dict[str, tuple[tuple[int, int], _Node]]


def read_tree(text: str) -> Tree:
    """Read the one document in `text`; `problems` holds what is wrong but could be read past.

    Raises `TreeError` where reading cannot go on: a syntax error, or a bound that is passed.
    """
    tree = Tree()
    loader = yaml.CSafeLoader(text)
    try:
        root = _Composer(loader, tree.problems).document()
    except yaml.MarkedYAMLError as error:
        raise TreeError(_syntax_problem(error, text)) from None
    except yaml.YAMLError:
        raise TreeError(Problem(1, 1, (), "not valid YAML")) from None
    finally:
        loader.dispose()
    if root is not None:
        tree.value = _Unfolding(tree).plain(root, ())
    return tree


class _Composer:
    """Builds nodes from events; anchors are known once their node is whole, so that nothing holds itself."""

    def __init__(self, loader: yaml.CSafeLoader, problems: list[Problem]) -> None:
        self._loader = loader
        self._problems = problems
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def document(self) -> _Node | None:
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), ())
        self._next()
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            self._report(event, (), "a second document begins here", "write one workload in a file")
        return root

    def _next(self) -> yaml.Event:
        event = self._loader.get_event()
        assert event is not None, "read past the end of the stream"
        return event

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := self._next(), end):
            yield event

    def _report(self, event: yaml.Event, path: Path, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem(*_place(event), path, message, hint))

    def _node(self, event: yaml.Event, path: Path) -> _Node:
        line, column = _place(event)
        self._count += 1
        if len(path) > MAX_DEPTH:
            raise TreeError(Problem(line, column, (), f"nested more than {MAX_DEPTH} deep"))
        if self._count > MAX_VALUES:
            raise TreeError(Problem(line, column, (), f"more than {MAX_VALUES} values in the document"))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        node = _Node(line, column, None)
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, path, "seq")
            node.value = [
                self._node(item, (*path, index))
                for index, item in enumerate(self._until(yaml.SequenceEndEvent))
            ]
        elif isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event, path, "map")
            node.value = self._mapping(path)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, path: Path) -> _Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._report(
                event, path, "an alias to no earlier anchor", "put a text that begins with * in quotes"
            )
            return _Node(*_place(event), None)
        return node

    def _mapping(self, path: Path) -> dict[str, tuple[tuple[int, int], _Node]]:
        entries: dict[str, tuple[tuple[int, int], _Node]] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self._key(event, path)
            node = self._node(self._next(), (*path, key if key is not None else "?"))
            if key is None:
                continue
            if key in entries:
                first = entries[key][0][0]
                self._report(event, (*path, key), f"duplicate key `{key}`", f"it is already on line {first}")
            else:
                entries[key] = (_place(event), node)
        return entries

    def _key(self, event: yaml.Event, path: Path) -> str | None:
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, (*path, "?"))
            self._report(event, path, "a key must be text", "write `key: value`")
            return None
        if event.implicit[0] and event.value == "<<":
            self._report(event, path, "merge keys (`<<`) are not read", "repeat the fields")
            return None
        key = self._scalar(event, path)
        if isinstance(key, str):
            return key
        self._report(event, path, "a key must be text, not a number, true, false or null", "put it in quotes")
        return None

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Scalar:
        if "\0" in event.value:
            self._report(event, path, "text with a NUL character in it", "remove it")
        if event.tag in (None, "!", f"{_TAG}str"):
            return _resolve(event.value) if event.tag is None and event.implicit[0] else str(event.value)
        kinds = _TAGGED.get(event.tag.removeprefix(_TAG)) if event.tag.startswith(_TAG) else None
        value = _resolve(event.value)
        if kinds is None or type(value) not in kinds:
            self._report(
                event, path, "a YAML tag that is not read", "put a text that begins with ! in quotes"
            )
            return None
        return value

    def _check_tag(self, event: yaml.CollectionStartEvent, path: Path, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._report(event, path, "a YAML tag that is not read", "remove the tag")


class _Unfolding:
    """Turns nodes into plain values, one place after the other, aliases repeated within the bounds."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._count = 0

    def plain(self, node: _Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            bound = f"{MAX_VALUES} values" if self._count > MAX_VALUES else f"{MAX_DEPTH} levels"
            raise TreeError(Problem(node.line, node.column, (), f"aliases unfold to more than {bound}"))
        self._tree.values[path] = (node.line, node.column)
        if isinstance(node.value, list):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node.value, dict):
            values = {}
            for key, (place, child) in node.value.items():
                self._tree.keys[(*path, key)] = place
                values[key] = self.plain(child, (*path, key))
            return values
        return node.value


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None, "libyaml marks every event"
    return mark.line + 1, mark.column + 1


def _resolve(text: str) -> Scalar:
    """Return what a plain scalar means in the YAML 1.2 core schema; numbers with leading zeros stay text."""
    if text in _WORDS:
        word: Scalar = _WORDS[text]
        return word
    if _INT.fullmatch(text):
        return int(text)
    if _BASED_INT.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(1, 1, (), "not valid YAML")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    problem = error.problem or ""
    message, hint = f"not valid YAML: {problem}", None
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message, hint = "a tab cannot indent YAML", "use spaces"
    elif "cannot start any token" in problem:
        hint = "put a text that begins with @, ` or % in quotes"
    elif "mapping values are not allowed" in problem:
        hint = "put a text with `: ` in it in quotes; check the indentation"
    elif "unexpected end of stream" in problem:
        hint = "a quote or bracket is not closed"
    elif "did not find expected" in problem or "could not find expected" in problem:
        hint = "check the indentation and the quotes"
    return Problem(mark.line + 1, mark.column + 1, (), message, hint)
