"""The mailbox: named objects of one hub in an object store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harchos_infra.hub.mailbox import Entry, Mailbox, MailboxError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mail box"


@pytest.fixture
def mailbox(root: Path) -> Mailbox:
    return Mailbox(root.as_uri(), "run-abc", "run-abc-h0")


def test_objects_lie_under_run_and_hub(mailbox: Mailbox, root: Path) -> None:
    mailbox.put("logs/00000001.log", b"hello")
    assert (root / "run-abc" / "run-abc-h0" / "logs" / "00000001.log").read_bytes() == b"hello"
    assert mailbox.get("logs/00000001.log") == b"hello"


def test_what_is_not_there_is_none_and_no_error(mailbox: Mailbox) -> None:
    assert mailbox.get("status.json") is None
    assert mailbox.get_json("status.json") is None
    assert not mailbox.exists("status.json")
    assert mailbox.list() == [] and mailbox.list("logs") == []
    mailbox.delete("status.json")


def test_create_succeeds_once(mailbox: Mailbox) -> None:
    assert mailbox.create("lock", b"first")
    assert not mailbox.create("lock", b"second")
    assert mailbox.get("lock") == b"first"


def test_list_is_sorted_and_keeps_to_the_folder_and_the_hub(mailbox: Mailbox, root: Path) -> None:
    Mailbox(root.as_uri(), "run-abc", "run-abc-h01").put("logs/9.log", b"another hub's")
    for name in ("logs/2.log", "logs/1.log", "logsheet", "outputs/a"):
        mailbox.put(name, b"x")
    assert mailbox.list("logs") == [Entry("logs/1.log", 1), Entry("logs/2.log", 1)]
    assert [entry.name for entry in mailbox.list()] == ["logs/1.log", "logs/2.log", "logsheet", "outputs/a"]


@pytest.mark.parametrize("name", ["a#1", "50% off.txt", "é/ü", "a\nb", "x%2Fy", "~", "a b+c=d"])
def test_any_file_name_comes_back_as_it_was(mailbox: Mailbox, name: str) -> None:
    mailbox.put(f"outputs/{name}", b"data")
    assert mailbox.get(f"outputs/{name}") == b"data"
    assert [entry.name for entry in mailbox.list("outputs")] == [f"outputs/{name}"]


@pytest.mark.parametrize("name", ["../other", "a/../b", "a//b", "", "/abs"])
def test_a_name_that_leads_elsewhere_is_refused(mailbox: Mailbox, name: str) -> None:
    with pytest.raises(MailboxError):
        mailbox.put(name, b"")


def test_files_are_copied_in_and_out(mailbox: Mailbox, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(6 << 20))
    mailbox.put_file("checkpoints/1/model.pt", source)
    assert mailbox.get_file("checkpoints/1/model.pt", target)
    assert target.read_bytes() == source.read_bytes()
    assert not mailbox.get_file("checkpoints/1/absent", tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_an_unreachable_mailbox_is_an_error_that_names_it(mailbox: Mailbox, root: Path) -> None:
    mailbox.put("a", b"")
    (root / "run-abc" / "run-abc-h0" / "a").unlink()
    (root / "run-abc" / "run-abc-h0").rmdir()
    (root / "run-abc" / "run-abc-h0").write_text("in the way")
    with pytest.raises(MailboxError, match=r"cannot write status\.json in file://"):
        mailbox.put_json("status.json", {})


def test_json_that_is_torn_is_an_error(mailbox: Mailbox) -> None:
    mailbox.put("job.json", b'{"schema": ')
    with pytest.raises(MailboxError, match="not JSON"):
        mailbox.get_json("job.json")


@pytest.mark.parametrize("url", ["/srv/mailbox", "file://host/srv"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(MailboxError):
        Mailbox(url, "r", "h").get("a")
