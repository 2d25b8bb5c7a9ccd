"""In a rehearsal work goes from stand-in to stand-in as fast as between the regions that they stand for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.catalog import Catalog
from harchos_infra.hub.checkpoints import Checkpoints
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.runs.bandwidth import Link, link
from harchos_infra.runs.handover import handover

WEST, LONDON, HERE = ("aws", "us-west-1"), ("aws", "eu-west-2"), ("local", "local")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))


def place(of: tuple[str, str]) -> dict[str, str]:
    return {"provider": of[0], "region": of[1]}


def between(here: tuple[str, str], there: tuple[str, str], **run: Any) -> Link | None:
    return link({"rehearsal": True, "speed": 600.0, **run}, place(here), place(there))


def test_a_link_is_as_fast_as_was_measured_between_its_regions() -> None:
    catalog = Catalog.builtin()
    measured = catalog.throughput_gbps(catalog.regions[WEST], catalog.regions[LONDON])
    found = between(WEST, LONDON)
    assert found is not None
    assert found.gbps == measured


@pytest.mark.parametrize(("here", "there"), [(WEST, WEST), (WEST, HERE), (HERE, WEST)])
def test_within_a_region_and_from_or_to_this_machine_nothing_is_slowed(
    here: tuple[str, str], there: tuple[str, str]
) -> None:
    assert between(here, there) is None


def test_a_real_run_takes_the_time_that_its_stores_take() -> None:
    assert between(WEST, LONDON, rehearsal=False) is None


def test_bytes_take_their_time_by_the_clock_of_the_rehearsal() -> None:
    slow, begun = Link(gbps=0.008, speed=10.0), time.monotonic()
    for _ in range(3):
        slow.carry(1_000_000)
    assert time.monotonic() - begun >= 0.3, "3 MB at 1 MB/s, ten times as fast"


def test_every_byte_of_a_checkpoint_is_carried(tmp_path: Path) -> None:
    url, carried = (tmp_path / "mailbox").as_uri(), list[int]()
    first, second = Mailbox(url, "run-1", "run-1-h1"), Mailbox(url, "run-1", "run-1-h2")
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "model").write_bytes(b"x" * 1000)
    (saved / "rng").write_bytes(b"x" * 24)
    Checkpoints(first, saved).upload()
    assert handover(first, second, carried.append) == 1
    assert sorted(carried) == [24, 1000]
    assert handover(first, second, carried.append) == 1
    assert len(carried) == 2, "what is there already is not brought again"
