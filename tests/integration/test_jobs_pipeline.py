"""The pipeline job: every row arrives, and a bad file is named without holding up the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from job_process import Hub

parquet = pytest.importorskip("pyarrow.parquet", reason="needs the `local` extra")

CONVERT = ["python3", "convert.py", "--input", "input"]


def test_every_row_arrives_with_its_type(tmp_path: Path) -> None:
    hub = Hub.at(tmp_path, "pipeline/csv-to-parquet")
    code, printed = hub.run(CONVERT)
    assert code == 0
    assert "2 of 2 files converted, 672 rows, none lost" in printed
    table = parquet.read_table(hub.outputs / "meters-2026-01.parquet")
    assert [str(kind) for kind in table.schema.types] == ["timestamp[ms, tz=UTC]", "string", "double"]
    first = (hub.work / "input" / "meters-2026-01.csv").read_text().splitlines()[1].split(",")
    assert table["kwh"][0].as_py() == float(first[2])
    assert f"{table['time'][0].as_py():%Y-%m-%dT%H:%M:%SZ}" == first[0]
    assert json.loads((hub.outputs / "units.json").read_text()) == {"rows": 672}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2026-03-01T00:00:00Z,lyon,much", "column #2"),
        ("2026-03-01T00:00:00Z,lyon,", "1 missing values in column kwh"),
        ("2026-03-01T00:00:00Z,lyon", "Expected 3 columns, got 2"),
        ("yesterday,lyon,1.5", "column #0"),
    ],
)
def test_a_bad_file_is_refused_and_the_others_are_converted(tmp_path: Path, line: str, reason: str) -> None:
    hub = Hub.at(tmp_path, "pipeline/csv-to-parquet")
    (hub.work / "input" / "meters-2026-02.csv").write_text(f"time,site,kwh\n{line}\n")
    code, printed = hub.run(CONVERT)
    assert code == 1
    assert "meters-2026-02.csv: refused:" in printed
    assert "Traceback" not in printed
    summary = json.loads((hub.outputs / "summary.json").read_text())
    assert reason in summary["refused"][0]["reason"]
    produced = {path.name for path in hub.outputs.iterdir()}
    assert produced == {"meters-2026-01.parquet", "summary.json", "units.json"}
