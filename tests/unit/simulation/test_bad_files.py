"""Files of jobs, signals and forecasts: read as they stand, or refused with file, line and remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.simulation.jobs import read_jobs
from harchos_infra.simulation.outlook import parse_outlook
from harchos_infra.simulation.series import Series, read_series

HEADER = "id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone"
GOOD = "a,1,2,10,2,1.5,true,DE"
START = datetime(2024, 1, 1, tzinfo=UTC)
SERIES = Series(("DE", "FR"), 473_352, np.full((2, 48), 100.0), "", "")


def jobs_file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "jobs.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def zone_file(path: Path, values: list[float], *, first_h: int = 0, columns: str = "gco2_per_kwh") -> Path:
    path.parent.mkdir(exist_ok=True)
    more = "," if "," in columns else ""
    rows = [
        f"{START + timedelta(hours=first_h + hour):%Y-%m-%dT%H:%M:%SZ},{value}{more}"
        for hour, value in enumerate(values)
    ]
    path.write_text("\n".join([f"timestamp,{columns}", *rows]) + "\n")
    return path


def test_times_are_hours_from_the_first_sample_or_iso(tmp_path):
    path = jobs_file(tmp_path, GOOD, "b,2024-01-01T03:30+01:00,0.5,2024-01-02T00:00Z,1,1,no,FR")
    jobs = read_jobs(path, SERIES)
    assert jobs.arrival_s.tolist() == [3600, 9000]
    assert jobs.deadline_s.tolist() == [36000, 86400]
    assert jobs.kw.tolist() == [3.0, 1.0]
    assert jobs.interruptible.tolist() == [True, False]
    assert [SERIES.zones[row] for row in jobs.home] == ["DE", "FR"]
    assert jobs.expected_s.tolist() == jobs.duration_s.tolist() == [7200, 1800]


def test_optional_columns_may_be_empty(tmp_path):
    header = f"{HEADER},restart_kwh,checkpoint_gib,expected_h"
    path = jobs_file(tmp_path, GOOD + ",0.5,20,", "b,1,2,10,1,1,false,DE,,,3", header=header)
    jobs = read_jobs(path, SERIES)
    assert jobs.restart_kwh.tolist() == [0.5, 0.0]
    assert jobs.state_gib.tolist() == [20.0, 0.0]
    assert jobs.expected_s.tolist() == [7200, 10800]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (",1,2,10,2,1.5,true,DE", "id: empty"),
        ("b,x,2,10,2,1.5,true,DE", "arrival: 'x' is no time"),
        ("b,nan,2,10,2,1.5,true,DE", "arrival: 'nan' is no time"),
        ("b,2024-01-01T03:30,2,10,2,1.5,true,DE", "arrival: '2024-01-01T03:30' has no time zone"),
        ("b,1,nan,10,2,1.5,true,DE", "duration_h: 'nan' is no number"),
        ("b,1,0,10,2,1.5,true,DE", "duration_h: 0 is not more than 0"),
        ("b,1,2,10,0,1.5,true,DE", "nodes: 0 is not more than 0"),
        ("b,1,2,10,1.5,1.5,true,DE", "nodes: 1.5 is not a whole number"),
        ("b,1,2,10,2,-1,true,DE", "power_kw: -1 is negative"),
        ("b,1,2,10,2,1,maybe,DE", "interruptible: 'maybe' is neither true nor false"),
        ("b,1,2,10,2,1,true,DEE", "home_zone: the signal has no zone 'DEE' (did you mean 'DE'?)"),
        ("b,1,2,10,2,1,true", "7 cells where the header has 8"),
        ("b,1,2,2.5,2,1,true,DE", "deadline: 1.5 h after arrival, but duration_h is 2"),
        ("b,1,2,50,2,1,true,DE", "deadline: 2 h after the signal's end, 2024-01-03T00:00Z"),
        ("b,-1,2,50,2,1,true,DE", "arrival: before that of line 2"),
        ("b,0.5,2,10,2,1,true,DE", "arrival: before that of line 2 (sort by arrival)"),
        ("a,1,2,10,2,1,true,DE", "id: 'a' is line 2's"),
    ],
)
def test_a_bad_job_is_refused_with_its_line_and_what_to_do(tmp_path, line, what):
    path = jobs_file(tmp_path, GOOD, line)
    with pytest.raises(HarchosError) as caught:
        read_jobs(path, SERIES)
    assert f"{path}:3: {what}" in caught.value.what


def test_all_errors_of_a_jobs_file_come_at_once(tmp_path):
    path = jobs_file(tmp_path, "a,1,2,10,0,x,true,DE", GOOD, "c,1,2,10,2,1.5,true,NO")
    with pytest.raises(HarchosError, match=": 3 errors") as caught:
        read_jobs(path, SERIES)
    assert [line.split(": ")[0].strip() for line in caught.value.what.splitlines()[1:]] == [
        f"{path}:2",
        f"{path}:2",
        f"{path}:4",
    ]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (HEADER.replace(",deadline", ""), "missing column deadline"),
        (HEADER + ",restart_kw", "unknown column 'restart_kw' (did you mean 'restart_kwh'?)"),
        (HEADER + ",nodes", "column nodes stands twice"),
    ],
)
def test_a_bad_header_is_refused(tmp_path, header, what):
    with pytest.raises(HarchosError) as caught:
        read_jobs(jobs_file(tmp_path, GOOD, header=header), SERIES)
    assert f"jobs.csv:1: {what}" in caught.value.what


def test_a_file_without_jobs_is_refused(tmp_path):
    with pytest.raises(HarchosError, match=r"jobs\.csv: no job"):
        read_jobs(jobs_file(tmp_path), SERIES)


def test_only_hours_that_all_zones_have_are_kept(tmp_path):
    zone_file(tmp_path / "DE.csv", list(range(10)))
    zone_file(tmp_path / "FR.csv", list(range(10)), first_h=4)
    found = read_series([tmp_path])
    assert found.gco2_per_kwh.tolist() == [[4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5]]
    assert (found.moment(0), found.left_out_h) == (START + timedelta(hours=4), 4)


def test_zones_without_a_common_hour_are_refused(tmp_path):
    zone_file(tmp_path / "DE.csv", [1, 2])
    zone_file(tmp_path / "FR.csv", [1, 2], first_h=2)
    with pytest.raises(HarchosError, match="no hour is common to all zones"):
        read_series([tmp_path])


def test_a_zone_whose_horizons_may_overlap_is_refused(tmp_path):
    zone_file(tmp_path / "DE.csv", [1, 2])
    (tmp_path / "DE.csv.gz").write_bytes(b"")
    with pytest.raises(HarchosError, match="zone DE has a second file"):
        read_series([tmp_path])


def test_two_factor_sets_are_refused(tmp_path):
    one = zone_file(tmp_path / "life-cycle" / "DE.csv", [1, 2])
    other = zone_file(tmp_path / "direct" / "FR.csv", [1, 2])
    with pytest.raises(HarchosError, match="two factor sets cannot be compared"):
        read_series([one, other])
    zone_file(one.parent / "FR.csv", [1, 2], columns="gco2_per_kwh,gco2_per_kwh_direct")
    with pytest.raises(HarchosError, match=r"FR\.csv:1: carbon columns gco2_per_kwh, gco2_per_kwh_direct"):
        read_series([one.parent])


@pytest.mark.parametrize("text", ["-1", "nan", ""])
def test_a_bad_intensity_is_refused_with_its_line(tmp_path, text):
    path = zone_file(tmp_path / "DE.csv", [1, 2])
    path.write_text(path.read_text() + f"2024-01-01T02:00:00Z,{text}\n")
    with pytest.raises(HarchosError) as caught:
        read_series([tmp_path])
    assert caught.value.what.startswith(f"{path}:4: gco2_per_kwh is {text!r}")


ISSUES = "issued_at,timestamp,gco2_per_kwh_forecast,gco2_per_kwh_actual"


def issues_file(folder: Path, rows: list[tuple[int, int, float, float]]) -> Path:
    path = folder / "forecasts" / "DE.csv"
    path.parent.mkdir(exist_ok=True)
    hours = [(START + timedelta(hours=h), START + timedelta(hours=t), f, a) for h, t, f, a in rows]
    lines = [f"{i:%Y-%m-%dT%H:%M:%SZ},{t:%Y-%m-%dT%H:%M:%SZ},{f},{a}" for i, t, f, a in hours]
    path.write_text("\n".join([ISSUES, *lines]) + "\n")
    return path


def test_the_newest_issue_that_was_known_is_seen(tmp_path):
    path = issues_file(
        tmp_path,
        [(0, h, 10.0 + h, 100.0) for h in range(6)] + [(3, h, 50.0 + h, 100.0) for h in range(3, 9)],
    )
    outlook = parse_outlook(str(path.parent), SERIES)
    assert outlook.seen(np.array([0, 0, 0]), np.array([0, 2, 4]), 4).tolist() == [
        [10, 11, 12, 13],
        [12, 13, 14, 15],
        [54, 55, 56, 57],
    ]
    with pytest.raises(HarchosError, match="no forecast known at 2024-01-01T02:00Z reaches 5 h ahead"):
        outlook.seen(np.array([0]), np.array([2]), 5)
    with pytest.raises(HarchosError, match="no forecast of zone FR"):
        outlook.seen(np.array([1]), np.array([2]), 2)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([(0, 0, 1, 100), (0, 2, 1, 100)], "gap before"),
        ([(0, 0, 1, 100), (0, 0, 1, 100)], "duplicate, unsorted, or"),
        ([(3, 3, 1, 100), (0, 0, 1, 100)], "the horizons of two issues overlap"),
        ([(0, 0, -1, 100), (0, 1, 1, 100)], "gco2_per_kwh_forecast is '-1'"),
    ],
)
def test_bad_forecasts_are_refused_with_their_line(tmp_path, rows, what):
    path = issues_file(tmp_path, rows)
    with pytest.raises(HarchosError) as caught:
        parse_outlook(str(path.parent), SERIES)
    assert caught.value.what.startswith(f"{path}:{2 if 'forecast is' in what else 3}: ")
    assert what in caught.value.what


def test_forecasts_of_another_factor_set_are_refused(tmp_path):
    path = issues_file(tmp_path, [(0, h, 100.0, 60.0) for h in range(6)])
    with pytest.raises(HarchosError, match="different factor sets"):
        parse_outlook(str(path.parent), SERIES)


@pytest.mark.parametrize("text", ["noise", "noise:x:1", "noise:10", "noise:-1:2", "noise:10:-1", "bland"])
def test_an_unknown_forecast_is_refused(text):
    with pytest.raises(HarchosError) as caught:
        parse_outlook(text, SERIES)
    assert caught.value.hint
