"""When cron expressions tick: years of them against a search of every minute, and clocks that are changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from harchos_infra.workload.cron import Ticks, parse_cron, parse_timezone
from harchos_infra.workload.quantity import QuantityError

BEGIN, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def values(text: str, every: range) -> set[int]:
    """Return what a field of numbers, ranges, steps and lists stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        begin = every.start if span == "*" else int(low)
        end = every.stop - 1 if span == "*" or (step and not high) else int(high or low)
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def days(cron: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the midnights of the days that match."""
    _, _, day, month, weekday = cron.split()
    in_days, in_months = values(day, range(1, 32)), values(month, range(1, 13))
    in_weekdays = {number % 7 for number in values(weekday, range(8))}
    stars = day.startswith("*") or weekday.startswith("*")
    while begin < end:
        by_day, by_weekday = begin.day in in_days, begin.isoweekday() % 7 in in_weekdays
        if begin.month in in_months and ((by_day and by_weekday) if stars else (by_day or by_weekday)):
            yield begin
        begin += timedelta(days=1)


def times(cron: str) -> list[timedelta]:
    """Return the times of day that match, as time after midnight."""
    minute, hour, *_ = cron.split()
    return [
        timedelta(hours=h, minutes=m)
        for h in sorted(values(hour, range(24)))
        for m in sorted(values(minute, range(60)))
    ]


def walls(cron: str) -> Iterator[datetime]:
    """Yield each local minute that matches."""
    for midnight in days(cron, datetime(2024, 12, 30), datetime(2027, 3, 3)):
        yield from (midnight + time for time in times(cron))


def in_real_time(cron: str, zone: ZoneInfo) -> list[datetime]:
    """Return each moment at which the local minute matches: a repeated one twice, a skipped one never."""
    moments = {
        wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        for wall in walls(cron)
        for fold in (0, 1)
        if is_there(wall, zone)
    }
    return sorted(moment for moment in moments if BEGIN < moment < END)


def by_the_wall(cron: str, zone: ZoneInfo) -> list[datetime]:
    """Return each local minute that matches, once; one that is skipped at the first there is after it."""
    moments = set()
    for wall in walls(cron):
        there = wall
        while not is_there(there, zone):
            there += MINUTE
        moments.add(there.replace(tzinfo=zone).astimezone(UTC))
    return sorted(moment for moment in moments if BEGIN < moment < END)


def is_there(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


def ticked(cron: str, zone: str) -> list[datetime]:
    return list(takewhile(lambda tick: tick < END, Ticks(cron, zone).after(BEGIN)))


@pytest.mark.parametrize(
    "cron",
    [
        "0 22 * * *",
        "30 2 * * *",
        "15,45 1-3 * * *",
        "5 3 1,15 * 1",
        "0 2 */2 * 0",
        "59 23 31 * 7",
        "0 1 29 2 *",
    ],
)
@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
def test_a_time_of_day_ticks_as_the_clock_on_the_wall_shows_it(cron: str, zone: str) -> None:
    assert ticked(cron, zone) == by_the_wall(cron, ZoneInfo(zone))


@pytest.mark.parametrize("cron", ["0 * * * *", "*/20 3 * * *", "7 */6 * * 1-5"])
def test_an_interval_goes_by_real_time(cron: str) -> None:
    assert ticked(cron, "Europe/Paris") == in_real_time(cron, ZoneInfo("Europe/Paris"))


def test_a_skipped_time_comes_at_the_next_there_is_and_a_repeated_one_once() -> None:
    nightly = Ticks("30 2 * * *", "Europe/Paris")
    spring = nightly.after(datetime(2026, 3, 28, 2, tzinfo=UTC))
    assert next(spring) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "03:00 in Paris"
    assert next(spring) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    autumn = nightly.after(first - timedelta(hours=2))
    assert next(autumn) == first
    assert next(autumn) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    between = first + timedelta(minutes=45)
    assert nightly.next(between) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC), "02:15 is there twice"


def test_the_latest_tick_is_the_last_of_those_until_then() -> None:
    for cron in ("30 2 * * *", "0 * * * *", "0 0 1 1 *", "0 0 29 2 *"):
        every = Ticks(cron, "America/New_York")
        tick = every.next(BEGIN)
        assert every.latest(tick) == tick
        assert every.latest(next(every.after(tick)) - MINUTE) == tick


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("@daily", 24),
        ("0 8,20 * * *", 12),
        ("0 0 1 * *", 28 * 24),
        ("*/5 * * * *", 1 / 12),
        ("0 9 * * 1-5", 24),
    ],
)
def test_the_shortest_time_between_ticks(cron: str, hours: float) -> None:
    assert Ticks(cron, "Europe/Paris").shortest_h() == pytest.approx(hours)


def test_names_and_nicknames_are_read() -> None:
    assert ticked("30 3 * jan-mar mon-fri", "UTC") == ticked("30 3 * 1-3 1-5", "UTC")
    assert ticked("@weekly", "UTC") == ticked("0 0 * * SUN", "UTC")


@pytest.mark.parametrize(
    ("cron", "what"),
    [
        ("0 25 * * *", "the hour is none that there is"),
        ("0 22 * *", "has 4 fields, not five"),
        ("0 0 22 * * *", "has 6 fields, not five"),
        ("@nightly", "`@nightly` is not known"),
        ("0 0 30 2 *", "the day-of-month is none that there is"),
        (22, "a cron expression was expected, not a number"),
    ],
)
def test_what_is_no_expression_is_refused(cron: object, what: str) -> None:
    with pytest.raises(QuantityError, match=what):
        parse_cron(cron)


def test_what_is_no_time_zone_is_refused_with_what_it_may_have_meant() -> None:
    with pytest.raises(QuantityError, match="did you mean Europe/Paris"):
        parse_timezone("Paris")
    with pytest.raises(QuantityError, match="`\\.\\./etc` is not a time zone"):
        parse_timezone("../etc")
