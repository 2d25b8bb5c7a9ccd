from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harchos_infra.workload.quantity import (
    QuantityError,
    format_gib,
    format_hours,
    format_time,
    parse_count,
    parse_deadline,
    parse_gib,
    parse_hours,
    parse_positive_hours,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "cores"), [("4", 4), (4, 4), (0.5, 0.5), ("500m", 0.5), ("2.5", 2.5), ("1e2", 100)]
)
def test_a_count_is_a_number_or_thousandths(text: object, cores: float) -> None:
    assert parse_count(text) == cores


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("16Gi", 16),
        ("50GiB", 50),
        ("16", 16),
        (16, 16),
        (1.5, 1.5),
        ("1Ti", 1024),
        ("512Mi", 0.5),
        ("500MB", 500e6 / 2**30),
        ("1G", 1e9 / 2**30),
        ("2 GiB", 2),
        ("1024k", 1024e3 / 2**30),
    ],
)
def test_a_size_is_in_gib_and_knows_binary_from_decimal_units(text: object, gib: float) -> None:
    assert parse_gib(text) == pytest.approx(gib)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("36h", 36),
        ("90m", 1.5),
        ("30s", 1 / 120),
        ("1d", 24),
        ("2w", 336),
        ("1h30m", 1.5),
        ("1d 2h", 26),
        ("0.5h", 0.5),
        ("PT36H", 36),
        ("P1DT2H", 26),
        ("P2W", 336),
        ("PT1.5H", 1.5),
        ("PT90S", 0.025),
    ],
)
def test_a_duration_is_in_hours(text: str, hours: float) -> None:
    assert parse_hours(text) == pytest.approx(hours)


@pytest.mark.parametrize(
    "text",
    ["h", "6 hours", "6H", "1.30:00", "30m1h", "1h1h", "P", "PT", "P1M", "P1Y", "-1h", "nan", "", "6hh"],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(QuantityError, match="such as 36h"):
        parse_hours(text)


@pytest.mark.parametrize("number", [36, 1.5, "36", "0"])
def test_a_duration_without_unit_is_refused_and_both_readings_are_offered(number: object) -> None:
    with pytest.raises(QuantityError, match=rf"no unit; write {number}h for hours, {number}m for minutes"):
        parse_hours(number)


def test_no_time_at_all_is_not_a_positive_duration() -> None:
    assert parse_hours("0s") == 0
    with pytest.raises(QuantityError, match="no time at all"):
        parse_positive_hours("0s")


@pytest.mark.parametrize("text", ["16Gb/s", "16 Qi", "Gi", "-4Gi", "1e999Gi", "0x10", "16m", "16b"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_gib(text)


@pytest.mark.parametrize("parse", [parse_count, parse_gib, parse_hours, parse_time, parse_deadline])
@pytest.mark.parametrize("value", [None, True, [], {}, float("nan"), float("inf"), 10**400, "9" * 400 + "h"])
def test_other_values_are_refused_in_words(parse: object, value: object) -> None:
    with pytest.raises(QuantityError):
        parse(value)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-11-24T06:00Z", 6), ("2026-11-24 06:00:00+02:00", 4), ("2026-11-24T06:00:00.000-05:00", 11)],
)
def test_a_time_is_read_with_its_zone_and_kept_in_utc(text: str, hour: int) -> None:
    time = parse_time(text)
    assert time == datetime(2026, 11, 24, hour, tzinfo=UTC)
    assert time.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "better"), [("2026-11-24T06:00", "2026-11-24T06:00Z"), ("2026-11-24", "2026-11-24T00:00Z")]
)
def test_a_time_without_zone_is_refused_and_shown_with_one(text: str, better: str) -> None:
    with pytest.raises(QuantityError, match=f"no zone; add Z for UTC: {better}"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    ["tomorrow", "24/11/2026", "2026-13-01T00:00Z", "0001-01-01T00:00+23:00", "9999-12-31T23:00-12:00"],
)
def test_what_is_no_sensible_time_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_time(text)


def test_a_deadline_is_a_time_or_a_duration_from_now() -> None:
    assert parse_deadline("36h") == 36
    assert parse_deadline("2026-11-24T06:00Z") == datetime(2026, 11, 24, 6, tzinfo=UTC)
    with pytest.raises(QuantityError, match="add Z for UTC"):
        parse_deadline("2026-11-24T06:00")
    with pytest.raises(QuantityError, match="or a time with its zone"):
        parse_deadline("soon")


@given(st.integers(min_value=0, max_value=10 * 365 * 24 * 3600))
def test_every_duration_is_read_back_as_it_was_written(seconds: int) -> None:
    assert parse_hours(format_hours(seconds / 3600)) == pytest.approx(seconds / 3600, rel=1e-12)


@given(st.floats(min_value=0, max_value=2.0**30))
def test_every_size_is_read_back_as_it_was_written(gib: float) -> None:
    assert parse_gib(format_gib(gib)) == pytest.approx(gib, abs=1e-9)


@given(
    st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2098, 1, 1)),
    st.integers(min_value=-23, max_value=23),
)
def test_every_time_is_read_back_as_it_was_written(naive: datetime, offset: int) -> None:
    time = naive.replace(tzinfo=timezone(timedelta(hours=offset)))
    assert parse_time(format_time(time)) == time == parse_time(time.isoformat())


@given(
    st.integers(min_value=0, max_value=300),
    st.integers(min_value=0, max_value=59),
    st.integers(min_value=0, max_value=59),
)
def test_the_two_ways_to_write_a_duration_agree(hours: int, minutes: int, seconds: int) -> None:
    assert parse_hours(f"{hours}h{minutes}m{seconds}s") == parse_hours(f"PT{hours}H{minutes}M{seconds}S")


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_a_parser_returns_a_finite_value_or_raises_a_quantity_error(value: object) -> None:
    for parse in (parse_count, parse_gib, parse_hours):
        try:
            assert 0 <= parse(value) < float("inf")
        except QuantityError as error:
            assert error.hint
    try:
        assert parse_time(value).tzinfo is UTC
    except QuantityError as error:
        assert error.hint
