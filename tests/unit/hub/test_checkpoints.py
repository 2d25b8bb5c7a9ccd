"""Checkpoints: a generation is valid with its manifest and the files that it names, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harchos_infra.hub.checkpoints import Checkpoints
from harchos_infra.hub.mailbox import Mailbox


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox((tmp_path / "mailbox").as_uri(), "r", "h")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    directory = tmp_path / "saved"
    (directory / "rank0").mkdir(parents=True)
    (directory / "model.pt").write_text("weights 1")
    (directory / "rank0" / "rng").write_text("seed")
    return directory


def _restore(mailbox: Mailbox, directory: Path) -> tuple[int | None, list[str]]:
    directory.mkdir()
    said: list[str] = []
    return Checkpoints(mailbox, directory).restore(said.append), said


def test_what_was_uploaded_is_restored(mailbox: Mailbox, saved: Path, tmp_path: Path) -> None:
    assert Checkpoints(mailbox, saved).upload() == 1
    assert _restore(mailbox, tmp_path / "next") == (1, [])
    assert (tmp_path / "next" / "model.pt").read_text() == "weights 1"
    assert (tmp_path / "next" / "rank0" / "rng").read_text() == "seed"


def test_without_a_manifest_nothing_is_restored(mailbox: Mailbox, saved: Path, tmp_path: Path) -> None:
    Checkpoints(mailbox, saved).upload()
    mailbox.delete("checkpoints/00000001.json")
    assert _restore(mailbox, tmp_path / "next") == (None, [])
    assert list((tmp_path / "next").iterdir()) == []


@pytest.mark.parametrize("torn", [b"weights", b"weights 2 and more"])
def test_a_torn_generation_is_passed_over_for_the_one_before(
    mailbox: Mailbox, saved: Path, tmp_path: Path, torn: bytes
) -> None:
    checkpoints = Checkpoints(mailbox, saved)
    checkpoints.upload()
    (saved / "model.pt").write_text("weights 2")
    assert checkpoints.upload() == 2
    mailbox.put("checkpoints/00000002/model.pt", torn)
    restored, said = _restore(mailbox, tmp_path / "next")
    assert restored == 1 and "not what its manifest says" in said[0]
    assert (tmp_path / "next" / "model.pt").read_text() == "weights 1"


def test_a_torn_only_generation_leaves_an_empty_directory(
    mailbox: Mailbox, saved: Path, tmp_path: Path
) -> None:
    Checkpoints(mailbox, saved).upload()
    mailbox.delete("checkpoints/00000001/rank0/rng")
    restored, said = _restore(mailbox, tmp_path / "next")
    assert restored is None and "is missing" in said[0]
    assert list((tmp_path / "next").iterdir()) == []


def test_a_manifest_that_leads_out_of_the_directory_is_not_followed(mailbox: Mailbox, tmp_path: Path) -> None:
    files = [{"path": "../escaped", "bytes": 0, "sha256": ""}]
    mailbox.put_json("checkpoints/00000001.json", {"schema": "harchos.checkpoint/1", "files": files})
    restored, said = _restore(mailbox, tmp_path / "next")
    assert restored is None and "leads out" in said[0]
    assert not (tmp_path / "escaped").exists()


def test_an_unchanged_directory_is_not_uploaded_again_and_two_generations_are_kept(
    mailbox: Mailbox, saved: Path
) -> None:
    checkpoints = Checkpoints(mailbox, saved)
    assert (checkpoints.upload(), checkpoints.upload()) == (1, None)
    for number in (2, 3):
        (saved / "model.pt").write_text(f"weights {'x' * number}")
        assert checkpoints.upload() == number
    kept = {entry.name.split("/")[1] for entry in mailbox.list("checkpoints")}
    assert kept == {"00000002", "00000002.json", "00000003", "00000003.json"}


def test_after_a_restore_the_numbers_go_on(mailbox: Mailbox, saved: Path, tmp_path: Path) -> None:
    Checkpoints(mailbox, saved).upload()
    directory = tmp_path / "next"
    directory.mkdir()
    checkpoints = Checkpoints(mailbox, directory)
    checkpoints.restore(print)
    assert checkpoints.upload() is None
    (directory / "model.pt").write_text("weights 22")
    assert checkpoints.upload() == 2


def test_an_empty_directory_is_no_checkpoint(mailbox: Mailbox, tmp_path: Path) -> None:
    assert Checkpoints(mailbox, tmp_path / "absent").upload() is None
