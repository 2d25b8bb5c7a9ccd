"""Calls over real sockets: how often, how long, and what is never said."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from harchos_infra.grid.sources import http as module
from harchos_infra.grid.sources.http import CALL_S, OPEN_AFTER, OPEN_S, PLAN_S, TRIES, Http, retry_after_s
from harchos_infra.grid.sources.source import SourceError
from support.fake_carbon import FakeCarbon, gives, limits, resets, says, slow


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def http(time: Time) -> Http:
    return Http(clock=time.clock, sleep=time.sleep)


def ask(http: Http, fake: FakeCarbon, path: str = "gb/x", **more: object) -> object:
    return http.get(fake.url(path), **more).json()  # type: ignore[arg-type]


def test_retry_after_is_waited_for_to_the_second(http: Http, fake: FakeCarbon, time: Time) -> None:
    fake.fail("gb/x", limits("7"))
    fake.fail("gb/x", gives({"ok": 1}))
    assert ask(http, fake) == {"ok": 1}
    assert time.slept == [7.0]


def test_without_it_each_wait_is_twice_the_last(http: Http, fake: FakeCarbon, time: Time) -> None:
    fake.fail("gb/x", says(503), 3)
    fake.fail("gb/x", gives({"ok": 1}))
    assert ask(http, fake) == {"ok": 1}
    assert len(time.slept) == TRIES - 1
    assert all(least <= s <= 1.25 * least for least, s in zip((0.5, 1, 2), time.slept, strict=True))


def test_a_wait_longer_than_the_call_may_take_is_not_begun(http: Http, fake: FakeCarbon, time: Time) -> None:
    fake.fail("gb/x", limits(str(CALL_S + 1)))
    fake.fail("gb/x", limits("26"))
    with pytest.raises(SourceError, match="left alone for 26 s"):
        ask(http, fake)
    assert sum(time.slept) <= CALL_S


def test_while_a_host_asks_for_quiet_no_other_call_breaks_it(
    http: Http, fake: FakeCarbon, time: Time
) -> None:
    fake.fail("gb/x", limits("600"))
    with pytest.raises(SourceError, match="600 s"):
        ask(http, fake)
    with pytest.raises(SourceError, match="time for calls"):
        ask(http, fake, "gb/y")
    assert len(fake.requests) == 1


def test_a_broken_host_is_given_up_and_tried_again_later(http: Http, fake: FakeCarbon, time: Time) -> None:
    fake.fail("gb/x", says(500), 99)
    for _ in range(3):
        with pytest.raises(SourceError):
            ask(http, fake)
    assert len(fake.requests) == OPEN_AFTER
    with pytest.raises(SourceError, match=f"its host failed {OPEN_AFTER} times, last it answered 500"):
        ask(http, fake, "gb/y")
    time.now += OPEN_S
    fake.fail("gb/y", gives({"ok": 1}))
    assert ask(http, fake, "gb/y") == {"ok": 1}


def test_limits_do_not_count_as_broken(http: Http, fake: FakeCarbon) -> None:
    fake.fail("gb/x", limits(), 3 * TRIES)
    for _ in range(3):
        with pytest.raises(SourceError, match="limits its calls"):
            ask(http, fake)
    assert len(fake.requests) == 3 * TRIES


def test_all_calls_of_a_plan_share_one_deadline(http: Http, fake: FakeCarbon, time: Time) -> None:
    fake.fail("gb/x", gives({"ok": 1}), 2)
    ask(http, fake)
    time.now = PLAN_S - 1
    ask(http, fake)
    time.now = PLAN_S
    with pytest.raises(SourceError, match="the time for calls of a plan is over"):
        ask(http, fake)


@pytest.mark.parametrize("drip", [False, True])
def test_a_slow_answer_is_cut_off(drip: bool, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRY_S", 0.4)
    fake.fail("gb/x", slow(5, drip=drip), 2)
    fake.fail("gb/x", gives({"ok": 1}), 2)
    assert ask(Http(sleep=lambda _: None), fake) == {"ok": 1}
    assert len(fake.requests) >= 3
    assert (0 < fake.dripped < 100) == drip


def test_a_host_that_is_not_there_is_named(http: Http, free_address: str) -> None:
    with pytest.raises(SourceError, match=r"127.0.0.1:\d+/x cannot be reached"):
        http.get(f"{free_address}/x", [("key", "hidden")])


@pytest.fixture
def free_address() -> str:
    with FakeCarbon() as server:
        address = server.url("")
    return address.rstrip("/")


def test_an_answer_too_long_to_be_one_is_refused(
    http: Http, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    fake.fail("gb/x", says(200, "x" * (2 << 20)))
    with pytest.raises(SourceError, match="more than 1 MiB"):
        ask(http, fake)


def test_a_redirect_is_not_followed_with_a_key(http: Http, fake: FakeCarbon) -> None:
    fake.fail("gb/x", says(302, "", Location=fake.url("gb/elsewhere")))
    with pytest.raises(SourceError, match="302: it has moved"):
        ask(http, fake, headers={"auth-token": "hidden"})
    assert len(fake.requests) == 1


@pytest.mark.parametrize("fault", [resets, says(401, "no: s3cret%2Fkey, s3cret/key"), says(500), limits()])
def test_a_key_is_in_no_error_and_no_log(
    fault: object, http: Http, fake: FakeCarbon, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.keep_secret("s3cret/key")
    fake.fail("gb/x", fault, 9)  # type: ignore[arg-type]
    said = ""
    try:
        answer = http.get(fake.url("gb/x"), [("api_key", "s3cret/key")], headers={"auth-token": "s3cret/key"})
        said = answer.said + answer.place
    except SourceError as error:
        said = str(error)
    assert fake.requests[0][1] == {"api_key": "s3cret/key"}
    for text in (said, caplog.text):
        assert "s3cret" not in text


def test_words_of_a_server_are_shown_on_one_line_without_control_characters(
    http: Http, fake: FakeCarbon
) -> None:
    fake.fail("gb/x", says(404, "gone\n\x1b[2J\x07 for\tgood " + "x" * 999))
    said = http.get(fake.url("gb/x")).said
    assert said.startswith("gone [2J for good xxx")
    assert len(said) <= 160


def test_one_client_serves_many_threads(fake: FakeCarbon) -> None:
    http = Http()
    fake.fail("gb/x", gives({"ok": 1}), 40)
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: ask(http, fake), range(40))] == [{"ok": 1}] * 40


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert retry_after_s(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after_s(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert retry_after_s("12") == 12
    assert retry_after_s("soon") is None
    assert retry_after_s(None) is None
