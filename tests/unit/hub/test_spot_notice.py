"""The spot notice of each cloud, from a metadata service on a real socket."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from harchos_infra.hub.ending import Endings
from harchos_infra.hub.spot_notice import Notice, SpotNotice
from harchos_infra.hub.ttl import Ttl
from support.fake_metadata import FakeMetadata

Machine = Callable[[str], tuple[FakeMetadata, SpotNotice]]
PATIENCE_S = 20.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Return a machine's metadata service and what looks at it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with ExitStack() as stack:

        def start(cloud: str) -> tuple[FakeMetadata, SpotNotice]:
            fake = stack.enter_context(FakeMetadata(cloud))
            monkeypatch.setenv("HARCHOS_METADATA", fake.url)
            spot = SpotNotice(cloud, period_s=0.02)
            stack.callback(spot.close)
            return fake, spot

        yield start


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.01)


def _notice(spot: SpotNotice) -> Notice:
    _until(lambda: spot.notice is not None, "the notice")
    assert spot.notice is not None
    return spot.notice


PATHS = {"aws": "spot/instance-action", "gcp": "instance/preempted", "azure": "scheduledevents"}


@pytest.mark.parametrize("cloud", PATHS)
def test_there_is_no_notice_before_the_cloud_gives_one(machine: Machine, cloud: str) -> None:
    fake, spot = machine(cloud)
    _until(lambda: fake.asked(PATHS[cloud]) > 3, "the third look")
    assert spot.notice is None


@pytest.mark.parametrize(
    ("cloud", "given_s", "left_s", "who"),
    [("aws", 120, 120, "AWS"), ("gcp", 30, 30, "Google"), ("azure", 40, 40, "Azure")],
)
def test_a_notice_says_who_and_how_long(
    machine: Machine, cloud: str, given_s: int, left_s: int, who: str
) -> None:
    fake, spot = machine(cloud)
    fake.take_back(in_s=given_s)
    notice = _notice(spot)
    assert who in notice.why
    assert left_s - 10 < notice.left_s() <= left_s


@pytest.mark.parametrize("cloud", ["aws", "azure"])
@pytest.mark.parametrize("clock_s", [-3600, 3600])
def test_the_time_left_goes_by_the_clouds_clock(machine: Machine, cloud: str, clock_s: int) -> None:
    fake, spot = machine(cloud)
    fake.clock_s = clock_s
    fake.take_back(in_s=120)
    assert 110 < _notice(spot).left_s() <= 121


@pytest.mark.parametrize("cloud", PATHS)
def test_a_service_that_fails_for_a_while_is_asked_again(
    machine: Machine, cloud: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, spot = machine(cloud)
    fake.fail(500, 503, 429, 500)
    fake.take_back()
    assert _notice(spot)
    assert capsys.readouterr().out.count("does not answer as expected") <= 2


def test_a_session_that_aws_forgets_is_opened_anew(machine: Machine) -> None:
    fake, spot = machine("aws")
    _until(lambda: fake.asked("instance-action") > 0, "the first look")
    fake.sessions.clear()
    fake.take_back()
    assert _notice(spot)
    assert fake.asked("api/token") == 2
    assert ("GET", "/latest/meta-data/spot/instance-action", 401) in fake.requests


def test_a_machine_of_the_same_scale_set_is_not_this_one(machine: Machine) -> None:
    fake, spot = machine("azure")
    fake.take_back(of="gpu_7")
    looks = fake.asked("scheduledevents")
    _until(lambda: fake.asked("scheduledevents") > looks + 3, "the third look")
    assert spot.notice is None
    fake.take_back(in_s=30)
    assert _notice(spot)


def test_other_events_of_azure_are_no_spot_notice(machine: Machine) -> None:
    fake, spot = machine("azure")
    fake.take_back(kind="Freeze")
    looks = fake.asked("scheduledevents")
    _until(lambda: fake.asked("scheduledevents") > looks + 3, "the third look")
    assert spot.notice is None


def test_a_machine_without_the_service_has_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_METADATA", "http://127.0.0.1:9")
    spot = SpotNotice("aws", period_s=0.01)
    time.sleep(0.1)
    spot.close()
    assert spot.notice is None


def test_an_unknown_cloud_is_refused() -> None:
    with pytest.raises(ValueError, match="aws, gcp, azure"):
        SpotNotice("local")


def test_a_notice_stops_the_hub_and_leaves_half_of_the_time_for_the_upload(machine: Machine) -> None:
    fake, spot = machine("aws")
    endings = Endings(Ttl(datetime.now(UTC) + timedelta(hours=1)))
    endings.spot = spot
    assert endings.now() is None
    fake.take_back(in_s=120)
    _notice(spot)
    ending = endings.now()
    assert ending is not None and ending.phase == "stopped" and "AWS takes" in ending.reason
    assert ending.grace_s is not None and 50 < ending.grace_s <= 60


def _status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_fakes_insist_on_what_the_services_insist_on() -> None:
    with FakeMetadata("aws") as aws, FakeMetadata("gcp") as gcp, FakeMetadata("azure") as azure:
        assert _status(f"{aws.url}/latest/meta-data/instance-id") == 401
        assert _status(f"{gcp.url}/computeMetadata/v1/instance/name") == 403
        assert _status(f"{gcp.url}/computeMetadata/v1/instance/name", Metadata_Flavor="Google") == 200
        assert _status(f"{azure.url}/metadata/scheduledevents?api-version=2020-07-01") == 400
        assert _status(f"{azure.url}/metadata/scheduledevents", Metadata="true") == 400
        assert _status(f"{azure.url}/metadata/scheduledevents?api-version=2020-07-01", Metadata="true") == 200
