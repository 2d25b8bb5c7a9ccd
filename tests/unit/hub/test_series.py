"""Numbered objects: each written once, in order, whatever listings show and whichever answers are lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.hub.mailbox import Entry, Mailbox, MailboxError
from harchos_infra.hub.series import Series, read_series


class Lossy(Mailbox):
    """A mailbox that loses answers, and whose listings stand still."""

    losing = 0
    listed: tuple[Entry, ...] | None = None

    def create(self, name: str, data: bytes) -> bool:
        done = super().create(name, data)
        if self.losing:
            self.losing -= 1
            raise MailboxError("the answer was lost", transient=True)
        return done

    def list(self, prefix: str = "") -> list[Entry]:
        return super().list(prefix) if self.listed is None else [*self.listed]


@pytest.fixture
def mailbox(tmp_path: Path) -> Lossy:
    return Lossy((tmp_path / "mailbox").as_uri(), "r", "h")


def _all(mailbox: Mailbox) -> list[bytes]:
    return list(read_series(mailbox, "logs", ".log"))


def test_objects_are_numbered_in_order(mailbox: Lossy) -> None:
    series = Series(mailbox, "logs", ".log")
    for data in (b"a", b"b", b"b"):
        series.append(data)
    assert _all(mailbox) == [b"a", b"b", b"b"]
    assert list(read_series(mailbox, "logs", ".log", first=3)) == [b"b"]
    assert mailbox.list("logs")[-1].name == "logs/00000003.log"


def test_an_answer_that_is_lost_makes_no_second_object(mailbox: Lossy) -> None:
    series = Series(mailbox, "logs", ".log")
    mailbox.losing = 2
    for _ in range(2):
        with pytest.raises(MailboxError):
            series.append(b"a")
    series.append(b"a")
    series.append(b"b")
    assert _all(mailbox) == [b"a", b"b"]


def test_a_later_writer_goes_on_behind_what_no_listing_shows(mailbox: Lossy) -> None:
    first = Series(mailbox, "logs", ".log")
    first.append(b"1")
    mailbox.listed = tuple(mailbox.list("logs"))
    for data in (b"2", b"3"):
        first.append(data)
    Series(mailbox, "logs", ".log").append(b"4")
    assert _all(mailbox) == [b"1", b"2", b"3", b"4"]


def test_a_number_that_another_took_meanwhile_is_never_overwritten(mailbox: Lossy) -> None:
    one, other = Series(mailbox, "logs", ".log"), Series(mailbox, "logs", ".log")
    one.append(b"one")
    other.append(b"other")
    one.append(b"one again")
    assert _all(mailbox) == [b"one", b"other", b"one again"]
