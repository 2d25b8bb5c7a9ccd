"""What every command prints with: tables that fit the terminal, JSON, notes on standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console


class Format(StrEnum):
    """Output format of a command."""

    TABLE = "table"
    JSON = "json"


SIGNAL_HELP = (
    "replay (default), replay:PATH of a file ZONE.csv or a directory, or a live source: electricitymaps, "
    "watttime, gb, energycharts, eia, entsoe; A,B takes from B what A lacks."
)
FormatOption = typer.Option(Format.TABLE, "--format", "-o", help="Output format.")


def console(*, stderr: bool = False) -> Console:
    """Return a console that colours only on a TTY and honours NO_COLOR."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return _Console(
        stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty()
    )


def print_json(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows under headers; columns whose index is in `right` are right-aligned.

    On a terminal the table fits its width; into a pipe no cell is ever cut.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        table.add_column(
            header,
            justify="right" if index in right else "left",
            no_wrap=not sys.stdout.isatty(),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text.from_ansi(cell) for cell in row))
    target = console()
    if not sys.stdout.isatty():
        from rich.measure import Measurement

        target.width = max(
            80, Measurement.get(target, target.options.update(max_width=10_000), table).maximum
        )
    target.print(table)


def text_width(most: int) -> int:
    """Return the columns that text may take: those of the terminal, `most` at most and into a pipe."""
    return min(most, get_terminal_size().columns) if sys.stdout.isatty() else most


def note(text: str) -> None:
    """Print a remark on standard error, out of the way of what a pipe reads."""
    typer.echo(text, err=True)


def write_page(path: Path, text: str) -> None:
    """Write a page that others may be shown; HarchosError where the file cannot be written."""
    from harchos_infra.errors import HarchosError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarchosError(
            f"{path}: {error.strerror}", hint="name a file in a folder that you can write to"
        ) from error


def discard(stream: TextIO) -> None:
    """Point a stream that refuses at nowhere, so that what it still holds ends quietly."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_streams() -> None:
    """Make standard output and error writable whatever the caller left of them: closed, or not Unicode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
