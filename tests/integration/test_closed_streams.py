"""Standard output and error as callers leave them: closed, full, a pipe nobody reads, not Unicode."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HARCHOS = Path(sys.executable).with_name("harchos")
DIGITS = Path(__file__).parents[2] / "configs" / "training" / "digits.yaml"
TALKATIVE = [("plan", DIGITS), ("carbon", "DE"), ("schema",), ("regions",)]


def harchos(*arguments: str | Path, redirect: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'"$0" "$@" {redirect}', HARCHOS, *map(str, arguments)],
        env=os.environ | environ,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", TALKATIVE, ids=lambda a: a[0])
@pytest.mark.parametrize("redirect", ["| true; exit ${PIPESTATUS[0]}", ">&-", ">&- 2>&-"])
def test_a_reader_that_is_gone_is_no_error(
    arguments: tuple[str | Path, ...], redirect: str, tmp_path: Path
) -> None:
    done = harchos(*arguments, redirect=redirect, HARCHOS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    done = harchos("schema", redirect=">/dev/full", HARCHOS_HOME=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr


def test_an_output_that_is_not_unicode_gets_what_it_can_show(tmp_path: Path) -> None:
    done = harchos("carbon", "DE", redirect="", HARCHOS_HOME=str(tmp_path), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.startswith("zone DE")) == (0, True), done.stderr
