"""The fake server at a standing time, and signals that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harchos_infra.grid.sources.cache import Cache
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.live import LiveSignal
from support.fake_carbon import FakeCarbon
from support.live import Clock, LiveOf, source


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeCarbon]:
    with FakeCarbon(clock) as server:
        yield server


@pytest.fixture
def live(fake: FakeCarbon, clock: Clock, tmp_path: Path) -> LiveOf:
    """Return a signal of a source, new as of another process, over one cache; no wait takes real time."""

    def build(name: str, *, http: Http | None = None) -> LiveSignal:
        return LiveSignal(source(name, fake, http), Cache(tmp_path / "carbon", name), clock=clock)

    return build
