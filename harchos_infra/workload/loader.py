"""Loading a workload document: strict, with every error of the file at once, each at its line and column."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from harchos_infra.workload.diagnostic import Diagnostic, DocumentError, Path, dotted
from harchos_infra.workload.document import ORIGINAL_API_VERSION, Spec, Workload
from harchos_infra.workload.explain import explain, nearest_key
from harchos_infra.workload.rules import Finding, check
from harchos_infra.workload.tree import Problem, Tree, TreeError, read_tree

MAX_BYTES = 1024 * 1024

_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPEC_KEYS = frozenset(str(f.alias) for f in Spec.model_fields.values())


@dataclass(frozen=True, slots=True)
class IgnoredField:
    """A field that is accepted and has no effect yet: its dotted path, its line, and why."""

    path: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedWorkload:
    """A workload with the file it came from; `sha256` (hex) is of the file's bytes."""

    workload: Workload
    path: FilePath
    sha256: str
    ignored: tuple[IgnoredField, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()


def load(path: str | FilePath) -> LoadedWorkload:
    """Read a workload document. Raises `DocumentError` with every error that it has."""
    file = FilePath(path)
    content, tree = read(file)
    document = _Document(tree)
    workload = document.validated()
    if document.problems or workload is None:
        raise refusal(file, document.problems)
    return LoadedWorkload(
        workload=workload,
        path=file,
        sha256=hashlib.sha256(content).hexdigest(),
        ignored=tuple(sorted(document.ignored, key=lambda i: (i.line, i.path))),
        warnings=tuple(
            sorted((_diagnostic(file, problem) for problem in document.warnings), key=lambda d: d.order)
        ),
    )


def read(file: FilePath) -> tuple[bytes, Tree]:
    """Read any YAML document: its bytes, and its values with their places. Raises `DocumentError`."""
    try:
        content = _read(file)
        return content, read_tree(_decode(content))
    except TreeError as error:
        raise refusal(file, [error.problem]) from None


def refusal(file: FilePath, problems: Iterable[Problem]) -> DocumentError:
    """Return the error that names every problem of a file at its line and column."""
    return DocumentError(_diagnostic(file, problem) for problem in problems)


def _diagnostic(file: FilePath, problem: Problem) -> Diagnostic:
    return Diagnostic(
        str(file), problem.line, problem.column, dotted(problem.path), problem.message, problem.hint
    )


def _stop(message: str, hint: str | None = None, *, line: int = 1, column: int = 1) -> TreeError:
    return TreeError(Problem(line, column, (), message, hint))


def _read(file: FilePath) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _stop("no such file", "`harchos init --list` shows templates to start from") from None
    except IsADirectoryError:
        raise _stop("is a directory", "name the YAML file in it") from None
    except (OSError, ValueError) as error:
        raise _stop(f"cannot be read: {getattr(error, 'strerror', None) or 'not a file name'}") from None
    if len(content) > MAX_BYTES:
        raise _stop("more than 1 MiB, which no workload document is", "is this the right file?")
    return content


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _stop("the file is UTF-16", "save it as UTF-8")
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        if b"\0" in content:
            raise _stop("a binary file, not YAML", "is this the right file?") from None
        line, column = _line_and_column(before)
        raise _stop("not UTF-8 text", "save the file as UTF-8", line=line, column=column) from None
    if (bad := _UNREADABLE.search(text)) is not None:
        line, column = _line_and_column(text[: bad.start()])
        if bad[0] == "\0":
            raise _stop("a binary file, not YAML", "is this the right file?", line=line, column=column)
        raise _stop(f"control character U+{ord(bad[0]):04X}", "remove it", line=line, column=column)
    return text


def _line_and_column(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Document:
    """One document on its way from plain values to a `Workload`; gathers what is found on the way."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.problems: list[Problem] = list(tree.problems)
        self.warnings: list[Problem] = []
        self.ignored: list[IgnoredField] = []

    def validated(self) -> Workload | None:
        """Return the workload, or None where `problems` say why there is none."""
        value = self._tree.value
        if not isinstance(value, dict):
            if not self.problems:
                self._not_a_mapping(value)
            return None
        document = self._normalised(value)
        workload, broken = self._build(document)
        spec = workload.spec if workload else _sound_part(document.get("spec"), broken)
        if spec is not None:
            self._apply_rules(spec, broken)
            self.ignored.extend(self._without_effect(spec))
        return workload

    def _not_a_mapping(self, value: Any) -> None:
        line, column = self._tree.position(())
        message = "the file is empty" if value is None else "a workload is a mapping of keys to values"
        self.problems.append(
            Problem(line, column, (), message, "`harchos init --list` shows templates to start from")
        )

    def _normalised(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document with the original HarchOS's fields mapped, its type inferred."""
        spec = document.get("spec")
        is_original = document.get("apiVersion") == ORIGINAL_API_VERSION
        if not isinstance(spec, dict) or not (is_original or spec.keys() - _SPEC_KEYS):
            return document
        from harchos_infra.workload.original import ORIGINAL_KEYS, OriginalFields, adopt, infer_type

        fields = {key: value for key, value in spec.items() if key in ORIGINAL_KEYS}
        mapped = {key: value for key, value in spec.items() if key not in ORIGINAL_KEYS}
        try:
            adoption = adopt(spec, OriginalFields.model_validate(fields, by_name=False))
        except ValidationError as error:
            self._explain(error, ("spec",))
        else:
            mapped = adoption.spec
            self.ignored.extend(self._ignored(path, why) for path, why in adoption.without_effect)
        if is_original and "type" not in mapped:
            metadata = document.get("metadata")
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            mapped["type"] = infer_type(spec, labels)
        return {**document, "spec": mapped}

    def _build(self, document: dict[str, Any]) -> tuple[Workload | None, list[Path]]:
        try:
            return Workload.model_validate(document, by_name=False), []
        except ValidationError as error:
            return None, self._explain(error, ())

    def _explain(self, error: ValidationError, root: Path) -> list[Path]:
        """Report pydantic's errors; return the places they leave without a sound value."""
        details = error.errors(include_url=False)
        for detail in details:
            detail["loc"] = (*root, *detail["loc"])
        problems = explain(details, self._tree)
        self.problems.extend(problems)
        unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
        meant = [(*path[:-1], near) for path in unknown if (near := nearest_key(path))]
        return [*(problem.path for problem in problems), *meant]

    def _apply_rules(self, spec: Spec, broken: list[Path]) -> None:
        for finding in check(spec):
            if not _touches(finding, broken):
                line, column = self._tree.position(finding.at)
                problem = Problem(line, column, finding.at, finding.message, finding.hint)
                (self.warnings if finding.is_warning else self.problems).append(problem)

    def _without_effect(self, spec: Spec) -> Iterator[IgnoredField]:
        from harchos_infra.workload.without_effect import without_effect

        for path, why in without_effect(spec):
            if path in self._tree.keys:
                yield self._ignored(path, why)

    def _ignored(self, path: Path, why: str) -> IgnoredField:
        return IgnoredField(dotted(path), self._tree.key(path)[0], why)


def _sound_part(spec: object, broken: list[Path]) -> Spec | None:
    """Return a specification without its broken parts, so that rules between the others can speak as well."""
    if not isinstance(spec, dict):
        return None
    sound = dict(spec)
    for path in broken:
        if path[:1] == ("spec",) and len(path) > 1:
            sound.pop(str(path[1]), None)
    sound.setdefault("type", "batch")
    try:
        return Spec.model_validate(sound, by_name=False)
    except ValidationError:
        return None


def _touches(finding: Finding, broken: list[Path]) -> bool:
    return any(path[:2] == place[:2] for path in (finding.at, *finding.about) for place in broken)
