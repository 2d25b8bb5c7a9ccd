"""`harchos validate`, `schema` and `init` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harchos_infra.share import ready_workloads
from support.documents import document

GOOD = document("type: batch\ncommand: echo done\nruntime: python:3.11\nscaling: {maxNodes: 2}")
BAD = document("type: batch\ncomand: echo\ndeadline: 36")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD, encoding="utf-8")
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD, encoding="utf-8")
    return file


def harchos(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from harchos_infra.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_validate_says_what_is_fine_and_what_has_no_effect(good: Path) -> None:
    done = harchos("validate", good)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{good}: ok (batch, job)"
    assert lines[1].startswith("  no effect: spec.runtime (line 8): ")
    assert lines[2].startswith("  no effect: spec.scaling (line 9): ")


def test_validate_shows_every_error_of_every_file_and_exits_1(good: Path, bad: Path, tmp_path: Path) -> None:
    done = harchos("validate", bad, good, tmp_path / "absent.yaml")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        f"{bad}:7:3: spec.comand: unknown key `comand` (did you mean `command`?)",
        f"{bad}:8:13: spec.deadline: `36` has no unit (write 36h for hours, 36m for minutes; "
        "or a time with its zone, such as 2026-11-24T06:00Z)",
        f"{good}: ok (batch, job)",
        f"{tmp_path}/absent.yaml:1:1: no such file (`harchos init --list` shows templates to start from)",
    ]


def test_validate_as_json_gives_places_that_a_ci_can_use(good: Path, bad: Path) -> None:
    done = harchos("validate", "--format", "json", good, bad)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["schema"] == "harchos.validation/1"
    first, second = report["files"]
    assert (first["valid"], first["name"], first["type"]) == (True, "job", "batch")
    assert first["ignored"][0]["path"] == "spec.runtime"
    assert (second["valid"], second["name"]) == (False, None)
    assert [(e["line"], e["column"], e["path"]) for e in second["errors"]] == [
        (7, 3, "spec.comand"),
        (8, 13, "spec.deadline"),
    ]


def test_schema_prints_a_json_schema(good: Path) -> None:
    done = harchos("schema")
    assert done.returncode == 0
    Draft202012Validator.check_schema(json.loads(done.stdout))


def test_init_lists_every_template_with_what_it_does() -> None:
    done = harchos("init", "--list")
    assert done.returncode == 0
    for file in ready_workloads():
        comment = file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        assert f"{file.parent.name}/{file.stem}" in done.stdout
        assert comment in done.stdout


@pytest.mark.parametrize("name", ["digits", "training/digits"])
def test_init_copies_a_workload_with_the_files_it_needs(tmp_path: Path, name: str) -> None:
    done = harchos("init", name, folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "next: harchos plan digits.yaml"
    copied = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file())
    assert copied == ["digits.yaml", "digits/train.py", "digits/train_nodes.py"]
    assert harchos("validate", tmp_path / "digits.yaml").returncode == 0


def test_init_overwrites_what_was_changed_only_if_told(tmp_path: Path) -> None:
    assert harchos("init", "digits", tmp_path / "new").returncode == 0
    assert harchos("init", "digits-local", tmp_path / "new").returncode == 0
    changed = tmp_path / "new" / "digits" / "train.py"
    changed.write_text("mine", encoding="utf-8")
    refused = harchos("init", "digits", tmp_path / "new")
    assert refused.returncode == 1
    assert f"already there: {changed}" in refused.stderr
    assert changed.read_text(encoding="utf-8") == "mine"
    assert harchos("init", "digits", tmp_path / "new", "--force").returncode == 0
    assert changed.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(("name", "hint"), [("digts", "did you mean 'training/digits'?"), ("zzz", "--list")])
def test_init_of_an_unknown_template_names_the_nearest(tmp_path: Path, name: str, hint: str) -> None:
    refused = harchos("init", name, folder=tmp_path)
    assert refused.returncode == 1
    assert hint in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_into_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    refused = harchos("init", "digits", tmp_path / "taken")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "cannot write" in refused.stderr
