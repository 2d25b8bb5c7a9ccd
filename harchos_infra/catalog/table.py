"""The catalogue's data files, as they lie in the package."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "data"


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a data file by column name."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_rows(name: str) -> Iterator[list[str]]:
    """Yield the rows of a data file as lists, without the header: for the long ones."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        yield from rows


def read_matrix(name: str) -> dict[tuple[str, str], float]:
    """Return a square file's filled cells by (row, column)."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        columns = next(rows)[1:]
        return {
            (row[0], column): float(cell)
            for row in rows
            for column, cell in zip(columns, row[1:], strict=True)
            if cell
        }
