"""The replay as a pytest fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.schema_replay.replay import Replay


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Replay the three providers to every Terraform that this process starts, however it does."""
    with Replay() as replay:
        for name, value in replay.environment.items():
            monkeypatch.setenv(name, value)
        yield replay
