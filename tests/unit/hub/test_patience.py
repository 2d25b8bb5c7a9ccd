"""A mailbox that is out of reach for ten minutes is waited for, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from harchos_infra.hub.ending import Endings
from harchos_infra.hub.mailbox import MailboxError
from harchos_infra.hub.object_store import BULK_S, CONNECT_S
from harchos_infra.hub.patience import OUTAGE_S, Patience
from harchos_infra.hub.ttl import Ttl

TEN_MINUTES_S = 600.0
HUNG_S = BULK_S + 3 * 3 * CONNECT_S
"""The longest that one call takes in vain: a connection that went dead, then none to be had."""


class Network:
    """A clock that only sleeping and waiting for an answer move on; a mailbox that is away for a while."""

    def __init__(self, away_s: float, call_s: float) -> None:
        self.now = 1000.0
        self._back_at = self.now + away_s
        self._call_s = call_s

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call(self) -> str:
        if self.now < self._back_at:
            self.now += self._call_s
            raise MailboxError("cannot write", transient=True)
        return "answer"


def _patience(network: Network, may_wait: Callable[[float], bool]) -> Patience:
    return Patience(may_wait, clock=lambda: network.now, sleep=network.sleep)


@pytest.fixture
def endings() -> Endings:
    return Endings(Ttl(datetime.now(UTC) + timedelta(hours=2)))


@pytest.mark.parametrize("call_s", [0.5, 15.0, HUNG_S])
def test_ten_minutes_without_a_network_are_waited_for(endings: Endings, call_s: float) -> None:
    network = Network(TEN_MINUTES_S, call_s)
    assert _patience(network, endings.may_wait).insist(network.call) == "answer"
    assert network.now - 1000.0 < TEN_MINUTES_S + call_s + 5.0


def test_an_hour_is_not(endings: Endings) -> None:
    network = Network(3600.0, 15.0)
    with pytest.raises(MailboxError):
        _patience(network, endings.may_wait).insist(network.call)
    assert OUTAGE_S <= network.now - 1000.0 < OUTAGE_S + 60.0


def test_two_outages_of_ten_minutes_are_two(endings: Endings) -> None:
    first = Network(TEN_MINUTES_S, 15.0)
    patience = _patience(first, endings.may_wait)
    patience.insist(first.call)
    first._back_at = first.now + TEN_MINUTES_S
    assert patience.insist(first.call) == "answer"


def test_what_will_not_help_is_not_waited_for(endings: Endings) -> None:
    network = Network(0.0, 0.0)

    def denied() -> None:
        raise MailboxError("access is denied")

    with pytest.raises(MailboxError, match="denied"):
        _patience(network, endings.may_wait).insist(denied)
    assert network.now == 1000.0


def test_a_hub_whose_time_is_over_does_not_wait_long() -> None:
    expired = Endings(Ttl(datetime.now(UTC) - timedelta(seconds=1)))
    network = Network(TEN_MINUTES_S, 1.0)
    with pytest.raises(MailboxError):
        _patience(network, expired.may_wait).insist(network.call)
    assert network.now - 1000.0 < 20.0


def test_a_controller_that_asked_for_the_end_waits_for_the_checkpoint(endings: Endings) -> None:
    class Asked:
        end = "moves to another region"
        grace_s = 60.0

    endings.control = Asked()  # type: ignore[assignment]
    assert endings.now() is not None
    assert endings.may_wait(TEN_MINUTES_S)
