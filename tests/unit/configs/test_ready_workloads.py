"""Every ready workload loads without a warning, says what it is for, and names files that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.share import ready_workloads, share_directory
from harchos_infra.workload.loader import load

CONFIGS = share_directory("configs")
READY = ready_workloads()


@pytest.fixture(params=READY, ids=[str(path.relative_to(CONFIGS)) for path in READY])
def ready(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_type_of_workload_has_one() -> None:
    types = {load(path).workload.spec.type for path in READY}
    assert types == {"training", "inference", "pipeline", "batch", "dev"}


def test_its_first_line_says_what_it_is_for(ready: Path) -> None:
    first = ready.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert 20 < len(first) < 110


def test_each_of_its_fields_has_an_effect(ready: Path) -> None:
    loaded = load(ready)
    assert loaded.ignored == ()
    assert loaded.warnings == ()
    assert loaded.workload.metadata.name == ready.stem


def test_its_hub_ends_by_itself(ready: Path) -> None:
    assert load(ready).workload.spec.ttl_h


def test_its_folder_travels_with_it_and_holds_the_script_it_starts(ready: Path) -> None:
    spec = load(ready).workload.spec
    folder = ready.parent / str(spec.workdir)
    script = next(word for word in str(spec.command).split() if word.endswith(".py"))
    assert (folder / script).is_file()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 200_000
