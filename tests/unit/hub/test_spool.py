"""Output that waits for the mailbox: in order, whole, and in little memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harchos_infra.hub import spool
from harchos_infra.hub.spool import Spool

MIB = 1 << 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few hundred bytes be a lot."""
    monkeypatch.setattr(spool, "MEMORY_BYTES", 100)
    monkeypatch.setattr(spool, "FILE_BYTES", 300)
    monkeypatch.setattr(spool, "FULL_BYTES", 500)
    monkeypatch.setattr(spool, "_PIECE_BYTES", 20)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("small")
def test_what_goes_in_comes_out_in_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    waiting = Spool(tmp_path / "spool")
    put, taken = b"", b""
    for _ in range(300):
        if chance.random() < 0.6:
            data = chance.randbytes(chance.randrange(1, 90))
            waiting.add(data)
            put += data
        else:
            taken += waiting.take(chance.randrange(1, 400))
        assert len(waiting) == len(put) - len(taken)
    while part := waiting.take(77):
        taken += part
    assert taken == put and waiting.lost == 0
    assert list((tmp_path / "spool").glob("*")) == []


def test_memory_is_bounded_and_the_rest_is_on_disk(tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "spool")
    for _ in range(64):
        waiting.add(b"x" * MIB)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    assert len(waiting) - on_disk <= spool.MEMORY_BYTES
    assert len(waiting.take(100 * MIB)) == 64 * MIB


@pytest.mark.usefixtures("small")
def test_on_a_full_disk_the_oldest_goes_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "DISK_LEFT_BYTES", 1 << 62)
    waiting = Spool(tmp_path / "spool")
    for number in range(100):
        waiting.add(b"%09d\n" % number)
    kept = waiting.take(10_000)
    assert kept.endswith(b"000000099\n")
    assert len(kept) <= spool.FULL_BYTES and len(kept) + waiting.lost == 1000


@pytest.mark.usefixtures("small")
def test_a_disk_that_has_room_again_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Spool(tmp_path / "spool")
    lines = [b"%09d\n" % number for number in range(60)]
    for number, line in enumerate(lines):
        monkeypatch.setattr(spool, "DISK_LEFT_BYTES", 1 << 62 if 20 <= number < 40 else 0)
        waiting.add(line)
    assert waiting.take(10_000) == b"".join(lines) and waiting.lost == 0


def test_what_an_earlier_agent_left_is_not_shipped(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "00000001").write_text("another job's")
    assert Spool(tmp_path / "spool").take(100) == b""
