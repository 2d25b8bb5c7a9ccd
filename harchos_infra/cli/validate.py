"""`harchos validate`: check documents, and say which of a workload's fields have no effect yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harchos_infra.cli.output import Format, FormatOption, note, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harchos_infra.workload.diagnostic import Diagnostic


def validate(
    files: list[Path] = typer.Argument(..., metavar="FILE...", help="Workload documents; policies, too."),
    format: Format = FormatOption,
) -> None:
    """Check workload documents: every error of every file, with its line, and each field without effect."""
    from harchos_infra.workload.diagnostic import DocumentError

    reports: list[dict[str, Any]] = []
    for file in files:
        try:
            report = _checked_policy(file) if _is_policy(file) else _checked_workload(file)
        except DocumentError as error:
            report = _refused(file, error.diagnostics)
        reports.append(report)
        if format is Format.TABLE:
            _print(report)
    if format is Format.JSON:
        print_json({"schema": "harchos.validation/1", "files": reports})
    if not all(report["valid"] for report in reports):
        raise typer.Exit(1)


def _is_policy(file: Path) -> bool:
    try:
        return re.search(rb"^kind: *Policy\b", file.read_bytes(), re.M) is not None
    except (OSError, ValueError):
        return False


def _checked_policy(file: Path) -> dict[str, Any]:
    from harchos_infra.catalog import Catalog
    from harchos_infra.policy.loader import load_policy
    from harchos_infra.policy.unknown import unknown_names

    policy = load_policy(file)
    for sentence in unknown_names(policy, Catalog.builtin()):
        note(f"warning: {sentence}")
    return {
        "file": str(file),
        "valid": True,
        "name": policy.name,
        "type": "policy",
        "sha256": policy.sha256,
        "errors": [],
        "warnings": [],
        "ignored": [],
    }


def _checked_workload(file: Path) -> dict[str, Any]:
    from harchos_infra.workload.loader import load

    loaded = load(file)
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
