"""The mailbox on every store it can lie in: a directory, S3, Google Cloud Storage and Azure Blob."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from harchos_infra.hub.mailbox import Entry, Mailbox, MailboxError
from support.fake_metadata import FakeMetadata
from support.front import Fault
from support.object_stores import ACCOUNT, KINDS, REMOTE, Store

LARGE_BYTES = 20 << 20
RUN, HUB = "train-0a1b2c", "train-0a1b2c-h1"
Quick = Callable[[float], None]


@pytest.fixture(params=KINDS)
def mailbox(request: pytest.FixtureRequest, tmp_path: Path, new_store: Callable[[str], Store]) -> Mailbox:
    url = (tmp_path / "mailbox").as_uri() if request.param == "file" else new_store(request.param).url
    return Mailbox(url, RUN, HUB)


@pytest.fixture(params=REMOTE)
def store(request: pytest.FixtureRequest, new_store: Callable[[str], Store]) -> Store:
    return new_store(request.param)


@pytest.fixture
def box(store: Store) -> Mailbox:
    return Mailbox(store.url, RUN, HUB)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Quick:
    """Let a request be given up after so many seconds."""

    def set_timeouts(seconds: float) -> None:
        monkeypatch.setattr("harchos_infra.hub.mailbox.QUICK_S", seconds)
        monkeypatch.setattr("harchos_infra.hub.mailbox.BULK_S", seconds)

    return set_timeouts


# What every store does


def test_objects_come_back_as_they_were_put(mailbox: Mailbox) -> None:
    mailbox.put("status.json", b"first")
    mailbox.put("status.json", b"second")
    assert mailbox.get("status.json") == b"second"
    assert mailbox.size("status.json") == 6
    mailbox.put("empty", b"")
    assert mailbox.get("empty") == b"" and mailbox.exists("empty")


def test_what_is_not_there_is_none_and_no_error(mailbox: Mailbox, tmp_path: Path) -> None:
    assert mailbox.get("absent") is None and mailbox.get_json("absent") is None
    assert not mailbox.exists("absent") and mailbox.size("absent") is None
    assert not mailbox.get_file("absent", tmp_path / "absent") and not (tmp_path / "absent").exists()
    assert mailbox.list() == [] and mailbox.list("logs") == []
    mailbox.delete("absent")


def test_a_deleted_object_is_gone(mailbox: Mailbox) -> None:
    mailbox.put("secrets.json", b"{}")
    mailbox.delete("secrets.json")
    assert mailbox.get("secrets.json") is None and mailbox.list() == []


def test_list_has_all_pages_sorted_and_keeps_to_the_folder_and_the_hub(mailbox: Mailbox) -> None:
    Mailbox(mailbox.url, RUN, f"{HUB}0").put("logs/00000001.log", b"another hub's")
    names = [f"logs/{n:08}.log" for n in range(20)]
    for name in [*reversed(names), "logsheet", "outputs/a"]:
        mailbox.put(name, b"xy")
    assert mailbox.list("logs") == [Entry(name, 2) for name in names]
    assert [entry.name for entry in mailbox.list()] == [*names, "logsheet", "outputs/a"]


@pytest.mark.parametrize(
    "name", ["a#1", "50% off.txt", "é/ü", "a\nb", "x%2Fy", "~", "a b+c=d", "?a=b&c", "'(x)'"]
)
def test_any_name_comes_back_as_it_was(mailbox: Mailbox, name: str) -> None:
    mailbox.put(f"outputs/{name}", b"data")
    assert mailbox.get(f"outputs/{name}") == b"data"
    assert [entry.name for entry in mailbox.list("outputs")] == [f"outputs/{name}"]
    other = Mailbox(mailbox.url, RUN, "next")
    other.copy(mailbox, f"outputs/{name}", f"outputs/{name}")
    assert other.get(f"outputs/{name}") == b"data"
    mailbox.delete(f"outputs/{name}")
    assert mailbox.list("outputs") == []


def test_of_eight_that_create_an_object_at_once_one_wins(mailbox: Mailbox) -> None:
    start = Barrier(8)

    def race(number: int) -> bool:
        racer = Mailbox(mailbox.url, RUN, HUB)
        racer.exists("lock")
        start.wait()
        return racer.create("lock", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert mailbox.get("lock") == b"%d" % won.index(True)


@pytest.mark.parametrize("size", [0, 1, LARGE_BYTES, 8 << 20])
def test_files_of_any_size_are_copied_in_and_out(mailbox: Mailbox, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(size))
    mailbox.put_file("checkpoints/1/model.pt", source)
    assert mailbox.size("checkpoints/1/model.pt") == size
    assert mailbox.get_file("checkpoints/1/model.pt", target)
    assert target.read_bytes() == source.read_bytes()
    assert b"".join(mailbox.stream("checkpoints/1/model.pt")) == source.read_bytes()


def test_a_stream_that_ends_with_an_error_leaves_no_object(mailbox: Mailbox) -> None:
    def torn() -> object:
        yield os.urandom(LARGE_BYTES)
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        mailbox.put_stream("model.pt", torn)  # type: ignore[arg-type]
    assert mailbox.get("model.pt") is None and mailbox.list() == []


# Faults of the network and of the store


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_store_that_fails_for_a_moment_is_asked_again(store: Store, box: Mailbox, status: int) -> None:
    fault = Fault(status=status, code="SlowDown")
    for method in ("PUT", "GET"):
        store.front.fail(method, "status.json", fault, times=4)
    box.put("status.json", b"here")
    assert box.get("status.json") == b"here"
    assert store.front.asked("PUT", "status.json") == 5 and store.front.asked("GET", "status.json") == 5


def test_a_store_that_goes_on_failing_is_an_error_that_says_so(store: Store, box: Mailbox) -> None:
    store.front.fail("PUT", "status.json", Fault(status=503, code="SlowDown"), times=99)
    with pytest.raises(
        MailboxError, match=rf"cannot write status\.json in {store.url}: .*overloaded"
    ) as caught:
        box.put("status.json", b"here")
    assert caught.value.transient


def test_a_slow_answer_is_waited_for(store: Store, box: Mailbox) -> None:
    store.front.fail("PUT", "status.json", Fault(wait_s=1.5))
    box.put("status.json", b"late")
    assert store.front.asked("PUT", "status.json") == 1 and box.get("status.json") == b"late"


def test_a_request_without_answer_is_given_up_and_made_again(
    store: Store, box: Mailbox, quick: Quick
) -> None:
    quick(0.5)
    store.front.fail("PUT", "status.json", Fault(wait_s=3.0))
    store.front.fail("GET", "status.json", Fault(wait_s=3.0))
    began = time.monotonic()
    box.put("status.json", b"here")
    assert box.get("status.json") == b"here"
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("cut", [0, 1 << 16, 5 << 20])
def test_an_upload_that_is_cut_off_is_never_seen_torn(
    store: Store, box: Mailbox, tmp_path: Path, cut: int
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old" * 1000)
    new.write_bytes(os.urandom(LARGE_BYTES))
    box.put_file("model.pt", old)
    store.front.fail("PUT", "model.pt", Fault(cut_sent=cut), times=99)
    with pytest.raises(MailboxError):
        box.put_file("model.pt", new)
    assert box.get("model.pt") == old.read_bytes()
    store.front.heal()
    box.put_file("model.pt", new)
    assert box.get_file("model.pt", tmp_path / "out") and (tmp_path / "out").read_bytes() == new.read_bytes()


@pytest.mark.parametrize("cut", [0, 1 << 16, 5 << 20])
def test_an_upload_that_is_cut_off_once_is_made_again(
    store: Store, box: Mailbox, tmp_path: Path, cut: int
) -> None:
    source = tmp_path / "in"
    source.write_bytes(os.urandom(LARGE_BYTES))
    store.front.fail("PUT", "model.pt", Fault(cut_sent=cut), times=2)
    box.put_file("model.pt", source)
    assert (
        box.get_file("model.pt", tmp_path / "out") and (tmp_path / "out").read_bytes() == source.read_bytes()
    )


@pytest.mark.parametrize("cut", [0, 1 << 16, 5 << 20])
def test_a_download_that_is_cut_off_goes_on(store: Store, box: Mailbox, tmp_path: Path, cut: int) -> None:
    source = tmp_path / "in"
    source.write_bytes(os.urandom(LARGE_BYTES))
    box.put_file("model.pt", source)
    store.front.fail("GET", "model.pt", Fault(cut_received=cut), times=2)
    assert (
        box.get_file("model.pt", tmp_path / "out") and (tmp_path / "out").read_bytes() == source.read_bytes()
    )


def test_a_file_that_is_replaced_while_it_is_read_comes_whole(
    store: Store, box: Mailbox, tmp_path: Path
) -> None:
    box.put("model.pt", b"a" * LARGE_BYTES)
    chunks = box.stream("model.pt")
    assert set(next(chunks)) == {ord("a")}
    box.put("model.pt", b"b" * LARGE_BYTES)
    with pytest.raises(MailboxError, match="changed while it was read"):
        list(chunks)
    assert box.get_file("model.pt", tmp_path / "out") and set((tmp_path / "out").read_bytes()) == {ord("b")}


def test_the_answer_to_a_write_that_is_lost_does_no_harm(store: Store, box: Mailbox) -> None:
    store.front.fail("PUT", "status.json", Fault(lose_answer=True), times=2)
    box.put("status.json", b"written twice")
    assert box.get("status.json") == b"written twice"
    store.front.fail("PUT", "lock", Fault(lose_answer=True))
    with pytest.raises(MailboxError) as caught:
        box.create("lock", b"mine")
    assert caught.value.transient
    assert box.get("lock") == b"mine" and not box.create("lock", b"mine")


@pytest.mark.parametrize("clock_s", [-3600, 3600])
def test_a_store_whose_clock_is_an_hour_off_is_as_good(
    store: Store, box: Mailbox, tmp_path: Path, clock_s: int
) -> None:
    store.front.clock_s = clock_s
    source = tmp_path / "in"
    source.write_bytes(os.urandom(LARGE_BYTES))
    box.put_file("model.pt", source)
    assert (
        box.get_file("model.pt", tmp_path / "out") and (tmp_path / "out").read_bytes() == source.read_bytes()
    )
    assert box.create("lock", b"") and not box.create("lock", b"")
    assert [entry.name for entry in box.list()] == ["lock", "model.pt"]


def test_a_listing_may_lag_behind_what_can_be_read(store: Store, box: Mailbox) -> None:
    box.put("logs/00000001.log", b"one")
    assert len(box.list()) == 1
    store.front.lag()
    box.put("logs/00000002.log", b"two")
    box.delete("logs/00000001.log")
    assert [entry.name for entry in box.list("logs")] == ["logs/00000001.log"], "the fake does not lag"
    assert box.get("logs/00000002.log") == b"two" and box.get("logs/00000001.log") is None
    store.front.catch_up()
    assert [entry.name for entry in box.list("logs")] == ["logs/00000002.log"]


@pytest.mark.parametrize("down", ["refused", "silent"])
def test_a_store_out_of_reach_is_an_error_that_may_pass(
    store: Store, box: Mailbox, quick: Quick, down: str
) -> None:
    quick(0.3)
    box.put("a", b"1")
    store.front.down = down
    with pytest.raises(MailboxError, match="does not answer; check the network") as caught:
        box.get("a")
    assert caught.value.transient
    store.front.heal()
    assert box.get("a") == b"1"


# What is wrong for good, and what to do about it


def test_a_bucket_that_does_not_exist_is_named(store: Store) -> None:
    box = Mailbox(store.url.replace(store.bucket, "no-such-bucket"), RUN, HUB)
    for action in (
        lambda: box.put("a", b""),
        lambda: box.get("a"),
        lambda: box.list(),
        lambda: box.create("a", b""),
    ):
        with pytest.raises(MailboxError, match=r"there is no .*no-such-bucket.*create it") as caught:
            action()
        assert not caught.value.transient and caught.value.hint


REFUSALS = [
    (
        403,
        "AccessDenied",
        "access to .* is denied",
        {"s3": "s3:PutObject", "gs": "roles/storage.objectUser", "az": "Storage Blob Data"},
    ),
    (
        403,
        "AuthorizationPermissionMismatch",
        "access to .* is denied",
        {"az": "Storage Blob Data Contributor"},
    ),
    (400, "ExpiredToken", "have expired", {"s3": "AWS_PROFILE", "gs": "gcloud auth", "az": "az login"}),
    (
        401,
        "AuthenticationRequired",
        "missing or have expired",
        {"s3": "AWS_PROFILE", "gs": "gcloud auth", "az": "az login"},
    ),
    (
        403,
        "SignatureDoesNotMatch",
        "does not know these credentials",
        {"s3": "AWS_ACCESS_KEY_ID", "gs": "gcloud", "az": "az login"},
    ),
    (
        403,
        "RequestTimeTooSkewed",
        "clock is wrong",
        {"s3": "timedatectl", "gs": "timedatectl", "az": "timedatectl"},
    ),
]


@pytest.mark.parametrize(
    ("status", "code", "what", "hints"), REFUSALS, ids=[code for _, code, _, _ in REFUSALS]
)
def test_a_refusal_says_what_where_and_what_next(
    store: Store, box: Mailbox, status: int, code: str, what: str, hints: dict[str, str]
) -> None:
    store.front.fail("PUT", "status.json", Fault(status=status, code=code), times=9)
    with pytest.raises(MailboxError, match=what) as caught:
        box.put("status.json", b"")
    assert store.url in str(caught.value) and store.bucket in caught.value.what
    assert not caught.value.transient and store.front.asked("PUT", "status.json") == 1
    assert caught.value.hint and hints.get(store.kind, "") in caught.value.hint


def test_a_bucket_in_another_region_is_found(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("s3")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store.service.make_bucket(f"{store.bucket}-eu", region="eu-central-1")
    store.front.fail("PUT", "status.json", Fault(status=301, code="PermanentRedirect"))
    box = Mailbox(f"s3://{store.bucket}-eu", RUN, HUB)
    box.put("status.json", b"far away")
    assert box.get("status.json") == b"far away"
    assert [scope.split("/")[2] for scope in store.front.scopes("status.json")] == [
        "us-east-1",
        "eu-central-1",
        "eu-central-1",
    ]


def test_a_bucket_in_a_region_that_nobody_knows_is_an_error(new_store: Callable[[str], Store]) -> None:
    store = new_store("s3")
    store.front.fail("PUT", "status.json", Fault(status=301, code="PermanentRedirect"), times=9)
    store.front.fail("HEAD", "", Fault(status=403), times=9)
    with pytest.raises(MailboxError, match=r"is in another region.*set AWS_REGION"):
        Mailbox(store.url, RUN, HUB).put("status.json", b"")


# Credentials


def _machine(monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path) -> None:
    """Leave nothing in the environment but the store's address."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_s3_takes_the_role_of_the_instance(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = new_store("s3")
    _machine(monkeypatch, store, tmp_path)
    with FakeMetadata("aws") as metadata:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", metadata.url)
        Mailbox(store.url, RUN, HUB).put("a", b"1")
        assert metadata.asked("security-credentials") and metadata.asked("api/token")
    assert store.front.scopes("/a")[0].startswith("ASIAFAKE/")


