"""A hub whose disk is full for a while makes its job's directories when there is room again."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from harchos_infra.hub import worker
from harchos_infra.hub.directory import Directory, Identity
from harchos_infra.hub.job import JobError
from harchos_infra.hub.worker import Worker


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(worker, "_DISK_PAUSE_S", 0.0)
    monkeypatch.setattr(worker, "Cgroup", lambda hub: _NoCgroup())
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return Worker(Directory(tmp_path), Identity((tmp_path / "mailbox").as_uri(), "r", "r-h1", expires))


class _NoCgroup:
    def create(self) -> None: ...

    def join(self, part: str) -> None: ...


def fails(hub: Worker, monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> None:
    def prepare(*_: Any) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(hub, "_prepare", prepare)


def unpacking(code: int) -> JobError:
    error = JobError("workdir.tar.gz cannot be unpacked")
    error.__cause__ = OSError(code, "")
    return error


def test_it_waits_for_room(hub: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [unpacking(errno.ENOSPC), OSError(errno.EDQUOT, "")]
    fails(hub, monkeypatch, errors)
    hub._prepare_patiently(cast(Any, None), cast(Any, None))
    assert errors == []


def test_but_not_for_what_will_not_change(hub: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(hub, monkeypatch, [unpacking(errno.EACCES)])
    with pytest.raises(JobError):
        hub._prepare_patiently(cast(Any, None), cast(Any, None))


def test_nor_for_ever(hub: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DISK_S", -1.0)
    fails(hub, monkeypatch, [unpacking(errno.ENOSPC)])
    with pytest.raises(JobError):
        hub._prepare_patiently(cast(Any, None), cast(Any, None))
