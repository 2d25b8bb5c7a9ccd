"""Commands of a container engine: a client that was killed is started again, one that refuses is heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.hub.engine import Engine, EngineError


def engine(tmp_path: Path, script: str) -> Engine:
    binary = tmp_path / "podman"
    binary.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\n{script}\n")
    binary.chmod(0o755)
    return Engine("podman", str(binary))


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().split())


def test_a_client_that_was_killed_is_started_again(tmp_path: Path) -> None:
    dies_once = f"[ $(wc -l < {tmp_path}/calls) -gt 1 ] || kill -9 $$\necho fine"
    assert engine(tmp_path, dies_once).run("info") == "fine\n"
    assert calls(tmp_path) == 2


def test_one_that_is_always_killed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="podman info: exit -9"):
        engine(tmp_path, "kill -9 $$").run("info")
    assert calls(tmp_path) == 3


def test_one_that_refuses_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="podman info: no space left"):
        engine(tmp_path, "echo no space left >&2; exit 125").run("info")
    assert calls(tmp_path) == 1


def test_one_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="podman info: no answer within"):
        engine(tmp_path, "exec sleep 60").run("info", timeout_s=0.3)
    assert calls(tmp_path) == 1
