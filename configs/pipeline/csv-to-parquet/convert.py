"""Convert every CSV file of `input/` to Parquet, in blocks, and check that no row was lost on the way.

`$HARCHOS_OUTPUT_DIR` gets a Parquet file for each CSV file, `summary.json`, and `units.json` with the rows
converted. A Parquet file appears only when it is whole and checked, so the job may be stopped and started
again at any point. A value that is missing or not of its column's type ends the job with 1 and names the
file; those that are right are converted all the same. The meter readings in `input/` are made up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

COLUMNS = pa.schema(
    [
        pa.field("time", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("site", pa.string(), nullable=False),
        pa.field("kwh", pa.float64(), nullable=False),
    ]
)
BLOCK_BYTES = 8 * 2**20


class BadInputError(Exception):
    """The file is not what COLUMNS says."""


def count_rows(source: Path) -> int:
    """Count the lines after the header; no value of COLUMNS holds a line break."""
    with source.open("rb") as file:
        return sum(1 for line in file if line.strip()) - 1


def write_parquet(source: Path, target: Path) -> None:
    types = {field.name: field.type for field in COLUMNS}
    options = pyarrow.csv.ConvertOptions(
        column_types=types, include_columns=COLUMNS.names, strings_can_be_null=True
    )
    read = pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES)
    with (
        pyarrow.csv.open_csv(source, read_options=read, convert_options=options) as blocks,
        pyarrow.parquet.ParquetWriter(target, COLUMNS, compression="zstd") as writer,
    ):
        for block in blocks:
            for name, column in zip(COLUMNS.names, block.columns, strict=True):
                if column.null_count:
                    raise BadInputError(f"{column.null_count} missing values in column {name}")
            writer.write_batch(block.cast(COLUMNS))


def convert(source: Path, folder: Path) -> dict[str, object]:
    """Convert one file; return what the summary says of it. Raises BadInputError."""
    part = folder / f".{source.stem}.parquet.part"
    try:
        write_parquet(source, part)
        expected, written = count_rows(source), pyarrow.parquet.read_metadata(part).num_rows
        if written != expected:
            raise BadInputError(f"{expected} rows came in, {written} went out")
        target = part.replace(folder / f"{source.stem}.parquet")
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise BadInputError(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    sizes = {"csv_bytes": source.stat().st_size, "parquet_bytes": target.stat().st_size}
    return {"file": target.name, "rows": written, **sizes}


def main() -> int:
    parser = argparse.ArgumentParser(description="Convert CSV files to Parquet.")
    parser.add_argument("--input", type=Path, default=Path("input"))
    sources = sorted(parser.parse_args().input.glob("*.csv"))
    outputs = Path(os.environ.get("HARCHOS_OUTPUT_DIR", "outputs"))
    outputs.mkdir(parents=True, exist_ok=True)
    if not sources:
        sys.exit("no CSV file to convert")

    converted, refused = [], []
    for source in sources:
        try:
            row = convert(source, outputs)
        except BadInputError as error:
            refused.append({"file": source.name, "reason": str(error)})
            print(f"{source.name}: refused: {error}", flush=True)
        else:
            converted.append(row)
            print(
                f"{source.name} -> {row['file']}  {row['rows']} rows"
                f"  {row['csv_bytes']} -> {row['parquet_bytes']} bytes",
                flush=True,
            )
    rows = sum(int(str(row["rows"])) for row in converted)
    (outputs / "summary.json").write_text(json.dumps({"converted": converted, "refused": refused}, indent=2))
    (outputs / "units.json").write_text(json.dumps({"rows": rows}))
    print(f"{len(converted)} of {len(sources)} files converted, {rows} rows, none lost", flush=True)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
