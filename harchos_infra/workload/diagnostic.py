"""What is wrong with a document, and where: diagnostics with file, line and column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harchos_infra.errors import HarchosError

Path = tuple[str | int, ...]
"""Where a value lies in a document: `("spec", "env", 0, "name")`."""


def dotted(path: Path) -> str:
    """Return a path as people write it: `spec.env[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `line` and `column` count from 1; `path` is dotted, empty for the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        return place + (f"{self.path}: " if self.path else "") + self.message + self._hint()

    def _hint(self) -> str:
        return f" ({self.hint})" if self.hint else ""

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """What findings are sorted by: their place, then their words."""
        return self.file, self.line, self.column, self.path, self.message


class DocumentError(HarchosError):
    """A document that cannot be used; `diagnostics` are all its errors, sorted by position."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(set(diagnostics), key=lambda d: d.order))
        count = len(self.diagnostics)
        lines = "\n".join(f"  {d}" for d in self.diagnostics)
        heading = self.diagnostics[0].file if count else "document"
        super().__init__(f"{heading}: {count} error{'s' if count != 1 else ''}\n{lines}")
