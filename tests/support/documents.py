"""Workload documents in tests, and what loading them gives."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent, indent

from harchos_infra.workload.diagnostic import Diagnostic
from harchos_infra.workload.loader import LoadedWorkload

Loading = Callable[[str], LoadedWorkload]
Refusal = Callable[[str | bytes], tuple[Diagnostic, ...]]


def document(spec: str) -> str:
    """Return a document with this specification; its first line is line 6, its first column 3."""
    head = "apiVersion: harchos.dev/v1\nkind: Workload\nmetadata:\n  name: job\nspec:\n"
    return head + indent(dedent(spec).strip("\n"), "  ") + "\n"
