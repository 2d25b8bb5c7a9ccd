"""The job's output on its way: complete, in order and masked, in little memory, whatever the mailbox does."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from harchos_infra.hub import log_shipper, spool
from harchos_infra.hub.log_shipper import LogShipper
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.masking import Mask
from harchos_infra.hub.patience import Patience
from harchos_infra.hub.series import read_series

MIB = 1 << 20
LINES = 24 * MIB // 64


class Away(Mailbox):
    """A mailbox that is out of reach while `away`."""

    away = False

    def create(self, name: str, data: bytes) -> bool:
        if self.away:
            raise MailboxError("the network is away", transient=True)
        return super().create(name, data)


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Away:
    monkeypatch.setattr(log_shipper, "PERIOD_S", 0.02)
    return Away((tmp_path / "mailbox").as_uri(), "r", "h")


@pytest.fixture
def shipper(mailbox: Away, tmp_path: Path) -> LogShipper:
    return LogShipper(mailbox, Mask(["hunter2-hunter2"]), tmp_path / "output")


def _patience(may_wait: Callable[[float], bool] = lambda lost_s: True) -> Patience:
    return Patience(may_wait, sleep=lambda seconds: time.sleep(0.01))


def _log(mailbox: Mailbox) -> bytes:
    return b"".join(read_series(mailbox, "logs", ".log"))


def _write(shipper: LogShipper, lines: range) -> None:
    out, into = os.pipe()
    reader = shipper.read(out)
    with os.fdopen(into, "wb") as pipe:
        for number in lines:
            pipe.write(b"%063d\n" % number)
    reader.join()


def test_output_that_waits_costs_no_memory_and_no_line(mailbox: Away, shipper: LogShipper) -> None:
    mailbox.away = True
    tracemalloc.start()
    _write(shipper, range(LINES))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < spool.MEMORY_BYTES + 8 * MIB < LINES * 64
    mailbox.away = False
    assert shipper.close(_patience()) is None
    said = [line for line in _log(mailbox).splitlines() if not line.startswith(b"[harchos]")]
    assert said == [b"%063d" % number for number in range(LINES)]


def test_the_log_says_why_output_was_late(mailbox: Away, shipper: LogShipper) -> None:
    mailbox.away = True
    _write(shipper, range(1))
    time.sleep(0.1)
    mailbox.away = False
    shipper.close(_patience())
    assert _log(mailbox).count(b"kept on this machine until the mailbox takes it: the network is away") == 1


def test_a_chunk_that_was_read_is_never_changed(mailbox: Away, shipper: LogShipper) -> None:
    read: dict[str, bytes] = {}
    for step in range(20):
        mailbox.away = step % 3 == 0
        _write(shipper, range(step * 10, step * 10 + 10))
        time.sleep(0.02)
        for entry in mailbox.list("logs"):
            data = mailbox.get(entry.name) or b""
            assert read.setdefault(entry.name, data) == data
    mailbox.away = False
    shipper.close(_patience())
    said = [line for line in _log(mailbox).splitlines() if not line.startswith(b"[harchos]")]
    assert said == [b"%063d" % number for number in range(200)]


def test_what_cannot_be_stored_in_the_end_is_counted(mailbox: Away, shipper: LogShipper) -> None:
    mailbox.away = True
    _write(shipper, range(2))
    assert "bytes of output could not be stored" in (shipper.close(_patience(lambda lost_s: False)) or "")


def test_secrets_are_masked_on_disk_as_well(
    mailbox: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 0)
    shipper = LogShipper(mailbox, Mask(["hunter2-hunter2"]), tmp_path / "output")
    mailbox.away = True
    out, into = os.pipe()
    reader = shipper.read(out)
    os.write(into, b"the password is hunter2-")
    os.write(into, b"hunter2\n")
    os.close(into)
    reader.join()
    waiting = b"".join(path.read_bytes() for path in (tmp_path / "output").iterdir())
    mailbox.away = False
    shipper.close(_patience())
    assert b"the password is" in _log(mailbox) and b"hunter2-hunter2" not in waiting + _log(mailbox)
    assert not (tmp_path / "output").exists()
