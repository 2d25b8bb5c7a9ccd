"""The same season, weekday and hour of a reference year."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harchos_infra.grid.season import YEAR_H, hours_since_epoch, same_season

REFERENCE = datetime(2022, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))


def places(start: datetime, hours: int, reference: datetime = REFERENCE) -> np.ndarray:
    return same_season(hours_since_epoch(start), hours, hours_since_epoch(reference))


def day_of_year_distance(a: datetime, b: datetime) -> int:
    apart = abs(a.timetuple().tm_yday - b.timetuple().tm_yday)
    return min(apart, 365 - apart)


@given(moments, st.integers(1, 400))
def test_weekday_and_hour_agree_and_the_season_is_within_five_days(start, hours):
    for offset, place in enumerate(places(start, hours)):
        wanted = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=offset)
        found = REFERENCE + timedelta(hours=int(place))
        assert 0 <= place < YEAR_H
        assert (found.weekday(), found.hour) == (wanted.weekday(), wanted.hour)
        assert day_of_year_distance(found, wanted) <= 5


@given(st.integers(1990, 2100))
def test_one_shift_serves_a_whole_calendar_year_but_for_its_ends(year):
    start = datetime(year, 1, 5, tzinfo=UTC)
    assert set(np.diff(places(start, 355 * 24))) == {1}


def test_the_reference_year_stands_for_itself():
    assert (places(REFERENCE, YEAR_H) == np.arange(YEAR_H)).all()


def test_a_reference_year_may_start_in_july():
    july = datetime(2023, 7, 1, tzinfo=UTC)
    found = july + timedelta(hours=int(places(datetime(2026, 7, 8, 15, tzinfo=UTC), 1, july)[0]))
    assert (found.weekday(), found.hour, found.month) == (2, 15, 7)
