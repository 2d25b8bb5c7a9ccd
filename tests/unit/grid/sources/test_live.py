"""The live signal: what is read again and what is not, how old it is, and what it was forecast to be."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.grid.signal import NoIntensity, ReadsAhead, ShortHorizon, prefetch
from harchos_infra.grid.sources.cache import Cache
from harchos_infra.grid.sources.live import LiveSignal
from harchos_infra.grid.sources.past import GAP_FRESH_S
from harchos_infra.grid.sources.reader import FRESH_S
from support.fake_carbon import FakeCarbon, gives, says
from support.live import HOUR, NOW, Clock, LiveOf, source

EM = "electricitymaps"


def past(signal: LiveSignal, hours: int = 24, zone: str = "DE", ago: int = 24) -> list[float]:
    values: list[float] = signal.intensity(zone, HOUR - timedelta(hours=ago), hours).gco2_per_kwh.tolist()
    return values


def test_an_hour_that_may_be_revised_is_read_again_when_it_is_no_longer_fresh(
    live: LiveOf, fake: FakeCarbon, clock: Clock
) -> None:
    past(live(EM), 4, ago=4)
    clock.now += timedelta(seconds=FRESH_S - 1)
    past(live(EM), 4, ago=4)
    assert fake.asked("history") == 1
    clock.now += timedelta(seconds=1)
    past(live(EM), 4, ago=4)
    assert fake.asked("history") == 2


def test_a_settled_hour_never_changes(live: LiveOf, fake: FakeCarbon, clock: Clock) -> None:
    before = past(live(EM), 24, ago=96)
    fake.grams = lambda place, at: 1.0  # type: ignore[method-assign]
    clock.now += timedelta(days=1)
    assert past(live(EM), 24, ago=96) == before
    assert past(live(EM), 24, ago=20)[0] == 1.0


def test_a_gap_is_asked_for_again_after_some_hours(live: LiveOf, fake: FakeCarbon, clock: Clock) -> None:
    at = int((HOUR - timedelta(hours=90)).timestamp())
    fake.gaps = {at}
    for minutes, asked in ((0, 1), (30, 1), (GAP_FRESH_S // 60, 2)):
        clock.now = NOW + timedelta(minutes=minutes)
        with pytest.raises(NoIntensity, match="no figure for 1 of 24 h"):
            past(live(EM), 24, ago=96)
        assert fake.asked("past-range") == asked
    fake.gaps = set()
    clock.now += timedelta(seconds=GAP_FRESH_S)
    assert past(live(EM), 24, ago=96) == fake.hours("DE", HOUR - timedelta(hours=96), 24)


def test_within_one_plan_nothing_is_read_twice_and_the_present_stands_still(
    live: LiveOf, fake: FakeCarbon, clock: Clock
) -> None:
    signal = live(EM)
    first = signal.intensity("DE", NOW, 30)
    print_before = signal.fingerprint()
    asked = len(fake.requests)
    clock.now += timedelta(hours=1, seconds=FRESH_S)
    again = signal.intensity("DE", NOW, 30)
    np.testing.assert_array_equal(first.gco2_per_kwh, again.gco2_per_kwh)
    assert (len(fake.requests), signal.fingerprint()) == (asked, print_before)


def test_the_fingerprint_changes_with_a_figure_and_not_with_the_time(
    live: LiveOf, fake: FakeCarbon, clock: Clock
) -> None:
    def fingerprint() -> str:
        signal = live(EM)
        past(signal, 4, ago=4)
        return signal.fingerprint()

    before = fingerprint()
    clock.now += timedelta(seconds=FRESH_S)
    assert fingerprint() == before
    clock.now += timedelta(seconds=FRESH_S)
    fake.nulls = {int((HOUR - timedelta(hours=30)).timestamp())}
    fake.grams = lambda place, at: 1.0  # type: ignore[method-assign]
    assert fingerprint() != before


def test_an_outlook_is_fresh_for_a_quarter_of_an_hour_and_each_is_kept(
    live: LiveOf, fake: FakeCarbon, clock: Clock, tmp_path: Path
) -> None:
    for minutes in (0, 10, 20, 40):
        clock.now = NOW + timedelta(minutes=minutes)
        live(EM).intensity("DE", clock.now, 24)
    assert fake.asked("forecast") == 3
    assert len(list(tmp_path.rglob("outlook-*.json"))) == 3


def test_a_past_outlook_is_the_one_that_was_known_then(live: LiveOf, fake: FakeCarbon, clock: Clock) -> None:
    live(EM).outlook("DE", NOW)
    known = fake.hours("DE", HOUR, 72)
    clock.now += timedelta(days=2)
    fake.grams = lambda place, at: 1.0  # type: ignore[method-assign]
    signal = live(EM)
    then = signal.outlook("DE", NOW + timedelta(hours=3))
    assert then is not None
    assert then.start == HOUR + timedelta(hours=3)
    np.testing.assert_allclose(then.gco2_per_kwh, known[3:])
    assert signal.outlook("DE", NOW - timedelta(hours=1)) is None
    assert signal.outlook("DE", NOW + timedelta(hours=7)) is None
    assert fake.asked("forecast") == 1


def test_an_outlook_that_fails_is_none_with_the_reason_and_the_past_stays(
    live: LiveOf, fake: FakeCarbon
) -> None:
    fake.fail("forecast", gives({"error": "Endpoint not available"}, 403), 9)
    signal = live(EM)
    assert signal.outlook("DE", NOW) is None
    assert len(past(signal)) == 24
    with pytest.raises(NoIntensity, match="Endpoint not available"):
        signal.intensity("DE", NOW, 2)
    assert fake.asked("forecast") == 1


def test_a_short_horizon_says_how_much_there_is(live: LiveOf, fake: FakeCarbon) -> None:
    fake.horizon_h = 6
    with pytest.raises(ShortHorizon) as caught:
        live(EM).intensity("DE", HOUR - timedelta(hours=2), 24)
    assert (caught.value.hours, caught.value.hint) == (8, "ask for 8 h")


def test_the_description_has_source_quantity_age_and_horizon(live: LiveOf, clock: Clock) -> None:
    live(EM).intensity("DE", NOW, 5)
    clock.now += timedelta(seconds=600)
    signal = live(EM)
    signal.intensity("DE", HOUR - timedelta(hours=2), 7)
    told = signal.describe()
    assert (told["name"], told["ageSeconds"], told["asOf"]) == (EM, 600, "2026-11-24T10:20Z")
    assert told["quantity"] == "average life-cycle consumption-based"
    assert "read up to 10 min ago" in told["method"]
    assert told["zones"]["DE"]["outlookEnds"] == "2026-11-27T10:00Z"
    assert told["fingerprint"] == signal.fingerprint()


def test_settled_hours_do_not_make_a_plan_look_old(live: LiveOf, clock: Clock) -> None:
    past(live(EM), 24, ago=24 * 9)
    clock.now += timedelta(days=3)
    signal = live(EM)
    past(signal, 24, ago=24 * 9)
    assert signal.describe()["ageSeconds"] == 0


def test_zones_are_read_at_once_when_read_ahead(live: LiveOf, fake: FakeCarbon) -> None:
    signal = live(EM)
    assert isinstance(signal, ReadsAhead)
    zones = sorted(signal.zones())[:40]
    fake.delay_s = 0.03
    prefetch(signal, [*zones, "ATLANTIS"], NOW, 24)
    assert 4 <= fake.most_at_once <= 8
    asked = len(fake.requests)
    for zone in zones:
        signal.intensity(zone, NOW, 24)
    assert len(fake.requests) == asked


def test_a_zone_that_failed_ahead_fails_again_without_a_call(live: LiveOf, fake: FakeCarbon) -> None:
    fake.fail("zone=FR", says(404, "nothing"), 9)
    signal = live(EM)
    prefetch(signal, ["DE", "FR"], HOUR - timedelta(hours=3), 3)
    asked = len(fake.requests)
    with pytest.raises(NoIntensity, match="404: nothing"):
        past(signal, 3, "FR", ago=3)
    assert len(fake.requests) == asked


def test_reading_that_takes_over_a_second_says_how_far_it_is(fake: FakeCarbon, clock: Clock) -> None:
    said: list[str] = []
    go = threading.Event()

    class Waiting:
        """A source whose zones come once it has been said that they do not."""

        name = EM
        inner = source(EM, fake)
        basis, settled_h, call_h, coverage = inner.basis, inner.settled_h, inner.call_h, inner.coverage
        zones, outlook = inner.zones, inner.outlook

        def history(self, zone: str, start: datetime, end: datetime, now: datetime) -> object:
            if zone == "FR":
                assert go.wait(20)
            return self.inner.history(zone, start, end, now)

    def hear(text: str) -> None:
        said.append(text)
        go.set()

    signal = LiveSignal(Waiting(), Cache(None, EM), clock=clock, say=hear)  # type: ignore[arg-type]
    signal.prefetch(["DE", "FR"], HOUR - timedelta(hours=3), 2)
    assert f"{EM}: 1 of 2 zones read" in said


def test_a_cache_that_cannot_be_written_is_a_warning(fake: FakeCarbon, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / EM).write_text("in the way")
    signal = LiveSignal(source(EM, fake), Cache(tmp_path, EM), clock=clock)
    assert len(past(signal)) == 24
    assert "nothing is kept" in signal.describe()["warnings"][0]


def test_a_history_stops_where_the_account_does_and_has_gaps_beyond(live: LiveOf, fake: FakeCarbon) -> None:
    oldest = (HOUR - timedelta(days=25)).strftime("start=%Y-%m-%d")
    fake.fail(oldest, gives({"error": "Endpoint not available for this range"}, 403), 99)
    found = live(EM).history("DE", HOUR - timedelta(days=25), 25 * 24 + 5)
    known = np.flatnonzero(~np.isnan(found))
    assert (known[0], known[-1], len(known)) == (240, 25 * 24 - 1, 15 * 24)
    with pytest.raises(NoIntensity, match="Endpoint not available"):
        live(EM).history("DE", HOUR - timedelta(days=25), 24)
