"""The batch job: each item once, however often it is started; one bad item does not spoil the others."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

from job_process import Hub


def write_modules(root: Path, count: int) -> None:
    root.mkdir()
    for number in range(count):
        (root / f"m{number:04}.py").write_text(f"def f{number}(x):\n    return x if x else {number}\n")


def units(hub: Hub) -> int:
    return int(json.loads((hub.outputs / "units.json").read_text())["files"])


def test_only_what_changed_is_done_again(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_modules(root, 20)
    hub = Hub.at(tmp_path, "batch/source-stats")
    command = ["python3", "measure.py", "--root", str(root)]
    assert "20 done, 0 skipped, 0 failed" in hub.run(command)[1]
    (root / "m0003.py").write_text("class C: pass\n")
    assert "1 done, 19 skipped, 0 failed" in hub.run(command)[1]
    with (hub.outputs / "modules.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert rows[3] == {"module": "m0003.py", "lines": "1", "functions": "0", "classes": "1", "branches": "0"}
    assert rows[4] == {"module": "m0004.py", "lines": "2", "functions": "1", "classes": "0", "branches": "1"}
    assert units(hub) == 21


def test_an_item_that_fails_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_modules(root, 3)
    (root / "broken.py").write_text("def (:\n")
    hub = Hub.at(tmp_path, "batch/source-stats")
    code, printed = hub.run(["python3", "measure.py", "--root", str(root)])
    assert code == 1
    assert "3 done, 0 skipped, 1 failed" in printed
    assert json.loads((hub.outputs / "failures.json").read_text())[0].startswith("broken.py: ")


def test_a_stopped_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    hub = Hub.at(tmp_path, "batch/source-stats")
    process = hub.start(["python3", "measure.py", "--workers", "1"])
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("100/"):
            process.send_signal(signal.SIGTERM)
            break
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped on SIGTERM" in printed
    first = units(hub)
    assert first >= 100
    code, printed = hub.run(["python3", "measure.py"])
    assert code == 0
    # What was in a worker's hands when SIGTERM came was finished, though nobody counted it.
    skipped = int(printed.split(" skipped")[0].rsplit(" ", 1)[1])
    assert skipped >= first
    assert "0 failed" in printed


def test_the_items_of_monte_carlo_are_merged_from_their_own_folders(tmp_path: Path) -> None:
    hub = Hub.at(tmp_path, "batch/monte-carlo")
    for item in ("0", "1", "2"):
        folder = str(hub.outputs / item)
        command = ["python3", "estimate.py", "--points", "2000"]
        assert hub.run(command, HARCHOS_ITEM_INDEX=item, HARCHOS_OUTPUT_DIR=folder) == (0, "")
    code, printed = hub.run(["python3", "estimate.py", "--merge", str(hub.outputs)])
    assert (code, printed.partition(":")[0]) == (0, "3 items")
    assert abs(float(printed.split()[4]) - 3.14) < 0.2
