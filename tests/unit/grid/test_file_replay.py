"""Zone files of one's own: read as they stand, or refused with file, line and remedy."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.grid.parse import parse_signal
from harchos_infra.grid.signal import NoIntensity, check_same_factors

START = datetime(2024, 1, 1, tzinfo=UTC)


def line(hour: int, value: object) -> str:
    return f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{value}"


def write(path: Path, values: list[object]) -> Path:
    path.write_text("\n".join(["timestamp,gco2_per_kwh", *(line(h, v) for h, v in enumerate(values))]) + "\n")
    return path


def test_values_come_back_as_they_stand(tmp_path):
    signal = parse_signal(f"replay:{write(tmp_path / 'DE.csv', [10, 20.5, 30])}")
    intensity = signal.intensity("DE", START + timedelta(hours=1), 2)
    assert intensity.gco2_per_kwh.tolist() == [20.5, 30]
    assert intensity.basis.method == "replay of a file"
    assert signal.zones() == {"DE"}


def test_a_directory_is_one_zone_a_file_zipped_or_not(tmp_path):
    write(tmp_path / "DE.csv", [1, 2])
    plain = write(tmp_path / "x", [3, 4]).read_bytes()
    (tmp_path / "US-CAL-CISO.csv.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "README.md").write_text("not a zone")
    signal = parse_signal(f"replay:{tmp_path}")
    assert signal.zones() == {"DE", "US-CAL-CISO"}
    assert signal.intensity("US-CAL-CISO", START, 2).gco2_per_kwh.tolist() == [3, 4]


def test_other_columns_and_other_orders_are_welcome(tmp_path):
    path = tmp_path / "DE.csv"
    path.write_text("estimated,gco2_per_kwh,timestamp\nfalse,5,2024-01-01T02:00:00+02:00\n")
    assert parse_signal(f"replay:{path}").intensity("DE", START, 1).gco2_per_kwh.tolist() == [5]


def test_outside_a_short_file_there_is_no_intensity(tmp_path):
    signal = parse_signal(f"replay:{write(tmp_path / 'DE.csv', [1] * 48)}")
    with pytest.raises(NoIntensity, match="covers 2024-01-01T00:00Z to 2024-01-03T00:00Z only"):
        signal.intensity("DE", START, 49)


def test_outside_a_year_the_same_season_weekday_and_hour_of_its_last_year_stands_in(tmp_path):
    signal = parse_signal(f"replay:{write(tmp_path / 'DE.csv', list(range(8784)))}")
    later = datetime(2026, 5, 6, 7, tzinfo=UTC)  # a Wednesday
    intensity = signal.intensity("DE", later, 1)
    found = START + timedelta(hours=intensity.gco2_per_kwh[0])
    assert (found.weekday(), found.hour) == (later.weekday(), later.hour)
    assert abs(found - datetime(2024, 5, 6, tzinfo=UTC)) < timedelta(days=5)
    assert "same season" in intensity.basis.method


def test_a_span_that_leaves_the_file_keeps_the_covered_hours(tmp_path):
    signal = parse_signal(f"replay:{write(tmp_path / 'DE.csv', list(range(8784)))}")
    values = signal.intensity("DE", START + timedelta(hours=8782), 4).gco2_per_kwh
    assert values[:2].tolist() == [8782, 8783]
    assert (values[2:] < 8782).all()


def test_the_built_in_year_as_a_file_maps_hours_as_the_built_in_replay_does(tmp_path):
    builtin = parse_signal(None)
    first = datetime(2022, 1, 1, tzinfo=UTC)
    values = builtin.intensity("DE", first, 8760).gco2_per_kwh
    path = tmp_path / "DE.csv"
    rows = (f"{first + timedelta(hours=h):%Y-%m-%dT%H:%MZ},{v!r}" for h, v in enumerate(values.tolist()))
    path.write_text("\n".join(["timestamp,gco2_per_kwh", *rows]))
    for start in (datetime(2026, 12, 28, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)):
        there = parse_signal(f"replay:{path}").intensity("DE", start, 168).gco2_per_kwh
        assert np.array_equal(there, builtin.intensity("DE", start, 168).gco2_per_kwh)


def test_what_a_file_measures_is_not_stated_and_never_mixes_with_the_built_in(tmp_path):
    of_file = parse_signal(f"replay:{write(tmp_path / 'DE.csv', [1])}").intensity("DE", START, 1).basis
    with pytest.raises(HarchosError, match="different quantities"):
        check_same_factors([of_file, parse_signal(None).intensity("DE", START, 1).basis])


def test_the_fingerprint_follows_the_content(tmp_path):
    before = parse_signal(f"replay:{write(tmp_path / 'DE.csv', [1])}").fingerprint()
    assert parse_signal(f"replay:{write(tmp_path / 'DE.csv', [2])}").fingerprint() != before


@pytest.mark.parametrize(
    ("rows", "place", "what"),
    [
        (["time,carbon", "x"], ":1", "missing column timestamp and gco2_per_kwh"),
        (["timestamp,carbon", "x"], ":1", "missing column gco2_per_kwh"),
        ([], ":1", "missing column"),
        (["timestamp,gco2_per_kwh"], ":1", "no line of data"),
        (["timestamp,gco2_per_kwh", line(0, 1), line(2, 1)], ":3", "gap: 1 h missing"),
        (["timestamp,gco2_per_kwh", line(0, 1), line(0, 1)], ":3", "duplicate time"),
        (["timestamp,gco2_per_kwh", line(5, 1), line(2, 1)], ":3", "after a later time"),
        (["timestamp,gco2_per_kwh", line(0, -1)], ":2", "gco2_per_kwh is '-1'"),
        (["timestamp,gco2_per_kwh", line(0, "nan")], ":2", "gco2_per_kwh is 'nan'"),
        (["timestamp,gco2_per_kwh", line(0, "inf")], ":2", "gco2_per_kwh is 'inf'"),
        (["timestamp,gco2_per_kwh", line(0, "")], ":2", "gco2_per_kwh is ''"),
        (["timestamp,gco2_per_kwh", line(0, 1), "2024-01-01T01:00:00Z"], ":3", "1 cells"),
        (["timestamp,gco2_per_kwh", "yesterday,1"], ":2", "'yesterday' is not a time"),
        (["timestamp,gco2_per_kwh", "2024-01-01T00:00:00,1"], ":2", "no time zone"),
        (["timestamp,gco2_per_kwh", "2024-01-01T00:30:00Z,1"], ":2", "not the start of an hour"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_what_to_do(tmp_path, rows, place, what):
    path = tmp_path / "DE.csv"
    path.write_text("\n".join(rows))
    with pytest.raises(HarchosError) as caught:
        parse_signal(f"replay:{path}").intensity("DE", START, 1)
    assert caught.value.what.startswith(f"{path}{place}: ")
    assert what in caught.value.what
    assert caught.value.hint


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "DE.csv").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(HarchosError, match="not a CSV file in UTF-8"):
        parse_signal(f"replay:{tmp_path}").intensity("DE", START, 1)


def test_a_file_that_only_says_it_is_zipped_is_refused(tmp_path):
    (tmp_path / "DE.csv.gz").write_bytes(b"timestamp,gco2_per_kwh\n")
    with pytest.raises(HarchosError, match="cannot be read"):
        parse_signal(f"replay:{tmp_path}").intensity("DE", START, 1)


def test_a_cut_off_zip_is_refused(tmp_path):
    whole = gzip.compress(write(tmp_path / "x", list(range(500))).read_bytes())
    (tmp_path / "DE.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HarchosError, match="cannot be read"):
        parse_signal(f"replay:{tmp_path / 'DE.csv.gz'}").intensity("DE", START, 1)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(HarchosError, match="no such file or directory"):
        parse_signal(f"replay:{tmp_path / 'DE.csv'}")


@pytest.mark.parametrize("name", ["DE.txt", "notes.md"])
def test_a_place_without_zone_files_is_refused(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(HarchosError, match="no zone file"):
        parse_signal(f"replay:{tmp_path}")


def test_two_files_of_one_zone_are_refused(tmp_path):
    write(tmp_path / "DE.csv", [1])
    (tmp_path / "DE.csv.gz").write_bytes(b"")
    with pytest.raises(HarchosError, match="zone DE has a second file"):
        parse_signal(f"replay:{tmp_path}")


def test_a_zone_without_file_has_no_intensity_and_the_nearest_is_named(tmp_path):
    write(tmp_path / "US-CAL-CISO.csv", [1])
    with pytest.raises(NoIntensity) as caught:
        parse_signal(f"replay:{tmp_path}").intensity("US-CAL-CIS", START, 1)
    assert caught.value.hint == "did you mean 'US-CAL-CISO'?"
