"""A terminal that closes or a pipe that breaks ends what is printed, never the care for the hub."""

from __future__ import annotations

import os
import subprocess

from tests.e2e.conftest import HARCHOS, Road


def test_a_run_whose_output_nobody_reads_is_driven_to_its_end(road: Road) -> None:
    file = road.workload("for i in 1 2 3; do echo line; sleep 1; done; echo x > $HARCHOS_OUTPUT_DIR/x")
    reading, writing = os.pipe()
    apply = subprocess.Popen(
        [HARCHOS, "apply", file, "--yes"],
        env=road.environ(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    _, err = apply.communicate(timeout=90)
    assert apply.returncode == 0, err
    assert "no longer printed here" in err
    row = road.run_row()
    assert (row["phase"], row["outcome"]) == ("done", "succeeded")
    assert (road.home / "runs" / row["run"] / "outputs" / "x").exists()
    assert road.left() == []
