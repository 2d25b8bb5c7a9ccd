"""A checkpoint goes from one hub's mailbox to the next hub's: within each store and across stores."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harchos_infra.hub.checkpoints import Checkpoints
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.runs.handover import handover
from support.front import Fault
from support.object_stores import KINDS, REMOTE, Store

LARGE_BYTES = 20 << 20
Boxes = Callable[[str, str], tuple[Mailbox, Mailbox]]


@pytest.fixture
def stores() -> dict[str, Store]:
    return {}


@pytest.fixture
def boxes(tmp_path: Path, new_store: Callable[[str], Store], stores: dict[str, Store]) -> Boxes:
    """Return the mailboxes of a hub and of the next, in the kinds of store given."""

    def make(source: str, target: str) -> tuple[Mailbox, Mailbox]:
        def url(kind: str) -> str:
            if kind == "file":
                return (tmp_path / "mailbox").as_uri()
            if kind not in stores:
                stores[kind] = new_store(kind)
            return stores[kind].url

        return Mailbox(url(source), "run-0a1b2c", "run-0a1b2c-h1"), Mailbox(
            url(target), "run-0a1b2c", "run-0a1b2c-h2"
        )

    return make


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    directory = tmp_path / "saved"
    (directory / "rank 0").mkdir(parents=True)
    (directory / "model.pt").write_bytes(os.urandom(LARGE_BYTES))
    (directory / "rank 0" / "rng#1").write_bytes(b"seed")
    (directory / "empty").touch()
    return directory


def _restored(mailbox: Mailbox, directory: Path) -> int | None:
    directory.mkdir()
    return Checkpoints(mailbox, directory).restore(print)


def _same(one: Path, other: Path) -> bool:
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    return files == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file()) and all(
        (one / f).read_bytes() == (other / f).read_bytes() for f in files
    )


PAIRS = [(kind, kind) for kind in KINDS] + [("file", "s3"), ("s3", "gs"), ("gs", "az"), ("az", "file")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_next_hub_restores_what_the_last_one_saved(
    boxes: Boxes, saved: Path, tmp_path: Path, source: str, target: str
) -> None:
    last, following = boxes(source, target)
    Checkpoints(last, saved).upload()
    assert handover(last, following) == 1
    assert _restored(following, tmp_path / "next") == 1
    assert _same(saved, tmp_path / "next")
    assert [e.name for e in following.list()] == [e.name for e in last.list()]


@pytest.mark.parametrize("kind", REMOTE)
def test_within_a_bucket_no_byte_passes_through_here(
    boxes: Boxes, stores: dict[str, Store], saved: Path, kind: str
) -> None:
    last, following = boxes(kind, kind)
    Checkpoints(last, saved).upload()
    asked = stores[kind].front.asked("GET", "model.pt")
    assert handover(last, following) == 1
    assert stores[kind].front.asked("GET", "model.pt") == asked


def test_without_a_checkpoint_there_is_nothing_to_hand_over(boxes: Boxes) -> None:
    last, following = boxes("file", "file")
    assert handover(last, following) is None
    assert following.list() == []


def test_a_second_call_copies_nothing(boxes: Boxes, stores: dict[str, Store], saved: Path) -> None:
    last, following = boxes("s3", "s3")
    Checkpoints(last, saved).upload()
    handover(last, following)
    written = stores["s3"].front.asked("PUT", "h2/")
    assert handover(last, following) == 1
    assert stores["s3"].front.asked("PUT", "h2/") == written


def test_a_checkpoint_that_the_next_hub_made_itself_is_never_put_back(
    boxes: Boxes, saved: Path, tmp_path: Path
) -> None:
    last, following = boxes("file", "file")
    Checkpoints(last, saved).upload()
    handover(last, following)
    directory = tmp_path / "next"
    directory.mkdir()
    own = Checkpoints(following, directory)
    own.restore(print)
    (directory / "model.pt").write_text("further on")
    assert own.upload() == 2
    assert handover(last, following) == 2
    assert _restored(following, tmp_path / "third") == 2
    assert (tmp_path / "third" / "model.pt").read_text() == "further on"


@pytest.mark.parametrize("target", ["file", "gs"])
def test_a_damaged_generation_is_passed_over_for_the_one_before(
    boxes: Boxes, saved: Path, tmp_path: Path, target: str
) -> None:
    last, following = boxes("file", target)
    checkpoints = Checkpoints(last, saved)
    checkpoints.upload()
    model = (saved / "model.pt").read_bytes()
    (saved / "model.pt").write_bytes(os.urandom(LARGE_BYTES + 1))
    assert checkpoints.upload() == 2
    torn = os.urandom(LARGE_BYTES + 1 if target == "gs" else LARGE_BYTES)
    last.put("checkpoints/00000002/model.pt", torn)
    assert handover(last, following) == 1
    assert _restored(following, tmp_path / "next") == 1
    assert (tmp_path / "next" / "model.pt").read_bytes() == model
    assert not following.exists("checkpoints/00000002.json")


@pytest.mark.parametrize(
    ("source", "target"), [("s3", "s3"), ("gs", "gs"), ("az", "az"), ("s3", "az"), ("gs", "file")]
)
def test_an_interrupted_handover_counts_for_nothing_and_is_made_again(
    boxes: Boxes, stores: dict[str, Store], saved: Path, tmp_path: Path, source: str, target: str
) -> None:
    last, following = boxes(source, target)
    Checkpoints(last, saved).upload()
    if target == "file":
        stores[source].front.fail("GET", "model.pt", Fault(status=503), times=99)
    else:
        stores[target].front.fail("PUT", "h2/checkpoints/00000001/rank", Fault(status=503), times=99)
    with pytest.raises(MailboxError):
        handover(last, following)
    assert _restored(following, tmp_path / "too early") is None
    stores[source].front.heal()
    stores.get(target, stores[source]).front.heal()
    assert handover(last, following) == 1
    assert _restored(following, tmp_path / "next") == 1
    assert _same(saved, tmp_path / "next")


def test_a_listing_that_lags_behind_hides_no_checkpoint(
    boxes: Boxes, stores: dict[str, Store], saved: Path, tmp_path: Path
) -> None:
    last, following = boxes("s3", "s3")
    checkpoints = Checkpoints(last, saved)
    checkpoints.upload()
    stores["s3"].front.lag()
    for step in range(2, 6):
        (saved / "model.pt").write_bytes(os.urandom(step))
        assert checkpoints.upload() == step
    assert handover(last, following) == 5
    assert _restored(following, tmp_path / "next") == 5
    assert _same(saved, tmp_path / "next")