def test_s3_takes_a_profile_of_the_user(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = new_store("s3")
    _machine(monkeypatch, store, tmp_path)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    Mailbox(store.url, RUN, HUB).put("a", b"1")
    assert store.front.scopes("/a")[0].startswith("AKIAPROFILE/")


def test_google_takes_the_service_account_of_the_instance(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = new_store("gs")
    _machine(monkeypatch, store, tmp_path)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_BASE_URL", store.front.url)
    assert store.service.gcs
    with FakeMetadata("gcp") as metadata:
        monkeypatch.setenv("GCE_METADATA_HOST", metadata.url.removeprefix("http://"))
        monkeypatch.setattr(store.service.gcs, "token", metadata.access_token)
        box = Mailbox(store.url, RUN, HUB)
        box.put("a", b"1")
        assert box.get("a") == b"1"
        monkeypatch.setattr(store.service.gcs, "token", "another")
        with pytest.raises(MailboxError, match="missing or have expired"):
            box.get("a")


def test_azure_takes_the_identity_of_the_instance(
    new_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = new_store("az")
    _machine(monkeypatch, store, tmp_path)
    with FakeMetadata("azure") as metadata:
        monkeypatch.setenv("AZURE_MSI_ENDPOINT", f"{metadata.url}/metadata/identity/oauth2/token")
        with pytest.raises(MailboxError) as refused:  # Azurite knows no identities, and says so
            Mailbox(store.url, RUN, HUB).put("a", b"1")
        assert metadata.asked("resource=https") == 1
    assert not refused.value.transient


def test_a_machine_without_any_identity_is_told_how_to_get_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, store, tmp_path)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_BASE_URL", store.front.url)
    for name in ("AWS_METADATA_ENDPOINT", "AZURE_MSI_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    with pytest.raises(MailboxError, match=r"no credentials for .* were found") as caught:
        Mailbox(store.url, RUN, HUB).get("a")
    assert caught.value.hint


# URLs


def test_an_azure_url_names_account_and_container(new_store: Callable[[str], Store]) -> None:
    store = new_store("az")
    assert store.url == f"az://{ACCOUNT}/{store.bucket}/team"
    Mailbox(store.url, RUN, HUB).put("a", b"1")
    assert store.front.requests[-1][1] == f"/{ACCOUNT}/{store.bucket}/team/{RUN}/{HUB}/a"


def test_a_url_without_prefix_is_the_bucket_itself(store: Store) -> None:
    box = Mailbox(store.url.removesuffix("/team"), RUN, HUB)
    box.put("a", b"1")
    assert [entry.name for entry in box.list()] == ["a"]
    assert Mailbox(f"{store.url.removesuffix('/team')}//", RUN, HUB).get("a") == b"1"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("az://account", "names no container"),
        ("s3:///prefix", "is not a URL of an object store"),
        ("https://bucket.s3.amazonaws.com", "is not a URL of an object store"),
        ("mailbox", "is not a URL of an object store"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str, what: str) -> None:
    with pytest.raises(MailboxError, match=what):
        Mailbox(url, RUN, HUB).get("a")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://b/x", "s3://b/y", True),
        ("s3://b", "s3://c", False),
        ("s3://b", "gs://b", False),
        ("az://a/c/x", "az://a/c", True),
        ("az://a/c", "az://b/c", False),
        ("file:///m", "file:///m", True),
    ],
)
def test_mailboxes_in_one_bucket_are_in_one_store(one: str, other: str, same: bool) -> None:
    assert Mailbox(one, RUN, "a").same_store(Mailbox(other, RUN, "b")) is same
