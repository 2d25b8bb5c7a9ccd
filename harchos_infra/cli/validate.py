"""`harchos validate`: check workload documents, and say which of their fields have no effect yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harchos_infra.workload.diagnostic import Diagnostic
    from harchos_infra.workload.loader import LoadedWorkload


def validate(
    files: list[Path] = typer.Argument(..., metavar="FILE...", help="Workload documents."),
    format: Format = FormatOption,
) -> None:
    """Check workload documents: every error of every file, with its line, and each field without effect."""
    from harchos_infra.workload.diagnostic import DocumentError
    from harchos_infra.workload.loader import load

    reports: list[dict[str, Any]] = []
    for file in files:
        try:
            report = _accepted(load(file))
        except DocumentError as error:
            report = _refused(file, error.diagnostics)
        reports.append(report)
        if format is Format.TABLE:
            _print(report)
    if format is Format.JSON:
        print_json({"schema": "harchos.validation/1", "files": reports})
    if not all(report["valid"] for report in reports):
        raise typer.Exit(1)


def _accepted(loaded: LoadedWorkload) -> dict[str, Any]:
    return {
        "file": str(loaded.path),
        "valid": True,
        "name": loaded.workload.metadata.name,
        "type": loaded.workload.spec.type,
        "sha256": loaded.sha256,
        "errors": [],
        "warnings": _diagnostics(loaded.warnings),
        "ignored": [{"path": i.path, "line": i.line, "reason": i.reason} for i in loaded.ignored],
    }


def _refused(file: Path, errors: Iterable[Diagnostic]) -> dict[str, Any]:
    return {
        "file": str(file),
        "valid": False,
        "name": None,
        "type": None,
        "sha256": None,
        "errors": _diagnostics(errors),
        "warnings": [],
        "ignored": [],
    }


def _diagnostics(found: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    return [
        {
            "line": d.line,
            "column": d.column,
            "path": d.path,
            "message": d.message,
            "hint": d.hint,
            "text": str(d),
        }
        for d in found
    ]


def _print(report: dict[str, Any]) -> None:
    if report["valid"]:
        typer.echo(f"{report['file']}: ok ({report['type']}, {report['name']})")
    for error in report["errors"]:
        typer.echo(error["text"])
    for warning in report["warnings"]:
        typer.echo(f"  warning: {warning['text']}")
    for field in report["ignored"]:
        typer.echo(f"  no effect: {field['path']} (line {field['line']}): {field['reason']}")
