"""A handful of trials under seeded faults, at least one of each way; `make chaos` does hundreds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS, SEED = 8, 1749


def test_runs_survive_faults_with_the_right_result_and_leave_and_repeat_nothing() -> None:
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "scripts" / "chaos.py"),
            *("--runs", str(RUNS), "--seed", str(SEED), "--parallel", "4"),
        ],
        env=os.environ | {"HARCHOS_DATABASE_URL": ""},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUNS}/{RUNS} runs finished" in done.stdout
    assert "0 wrong, 0 leaks, 0 duplicates" in done.stdout
